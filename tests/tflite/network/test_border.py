import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, operators, run
from tests.tflite.integer_calls import RESULT, SOURCE, numbers
from tf_n2uq.layers import BorderScale
from tf_n2uq.tflite.network.border import border_factors, multiply_border

SHAPE = (1, 3, 4, 2)
SIMPLE = ([1.5, 1.0, 1.5], [1.5, 1.0, 1.0, 2.0])


def test_simple_ratios_are_exact():
    layer = BorderScale(*SIMPLE)
    np.testing.assert_allclose(border_factors(layer), layer.factors(), rtol=1e-6)


@pytest.mark.parametrize('row', [1.5 * (1 + 2.0**-16), 1.237])
def test_other_ratios_are_rounded_to_a_step_of_int8(row):
    layer = BorderScale([row, 1.0, 1.9], [1.0] * 4)
    got = np.asarray(border_factors(layer))
    # The widest step of int8 that the constant may have is 1/128 of the largest factor.
    assert np.max(np.abs(got - layer.factors())) <= 0.5 * 1.9 / 128
    assert len(np.unique(got)) == 3


def test_each_pixel_is_multiplied_by_its_factor():
    layer = BorderScale(*SIMPLE)
    x = numbers(SHAPE)
    result = multiply_border(layer, x)
    np.testing.assert_allclose(result, layer(x), rtol=1e-6)


def test_the_file_multiplies_integers():
    layer = BorderScale(*SIMPLE)

    def function(x):
        return RESULT.quantize(multiply_border(layer, SOURCE.quantize(x)))

    content = convert(function, list(SHAPE))
    assert operators(content) == ['MUL']
    q = np.random.default_rng(0).integers(-128, 128, SHAPE).astype(np.int8)
    x = tf.constant((q.astype(np.float32) - SOURCE.zero_point) * np.float32(SOURCE.scale))
    expected = np.clip(np.asarray(layer(x)) / RESULT.scale + RESULT.zero_point, -128, 127)
    assert np.max(np.abs(run(content, q) - expected)) <= 0.51
