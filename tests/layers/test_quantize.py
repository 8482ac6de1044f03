import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import LearnableThresholdQuantizer, RangeQuantizer


def test_it_quantizes_with_its_own_variables():
    layer = Quantize(LearnableThresholdQuantizer(2))
    outputs = layer(np.linspace(-1, 3, 50).astype(np.float32)[None])
    np.testing.assert_allclose(np.unique(outputs), [0, 2 / 3, 4 / 3, 2], rtol=1e-6)
    assert set(layer.quantizer_weights) == {'start', 'intervals', 'input_scale', 'output_scale'}
    assert len(layer.trainable_weights) == 4


def test_ranges_follow_the_data_in_training_only():
    layer = Quantize(RangeQuantizer(8))
    x = tf.constant([[-1.0, 4.0]])
    layer(x, training=False)
    np.testing.assert_array_equal([float(w) for w in layer.weights], [-6, 6])
    layer(x, training=True)
    np.testing.assert_array_equal([float(w) for w in layer.weights], [-1, 4])


@pytest.mark.parametrize('policy', ['mixed_float16', 'mixed_bfloat16'])
def test_it_gives_back_the_type_that_it_gets(policy):
    layer = Quantize(LearnableThresholdQuantizer(2), dtype=keras.mixed_precision.Policy(policy))
    dtype = tf.as_dtype(policy.removeprefix('mixed_'))
    assert layer(tf.zeros([2, 3], dtype)).dtype == dtype
    assert {weight.dtype for weight in layer.weights} == {tf.float32}


def test_its_symbolic_output_is_like_its_input():
    image = keras.Input((4, 5, 6), dtype='float16')
    output = Quantize(LearnableThresholdQuantizer(3))(image)
    assert output.shape.as_list() == [None, 4, 5, 6]
    assert output.dtype == tf.float16


def test_what_is_no_quantizer_is_refused():
    with pytest.raises(TypeError, match='quantizer: expected a .*Quantizer'):
        Quantize('int8')


def test_a_frozen_range_stays_where_it_is_and_passes_gradients():
    layer = Quantize(RangeQuantizer(8))
    x = tf.constant([[-1.0, 4.0]])
    layer(x, training=True)
    layer.trainable = False
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x / 2, training=True)
    np.testing.assert_array_equal([float(w) for w in layer.weights], [-1, 4])
    np.testing.assert_array_equal(tape.gradient(outputs, x), [[0.5, 0.5]])
