"""Schemes of any method, by the example of N2UQ: bits per layer, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, images_for, quantize
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import (
    EntropyPreservingQuantizer,
    LearnableThresholdQuantizer,
    RangeQuantizer,
    SymmetricQuantizer,
)

quantize_annotate_layer = tfmot.quantization.keras.quantize_annotate_layer
quantize_apply = tfmot.quantization.keras.quantize_apply


def _threshold_bits(model):
    return {
        layer.name.removesuffix('_thresholds'): layer.quantizer.bits
        for layer in model.layers
        if isinstance(layer, Quantize) and isinstance(layer.quantizer, LearnableThresholdQuantizer)
    }


def _kernel_quantizer(model, name):
    wrapper = model.get_layer(f'quant_{name}')
    ((_, quantizer),) = wrapper.quantize_config.get_weights_and_quantizers(wrapper.layer)
    return quantizer


def _chain(**arguments):
    layers = [
        keras.layers.Conv2D(4, 3, name='first', input_shape=(8, 8, 1)),
        keras.layers.Conv2D(4, 3, name='block1_conv'),
        keras.layers.Conv2D(4, 3, name='block2_conv'),
        keras.layers.Flatten(),
        keras.layers.Dense(8, name='hidden'),
        keras.layers.Dense(3, name='last'),
    ]
    return quantize(keras.Sequential(layers), **arguments)


def test_inner_layers_get_the_bits_and_the_ends_eight():
    model = _chain(bits=3)
    assert _threshold_bits(model) == {'block1_conv': 3, 'block2_conv': 3, 'hidden': 3}
    assert _kernel_quantizer(model, 'block1_conv') == EntropyPreservingQuantizer(3)
    assert _kernel_quantizer(model, 'first') == SymmetricQuantizer(8)
    assert _kernel_quantizer(model, 'last') == SymmetricQuantizer(8)


def test_weight_and_activation_bits_override_bits():
    model = _chain(bits=2, weight_bits=4, activation_bits=5)
    assert set(_threshold_bits(model).values()) == {5}
    assert _kernel_quantizer(model, 'hidden') == EntropyPreservingQuantizer(4)


def test_the_first_expression_that_matches_a_whole_name_wins():
    model = _chain(bits=2, layers={'block1.*': 4, 'block.*': None, 'last': 3})
    assert _threshold_bits(model) == {'block1_conv': 4, 'hidden': 2, 'last': 3}
    assert type(model.get_layer('block2_conv')) is keras.layers.Conv2D


def test_ends_without_bits_stay_in_float():
    model = _chain(bits=2, boundary_bits=None)
    assert type(model.get_layer('first')) is keras.layers.Conv2D
    assert type(model.get_layer('last')) is keras.layers.Dense


def test_tensors_without_bits_have_no_ranges():
    model = _chain(bits=2, tensor_bits=None)
    quantizers = [layer.quantizer for layer in model.layers if isinstance(layer, Quantize)]
    assert quantizers
    assert not any(isinstance(quantizer, RangeQuantizer) for quantizer in quantizers)


def test_a_config_given_to_a_layer_comes_first():
    config = tf_n2uq.N2UQQuantizeConfig(bits=4)
    model = keras.Sequential(
        [
            quantize_annotate_layer(keras.layers.Conv2D(4, 3, name='first'), config),
            quantize_annotate_layer(keras.layers.Conv2D(4, 3, name='second')),
            keras.layers.Conv2D(4, 3, name='third'),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.build((None, 8, 8, 1))
    scheme = tf_n2uq.N2UQScheme(bits=2, layers={'first': 3})
    assert _threshold_bits(quantize_apply(model, scheme=scheme)) == {'first': 4, 'second': 2}


def test_only_annotated_layers_are_touched():
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation='relu', name='before')(image)
    x = quantize_annotate_layer(keras.layers.Conv2D(4, 3, name='inside'))(x)
    x = keras.layers.Conv2D(4, 3, activation='relu', name='after')(x)
    model = quantize_apply(keras.Model(image, x), scheme=tf_n2uq.N2UQScheme(bits=2))
    assert [layer.name for layer in model.layers if isinstance(layer, QuantizedKernel)] == [
        'quant_inside'
    ]
    for name in ('before', 'after'):
        layer = model.get_layer(name)
        assert type(layer) is keras.layers.Conv2D
        assert layer.activation is keras.activations.relu


@pytest.mark.parametrize('name', ['residual', 'separable', 'batch_normalized', 'depthwise'])
def test_float_weights_are_carried_over_exactly(name):
    model = float_network(name)
    quantized = quantize(model, bits=2)
    expected = sorted((w.shape, w.tobytes()) for w in model.get_weights())
    kept = [
        weight
        for layer in quantized.layers
        if not isinstance(layer, Quantize)
        for weight in layer.get_weights()
    ]
    assert sorted((w.shape, w.tobytes()) for w in kept) == expected


def test_the_users_model_is_not_changed():
    model = float_network('residual')
    images = images_for(model)
    before = model.predict(images, verbose=0)
    quantized = quantize(model, bits=2)
    quantized.compile('sgd', loss='mse')
    quantized.fit(images, before, verbose=0)
    np.testing.assert_array_equal(model.predict(images, verbose=0), before)


def test_a_sequential_model_stays_sequential():
    assert isinstance(quantize(float_network('sequential'), bits=2), keras.Sequential)


def test_the_registry_hands_out_configs_for_kernels_only():
    registry = tf_n2uq.N2UQScheme(bits=3).get_quantize_registry()
    config = registry.get_quantize_config(keras.layers.Dense(3))
    assert config == tf_n2uq.N2UQQuantizeConfig(bits=3)
    with pytest.raises(ValueError, match='no kernel'):
        registry.get_quantize_config(keras.layers.ReLU())


def test_the_config_works_under_tfmots_own_scheme():
    config = tf_n2uq.N2UQQuantizeConfig(bits=2)
    layer = keras.layers.Dense(6, activation='relu')
    model = keras.Sequential(
        [quantize_annotate_layer(layer, config), keras.layers.Dense(2, name='float')]
    )
    model.build((None, 5))
    with tfmot.quantization.keras.quantize_scope():
        quantized = quantize_apply(model)
    wrapper = next(layer for layer in quantized.layers if layer.name.startswith('quant_dense'))
    outputs = wrapper(np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32))
    assert len(np.unique(outputs.numpy())) == 4
    kernel = wrapper.layer.kernel
    assert all(len(np.unique(kernel[:, unit])) <= 4 for unit in range(6))
    inputs = np.ones((8, 5), np.float32)
    quantized.compile('sgd', loss='mse')
    before = [weight.numpy() for weight in wrapper.trainable_weights]
    quantized.fit(inputs, np.ones((8, 2), np.float32), verbose=0)
    after = [weight.numpy() for weight in wrapper.trainable_weights]
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@keras.saving.register_keras_serializable(package='tests')
def wave(inputs):
    return tf.sin(inputs)


def test_configs_are_serialized_with_all_bit_widths():
    config = tf_n2uq.N2UQQuantizeConfig(bits=2, weight_bits=3, activation_bits=4)
    text = keras.utils.legacy.serialize_keras_object(config)
    assert keras.utils.legacy.deserialize_keras_object(text) == config


@pytest.mark.parametrize('bits', [1, 9, 0, -2])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match=rf'bits: .*from 2 to 8, got {bits};'):
        tf_n2uq.N2UQScheme(bits=bits)
    with pytest.raises(ValueError, match=r'weight_bits'):
        tf_n2uq.N2UQQuantizeConfig(bits=2, weight_bits=bits)


@pytest.mark.parametrize('bits', [2.0, '2', None, True, [2]])
def test_bits_that_are_no_integer_are_refused(bits):
    with pytest.raises(TypeError, match='bits'):
        tf_n2uq.N2UQScheme(bits=bits)


@pytest.mark.parametrize('name', ['boundary_bits', 'tensor_bits'])
@pytest.mark.parametrize('bits', [4, 16, True, '8'])
def test_other_widths_of_ends_and_tensors_are_refused(name, bits):
    with pytest.raises(ValueError, match=f'{name}: expected 8, or None'):
        tf_n2uq.N2UQScheme(**{name: bits})


def test_layers_must_be_valid_expressions():
    with pytest.raises(ValueError, match=r'layers: expected regular expressions.*\('):
        tf_n2uq.N2UQScheme(layers={'(': 2})
    with pytest.raises(ValueError, match='layers'):
        tf_n2uq.N2UQScheme(layers={'a': 12})
    with pytest.raises(TypeError, match='layers: expected a dict'):
        tf_n2uq.N2UQScheme(layers=['a'])


def test_an_expression_that_matches_nothing_is_refused_with_the_names():
    with pytest.raises(ValueError, match=r"'blok.*'.*block1_conv"):
        _chain(bits=2, layers={'blok.*': 4})


def test_an_unknown_layer_is_named_with_the_way_out():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, input_shape=(8, 8, 1)),
            keras.layers.Reshape((6, 24)),
            keras.layers.LSTM(5, name='memory'),
            keras.layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match=r"'memory' is a LSTM.*layers=\{'memory': None\}"):
        quantize(model, bits=2)
    quantized = quantize(model, bits=2, layers={'memory': None})
    assert type(quantized.get_layer('memory')) is keras.layers.LSTM


def test_an_unknown_activation_is_named():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, name='odd', activation=wave, input_shape=(8, 8, 1)),
            keras.layers.Conv2D(4, 3),
        ]
    )
    with pytest.raises(ValueError, match=r"'odd' has the activation 'wave'"):
        quantize(model, bits=2)


@pytest.mark.parametrize(
    'shared',
    [
        keras.layers.LayerNormalization(name='shared'),
        tf_n2uq.layers.RPReLU(name='shared'),
        keras.layers.Dense(4, activation=keras.layers.PReLU(), name='shared'),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_shared_layer_that_cannot_stay_shared_is_refused(shared):
    features = keras.Input((4,))
    x = shared(keras.layers.Dense(4)(shared(features)))
    model = keras.Model(features, keras.layers.Dense(2)(x))
    with pytest.raises(ValueError, match=r"'shared' is called 2 times; .* layers=\{'shared': None"):
        quantize(model, bits=2)


def test_calls_of_a_layer_share_its_kernel_its_quantizer_and_its_bits():
    shared = keras.layers.Conv2D(4, 3, padding='same', activation='relu', name='shared')
    image = keras.Input((8, 8, 4))
    x = keras.layers.GlobalAveragePooling2D()(shared(shared(image)))
    model = keras.Model(image, keras.layers.Dense(2)(x))
    quantized = tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(model), tf_n2uq.LSQScheme(bits=2)
    )
    (kernel,) = [layer for layer in quantized.layers if layer.name == 'quant_shared']
    # The first call is at the boundary of the network, so both have 8 bits.
    assert kernel.kernel_quantizers[0][1].bits == 8
    uses = [kernel.use(0).role, kernel.use(1).role]
    assert [use.is_last for use in uses] == [False, False]
    assert uses[0].input_quantizer != uses[1].input_quantizer
    assert sum(variable.shape == (3, 3, 4, 4) for variable in quantized.weights) == 1


def test_channels_first_is_refused():
    image = keras.Input((1, 8, 8))
    x = keras.layers.Conv2D(4, 3, data_format='channels_first', name='nchw')(image)
    with pytest.raises(ValueError, match=r"'nchw'.*channels_last"):
        quantize(keras.Model(image, x), bits=2)


def test_a_config_on_a_layer_without_a_kernel_is_refused():
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3)(image)
    x = quantize_annotate_layer(keras.layers.ReLU(name='relu'), tf_n2uq.N2UQQuantizeConfig())(x)
    with pytest.raises(ValueError, match=r"quantize_config: .*ReLU 'relu'"):
        quantize_apply(keras.Model(image, x), scheme=tf_n2uq.N2UQScheme(bits=2))


def test_tfmot_refuses_models_without_annotation_or_shape():
    scheme = tf_n2uq.N2UQScheme(bits=2)
    with pytest.raises(ValueError, match='at least one layer'):
        quantize_apply(float_network('residual'), scheme=scheme)
    unbuilt = keras.Sequential([quantize_annotate_layer(keras.layers.Dense(2))])
    with pytest.raises(ValueError, match='must be a built model'):
        quantize_apply(unbuilt, scheme=scheme)

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match='Sequential or Functional'):
        quantize_apply(Subclassed(), scheme=scheme)
