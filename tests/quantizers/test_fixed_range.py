import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import FixedRangeQuantizer, is_trained

SIGMOID = FixedRangeQuantizer(0.0, 255 / 256)


def test_values_are_multiples_of_the_step_inside_the_range():
    x = np.linspace(-0.5, 1.5, 1001, dtype=np.float32)
    y = SIGMOID(x, False).numpy()
    np.testing.assert_allclose(y, np.clip(np.floor(x * 256 + 0.5), 0, 255) / 256, atol=1e-7)


def test_training_changes_nothing_and_gradients_pass_inside_only():
    x = tf.constant([-1.0, 0.25, 0.75, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = SIGMOID(x, True)
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 0])
    np.testing.assert_array_equal(y, SIGMOID(x, False))


def test_it_has_no_variables_and_counts_as_trained():
    layer = Quantize(SIGMOID)
    layer(tf.zeros([1, 2, 2, 3]))
    assert not layer.weights
    assert is_trained(layer.quantizer_weights)
    assert SIGMOID.bounds({}) == (0.0, 255 / 256)
    assert float(SIGMOID.step({})) == 1 / 256


def test_it_is_what_its_config_says():
    copy = Quantize.from_config(Quantize(SIGMOID).get_config()).quantizer
    assert copy == SIGMOID
    assert copy != FixedRangeQuantizer(-1.0, 1.0)


@pytest.mark.parametrize(('low', 'high'), [(0.5, 1.0), (-1.0, -0.5), (0.0, 0.0), (1.0, 0.0)])
def test_a_range_needs_zero_in_it_and_a_width(low, high):
    with pytest.raises(ValueError, match='low, high: expected a range with zero in it'):
        FixedRangeQuantizer(low, high)
