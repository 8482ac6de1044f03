import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.tflite.integer_calls import RESULT, SOURCE, integer_call, numbers, run_form
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.line_form import (
    BoundedLineForm,
    InOneRangeForm,
    LineForm,
    fitted,
    identity,
)
from tf_n2uq.tflite.network.ranges import Range

SHAPE = (1, 5, 6, 4)
# The file's bias of a line is a whole number of units. With the integer that suits the bias best,
# nearly nothing is left of this rounding.
ROUNDING = 0.05 * SOURCE.scale / 127


def test_a_normalization_is_a_line_per_channel():
    layer = keras.layers.BatchNormalization()
    layer.build(SHAPE)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    result = run_form(LineForm(), integer_call(layer, SHAPE), numbers(SHAPE))
    np.testing.assert_allclose(result, layer(numbers(SHAPE)), atol=ROUNDING)


def test_steep_lines_round_to_the_same_steps_as_in_keras():
    channels = 64
    shape = (1, 5, 6, channels)
    layer = keras.layers.BatchNormalization()
    layer.build(shape)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(0.5, 8.0, weight.shape) for weight in layer.weights])
    result = run_form(LineForm(), integer_call(layer, shape), numbers(shape))
    rounded, expected = (np.rint(each / RESULT.scale) for each in (result, layer(numbers(shape))))
    assert np.mean(rounded != expected) < 2e-3


def test_a_bounded_line_applies_the_bounds_of_its_layer():
    layer = keras.layers.ReLU(1.0)
    form = BoundedLineForm(0.5, 0.25, lambda layer, x: layer(x))
    x = numbers(SHAPE)
    result = run_form(form, integer_call(layer, SHAPE), x)
    np.testing.assert_allclose(result, np.clip(0.5 * np.asarray(x) + 0.25, 0, 1), atol=ROUNDING)
    assert result.min() == 0.0
    assert result.max() == 1.0


def test_tensors_of_other_ranges_are_written_in_the_range_of_the_result_first():
    ranges = [Range(0.02, -10), Range(0.05, 30)]
    layer = keras.layers.Concatenate()
    call = integer_call(layer, SHAPE, SHAPE, sources=ranges)
    form = InOneRangeForm(lambda layer, parts: layer.call(parts))
    assert set(form.kernels(call)) == {'0', '1'}
    parts = [numbers(SHAPE, seed, each) for seed, each in enumerate(ranges)]
    result = run_form(form, call, *parts)
    expected = tf.concat([RESULT.quantize(part) for part in parts], -1)
    assert np.max(np.abs(result - expected)) <= RESULT.scale * 1.001
    assert np.mean(np.abs(result - expected) > 1e-5) < 0.02
    assert set(np.unique(result)) <= set(np.unique(RESULT.quantize(RESULT.values())))


def test_the_identity_changes_nothing():
    kernel = identity(4)
    np.testing.assert_allclose(kernel.integers * kernel.unit, np.ones((1, 1, 4)))
    assert not kernel.bias.any()


@pytest.mark.parametrize('offset', [0.0, 0.7])
def test_a_fitted_kernel_counts_its_bias_in_units_of_the_sum(offset):
    kernel = IntegerKernel.of_line(np.full(4, 0.3), np.full(4, offset))
    result = fitted(kernel, integer_call(keras.layers.ReLU(), SHAPE))
    counts = result.bias / (SOURCE.scale * result.unit)
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-6)
    assert np.all(np.abs(result.bias - offset) <= SOURCE.scale * result.unit / 2)
