import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.schemes import N2UQQuantizeConfig

LAYERS = {
    'conv': (lambda: keras.layers.Conv2D(4, 3), 'kernel'),
    'depthwise': (lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 'depthwise_kernel'),
    'dense': (lambda: keras.layers.Dense(4), 'kernel'),
}


@pytest.mark.parametrize('name', LAYERS)
def test_the_layer_computes_with_levels_and_keeps_its_variable(name):
    make, attribute = LAYERS[name]
    wrapper = QuantizedKernel(make(), N2UQQuantizeConfig(bits=2))
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
    outputs = wrapper(x)
    variable = getattr(wrapper.layer, attribute)
    assert isinstance(variable, tf.Variable)
    (quantized,) = wrapper.quantized_kernels().values()
    plain = make()
    plain.build(x.shape)
    getattr(plain, attribute).assign(quantized)
    np.testing.assert_allclose(outputs, plain(x), atol=1e-6)
    assert len(wrapper.trainable_weights) == 2
    assert len({id(weight) for weight in wrapper.weights}) == 2


def test_the_gradient_reaches_the_float_kernel():
    wrapper = QuantizedKernel(keras.layers.Dense(4), N2UQQuantizeConfig(bits=2))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(wrapper(np.ones((2, 3), np.float32)))
    assert all(g is not None for g in tape.gradient(loss, wrapper.trainable_weights))


def test_an_error_inside_leaves_the_variable_in_place():
    wrapper = QuantizedKernel(keras.layers.Dense(4), N2UQQuantizeConfig(bits=2))
    wrapper(np.ones((2, 3), np.float32))
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        wrapper.call(tf.ones((2, 7)))
    assert isinstance(wrapper.layer.kernel, tf.Variable)


def test_its_name_is_tfmots():
    wrapper = QuantizedKernel(keras.layers.Dense(4, name='logits'), N2UQQuantizeConfig(bits=2))
    assert wrapper.name == 'quant_logits'


class Spying(keras.layers.Dense):
    """Looks at another layer's variable while it computes."""

    watched: keras.layers.Layer
    seen: list

    def call(self, inputs):
        self.seen.append(self.watched.kernel)
        return super().call(inputs)


def test_the_wrapped_layer_has_its_variable_while_it_is_called():
    layer = Spying(4)
    layer.watched, layer.seen = layer, []
    wrapper = QuantizedKernel(layer, N2UQQuantizeConfig(bits=2))
    wrapper.quantize_config = DenseConfig(bits=2)
    wrapper(np.ones((2, 3), np.float32))
    assert len(layer.seen) == 1
    assert layer.seen[0] is layer.kernel
    assert isinstance(layer.kernel, tf.Variable)


class DenseConfig(N2UQQuantizeConfig):
    """Takes a subclass of a dense layer for one."""

    def get_weights_and_quantizers(self, layer):
        return [(layer.kernel, self.kernel_quantizer(-1))]


def test_an_activity_regularizer_still_adds_its_loss():
    layer = keras.layers.Dense(4, activity_regularizer=keras.regularizers.L2(0.5))
    wrapper = QuantizedKernel(layer, N2UQQuantizeConfig(bits=2))
    outputs = wrapper(np.ones((2, 3), np.float32))
    (loss,) = wrapper.losses
    np.testing.assert_allclose(loss, 0.5 * np.sum(np.square(outputs)) / 2, rtol=1e-5)


def test_a_grouped_convolution_is_compiled_once_for_all_calls():
    layer = keras.layers.Conv2D(6, 3, groups=3)
    wrapper = QuantizedKernel(layer, N2UQQuantizeConfig(bits=2))
    x = np.random.default_rng(0).normal(size=(1, 5, 5, 6)).astype(np.float32)
    first = wrapper(x)
    traces = layer._jit_compiled_convolution_op.experimental_get_tracing_count()
    np.testing.assert_array_equal(wrapper(x), first)
    assert layer._jit_compiled_convolution_op.experimental_get_tracing_count() == traces
