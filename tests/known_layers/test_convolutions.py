import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.known_layers.specs import known_spec
from tests.networks import quantize
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import Kind
from tf_n2uq.tflite.network.kernels import IntegerKernel

layers = keras.layers
IMAGE, SERIES = (1, 7, 6, 4), (1, 9, 4)
CASES = [
    (layers.Conv2D(6, 3, strides=2, padding='same'), IMAGE),
    (layers.Conv2D(6, (1, 3), dilation_rate=2), IMAGE),
    (layers.Conv2D(6, 3, groups=2), IMAGE),
    (layers.DepthwiseConv2D(3, padding='same', depth_multiplier=2), IMAGE),
    (layers.Conv1D(6, 3, strides=2, padding='same'), SERIES),
    (layers.Conv1D(6, 3, dilation_rate=2, padding='causal'), SERIES),
    (layers.DepthwiseConv1D(3, strides=2), SERIES),
    (layers.Dense(6), (1, 4)),
    (layers.Dense(6), IMAGE),
    (layers.Conv2DTranspose(6, 3, strides=2, padding='same'), IMAGE),
    (layers.Conv2DTranspose(6, 2, padding='valid'), IMAGE),
    (layers.Conv2DTranspose(6, 3, strides=(1, 2)), IMAGE),
    (layers.Conv2DTranspose(6, 3, dilation_rate=2), IMAGE),
]


def with_whole_numbers(layer, shape):
    """A new layer like this one, whose weights are whole numbers; and the input to give it."""
    rng = np.random.default_rng(0)
    copy = type(layer).from_config(layer.get_config())
    copy.build(shape)
    copy.set_weights([rng.integers(-7, 8, weight.shape) for weight in copy.get_weights()])
    return copy, tf.constant(rng.integers(-128, 128, shape), tf.float32)


@pytest.mark.parametrize(('layer', 'shape'), CASES, ids=lambda each: getattr(each, 'name', ''))
def test_multiplying_by_integers_computes_what_the_layer_does(layer, shape):
    layer, inputs = with_whole_numbers(layer, shape)
    spec = known_spec(layer)
    ((attribute, _),) = spec.kernels
    integers = np.asarray(getattr(layer, attribute)).astype(np.int32)
    if isinstance(layer, layers.Conv2DTranspose):
        integers = integers.swapaxes(-1, -2)
    if attribute == 'depthwise_kernel':
        integers = integers.reshape(*integers.shape[:-2], -1)
    kernel = IntegerKernel(integers, np.ones(integers.shape[-1]), np.asarray(layer.bias))
    assert spec.multiply is not None
    np.testing.assert_allclose(spec.multiply(layer, inputs, kernel), layer(inputs), atol=1e-2)


@pytest.mark.parametrize(
    ('layer', 'shape'),
    [
        *CASES,
        (layers.SeparableConv2D(6, 3, depth_multiplier=2), IMAGE),
        (layers.SeparableConv1D(6, 3), SERIES),
    ],
    ids=lambda each: getattr(each, 'name', ''),
)
def test_the_axes_of_each_kernel_are_its_output_channels(layer, shape):
    layer, _ = with_whole_numbers(layer, shape)
    spec = known_spec(layer)
    assert spec.kind is Kind.KERNEL
    channels = {}
    for attribute, axes in spec.kernels:
        sizes = np.asarray(getattr(layer, attribute).shape)[np.atleast_1d(axes)]
        channels[attribute] = int(np.prod(sizes))
    inner = shape[-1] * getattr(layer, 'depth_multiplier', 1)
    outer = layer.compute_output_shape(shape)[-1]
    expected = {'depthwise_kernel': inner, 'kernel': outer, 'pointwise_kernel': outer}
    assert channels == {attribute: expected[attribute] for attribute in channels}


def test_all_but_transposed_convolutions_do_the_work_of_a_relu():
    assert not known_spec(layers.Conv2DTranspose(4, 3)).takes_on_relu
    for layer in (layers.Conv2D(4, 3), layers.DepthwiseConv1D(3), layers.Dense(4)):
        assert known_spec(layer).takes_on_relu


def test_a_wrapped_layer_is_a_kernel_with_a_form():
    wrapper = QuantizedKernel(layers.Dense(4), tf_n2uq.N2UQQuantizeConfig(4))
    assert known_spec(wrapper).kind is Kind.KERNEL
    assert known_spec(wrapper).form is not None


@pytest.mark.parametrize('dilation', [1, 3])
def test_a_causal_separable_convolution_has_zeros_in_front(dilation):
    inputs = keras.Input((12, 4))
    layer = layers.SeparableConv1D(
        6, 3, padding='causal', dilation_rate=dilation, name='causal', activation='relu'
    )
    float_model = keras.Model(inputs, layers.Conv1D(2, 1)(layer(layers.Conv1D(4, 3)(inputs))))
    model = quantize(float_model, bits=8)
    assert model.get_layer('quant_causal_depthwise').output_shape == (None, 10, 4)
    data = np.random.default_rng(0).normal(size=(20, 12, 4)).astype(np.float32)
    tf_n2uq.calibrate(model, data, verbose=0)
    in_keras = model(data).numpy()
    assert np.corrcoef(in_keras.ravel(), float_model(data).numpy().ravel())[0, 1] > 0.99
    step = float(model.layers[-1].int8_scale())
    in_file = tf_n2uq.tflite.predict(tf_n2uq.tflite.convert(model), data)
    assert np.mean(np.abs(in_file - in_keras) > 0.5 * step) < 0.01
