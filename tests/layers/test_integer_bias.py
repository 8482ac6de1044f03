import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import Deployment, Quantize, QuantizedKernel, RPReLU
from tf_n2uq.quantizers import RangeQuantizer

layers = keras.layers
SHAPE = (8, 8, 3)


def quantized(*inner, bits=2, tensor_bits=8, **scheme):
    model = keras.Sequential(
        [
            layers.Conv2D(8, 3, activation='relu', input_shape=SHAPE, name='stem'),
            *inner,
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name='head'),
        ]
    )
    for variable in model.variables:
        if variable.name.endswith(('bias:0', 'beta:0', 'gamma:0', 'moving_mean:0')):
            variable.assign(tf.random.uniform(variable.shape, 0.2, 1.0, seed=1))
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    made = tf_n2uq.N2UQScheme(bits=bits, tensor_bits=tensor_bits, **scheme)
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=made)
    tf_n2uq.calibrate(model, tf.data.Dataset.from_tensors(images()))
    return model


def images():
    return np.random.default_rng(0).uniform(0, 1, (16, *SHAPE)).astype(np.float32)


def rounding_of(wrapper):
    rounding = wrapper.bias_rounding()
    assert rounding is not None
    return rounding.numpy()


def in_units(model, name, normalization=None):
    """The layer's whole bias, rounded and not, in units of input scale times kernel scale."""
    wrapper = model.get_layer(f'quant_{name}')
    rounding = rounding_of(wrapper)
    thresholds = model.get_layer(f'{name}_thresholds')
    scale = float(thresholds.int8_scale())
    ((attribute, quantizer, _),) = wrapper.kernel_quantizers
    unit = np.reshape(quantizer.integers(getattr(wrapper.layer, attribute))[1], [-1])
    grid = unit.astype(np.float64) * wrapper.bias_units() * scale
    bias = np.zeros(len(grid)) if wrapper.layer.bias is None else wrapper.layer.bias.numpy()
    if normalization is not None:
        behind = model.get_layer(normalization)
        sigma = np.sqrt(behind.moving_variance.numpy().astype(np.float64) + behind.epsilon)
        bias = bias - behind.moving_mean.numpy() + behind.beta.numpy() * sigma / behind.gamma
    return bias / grid, (bias + rounding) / grid


@pytest.mark.parametrize('bits', [2, 3, 4])
@pytest.mark.parametrize(
    ('inner', 'normalization'),
    [
        ([layers.Conv2D(6, 3, name='inner')], None),
        (
            [
                layers.Conv2D(6, 3, use_bias=False, name='inner'),
                layers.BatchNormalization(name='n'),
            ],
            'n',
        ),
        ([layers.Conv2D(6, 3, name='inner'), layers.BatchNormalization(name='n')], 'n'),
        (
            [
                layers.ZeroPadding2D(1),
                layers.DepthwiseConv2D(3, depth_multiplier=2, name='inner'),
                layers.BatchNormalization(name='n'),
                layers.ReLU(),
            ],
            'n',
        ),
    ],
    ids=['bias', 'normalization', 'both', 'depthwise'],
)
def test_the_whole_bias_becomes_the_nearest_integer(inner, normalization, bits):
    copies = [type(layer).from_config(layer.get_config()) for layer in inner]
    exact, rounded = in_units(quantized(*copies, bits=bits), 'inner', normalization)
    assert np.max(np.abs(exact - np.rint(exact))) > 1e-3
    np.testing.assert_allclose(rounded, np.rint(exact), atol=1e-3)


def test_another_deployment_rounds_to_its_own_grid():
    scales = {}
    for halved in (True, False):
        keras.utils.set_random_seed(0)  # the same kernels in both networks
        deployment = Deployment(halved_bits=(4,) if halved else ())
        model = quantized(layers.Conv2D(6, 3, name='inner'), bits=4, deployment=deployment)
        exact, rounded = in_units(model, 'inner')
        np.testing.assert_allclose(rounded, np.rint(exact), atol=1e-3)
        assert model.get_layer('quant_inner').bias_units() == (2 if halved else 1)
        scales[halved] = float(model.get_layer('inner_thresholds').int8_scale())
    np.testing.assert_allclose(scales[True] * 14, scales[False] * 16, rtol=1e-6)


def test_inference_adds_the_rounding_and_training_does_not():
    model = quantized(layers.Conv2D(6, 3, name='inner'))
    wrapper = model.get_layer('quant_inner')
    inputs = tf.zeros([1, 6, 6, 8])
    bias = wrapper.layer.bias.numpy()
    np.testing.assert_allclose(wrapper(inputs, training=True)[0, 0, 0], bias, rtol=1e-6)
    expected = bias + rounding_of(wrapper)
    np.testing.assert_allclose(wrapper(inputs, training=False)[0, 0, 0], expected, rtol=1e-6)
    assert np.any(expected != bias)
    symbolic = tf.function(lambda training: wrapper(inputs, training=training))
    for training, want in ((True, bias), (False, expected)):
        np.testing.assert_allclose(symbolic(tf.constant(training))[0, 0, 0], want, rtol=1e-6)


def test_a_channel_without_kernel_or_without_slope_is_left_alone():
    model = quantized(layers.Conv2D(6, 3, name='inner'), layers.BatchNormalization(name='n'))
    wrapper, behind = model.get_layer('quant_inner'), model.get_layer('n')
    kernel = wrapper.layer.kernel.numpy()
    kernel[..., 0] = 0
    wrapper.layer.kernel.assign(kernel)
    behind.gamma.assign(np.array([1, 0, 1, 1, 1, 1], np.float32))
    rounding = rounding_of(wrapper)
    assert rounding[0] == 0
    assert rounding[1] == 0
    assert np.all(rounding[2:] != 0)
    assert np.all(np.isfinite(model(images())))


def test_without_8_bit_tensors_the_network_stays_as_published():
    model = quantized(layers.Conv2D(6, 3, name='inner'), tensor_bits=None)
    wrapper = model.get_layer('quant_inner')
    outputs = wrapper(tf.zeros([1, 6, 6, 8]), training=False)
    np.testing.assert_array_equal(outputs[0, 0, 0], wrapper.layer.bias)


@pytest.mark.parametrize('suffix', ['.keras', '.h5', ''])
def test_a_loaded_model_rounds_as_before(suffix, tmp_path):
    model = quantized(layers.Conv2D(6, 3, name='inner'), layers.BatchNormalization(name='n'))
    model.save(tmp_path / f'model{suffix}')
    loaded = keras.models.load_model(tmp_path / f'model{suffix}')
    np.testing.assert_array_equal(loaded.predict(images()), model.predict(images()))
    wrappers = [layer for layer in loaded.layers if isinstance(layer, QuantizedKernel)]
    assert all(wrapper.bias_rounding() is not None for wrapper in wrappers)
    assert all(wrapper.integer_bias for wrapper in wrappers)


def rectified():
    """An RPReLU in a range of its own, as in networks of version 0.1.0."""
    image = keras.Input(SHAPE)
    x = Quantize(RangeQuantizer(), name='source')(layers.Conv2D(8, 3, name='stem')(image))
    x = RPReLU(integer_bias=True, input_quantizer='source', name='computed')(x)
    model = keras.Model(image, Quantize(RangeQuantizer(), name='result')(x))
    for index, weight in enumerate(model.get_layer('computed').weights):
        weight.assign(tf.random.normal(weight.shape, 0.3, 0.4, seed=index))
    tf_n2uq.calibrate(model, tf.data.Dataset.from_tensors(images()))
    return model


def lines_of(layer):
    lines = layer.line_rounding()
    assert lines is not None
    return lines


def test_both_lines_of_an_rprelu_start_at_whole_numbers_of_their_units():
    model = rectified()
    layer = model.get_layer('computed')
    unit = float(model.get_layer(layer.input_quantizer).int8_scale()) / 127
    slope, knee, offset = (
        v.numpy().astype(np.float64) for v in (layer.slope, layer.bias_in, layer.bias_out)
    )
    left, right = (rounding.numpy() for rounding in lines_of(layer))
    for line, rounding, size in (
        (slope * knee + offset, left, unit * np.abs(slope)),
        (knee + offset, right, unit + 0 * slope),
    ):
        whole = (line + rounding) / size
        np.testing.assert_allclose(whole, np.rint(whole), atol=1e-6)
        assert np.all(np.abs(rounding) <= 0.5 * size * (1 + 1e-9))
        assert np.any(rounding != 0)


def test_an_rprelu_rounds_at_inference_only():
    layer = rectified().get_layer('computed')
    x = np.linspace(-1, 1, 64 * 8, dtype=np.float32).reshape(1, 8, 8, 8)
    plain = RPReLU.from_config({**layer.get_config(), 'integer_bias': False})
    plain(x)
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x, training=True), plain(x))
    left, right = lines_of(layer)
    expected = plain(x) + tf.cast(tf.where(x + layer.bias_in > 0, right, left), tf.float32)
    np.testing.assert_allclose(layer(x, training=False), expected, atol=1e-7)
    assert np.any(layer(x, training=False) != plain(x))
