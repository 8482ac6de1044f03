import numpy as np
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, quantize
from tf_n2uq._compat.keras_models import nodes_in_order, nodes_read
from tf_n2uq.layers import Quantize


def _inputs_of(model, name):
    """Names of the layers in front of a layer."""
    (node,) = [node for node in nodes_in_order(model) if node.layer.name == name]
    return [parent.layer.name for parent in nodes_read(node)]


def _has(model, name):
    return any(layer.name == name for layer in model.layers)


def test_each_layer_has_thresholds_of_its_own_on_a_shared_tensor():
    model = quantize(float_network('several_readers'), bits=2)
    sources = {name: _inputs_of(model, f'{name}_thresholds') for name in ('left', 'right')}
    assert sources['left'] == sources['right']
    for name in ('left', 'right', 'middle'):
        assert _inputs_of(model, f'quant_{name}') == [f'{name}_thresholds']


def test_thresholds_come_before_the_padding_even_if_it_is_shared():
    model = quantize(float_network('zero_padded'), bits=2)
    paddings = [_inputs_of(model, f'quant_{name}')[0] for name in ('left', 'right', 'deep')]
    assert len(set(paddings)) == 3
    for padding, name in zip(paddings, ('left', 'right', 'deep'), strict=True):
        assert isinstance(model.get_layer(padding), keras.layers.ZeroPadding2D)
        assert _inputs_of(model, padding) == [f'{name}_thresholds']


def test_level_zero_is_what_is_padded():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(2, 1, input_shape=(4, 4, 1)),
            keras.layers.ZeroPadding2D(1, name='pad'),
            keras.layers.Conv2D(2, 3, name='inner'),
            keras.layers.Conv2D(2, 1),
        ]
    )
    quantized = quantize(model, bits=2)
    padded = keras.Model(quantized.inputs, _output_in(quantized, 'pad'))
    images = np.full((1, 4, 4, 1), 5.0, np.float32)
    border = padded(images).numpy()[:, 0]
    np.testing.assert_array_equal(border, np.zeros_like(border))


def _output_in(model, name):
    (node,) = [node for node in nodes_in_order(model) if node.layer.name == name]
    return node.outputs


def test_ranges_are_where_the_file_has_int8_tensors():
    model = quantize(float_network('batch_normalized'), bits=2)
    ranges = {layer.name for layer in model.layers if layer.name.endswith('_range')}
    # Behind ReLU, not between normalization and ReLU; before a LeakyReLU that folds.
    assert 're_lu_range' in ranges or any(name.startswith('re_lu') for name in ranges)
    assert not any(name.startswith('conv2d') for name in ranges)
    assert not any(name.startswith('leaky') for name in ranges)
    assert _inputs_of(model, 'behind_leaky_thresholds')[0].startswith('leaky')


def test_a_normalization_before_the_convolution_folds_into_its_thresholds():
    model = quantize(float_network('normalized_first'), bits=2)
    (relu,) = _inputs_of(model, 'behind_normalization_thresholds')
    (normalization,) = _inputs_of(model, relu)
    (before,) = _inputs_of(model, normalization)
    assert isinstance(model.get_layer(normalization), keras.layers.BatchNormalization)
    assert isinstance(model.get_layer(before), Quantize)


def test_a_separable_convolution_becomes_two_quantized_ones():
    model = quantize(float_network('separable'), bits=2)
    parts = [layer.name for layer in model.layers if layer.name.startswith('quant_separable')]
    assert len(parts) == 4
    for name in parts:
        stem = name.removeprefix('quant_')
        assert _inputs_of(model, name) == [f'{stem}_thresholds']


def test_a_shared_relu_layer_is_doubled():
    model = quantize(float_network('several_readers'), bits=2)
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    assert len(relus) == 2
    # Each of them is part of the convolution before it, which needs no range of its own then.
    for relu in relus:
        (convolution,) = _inputs_of(model, relu.name)
        assert convolution.startswith('quant_')


def test_outputs_and_inputs_keep_their_structure():
    images = {'a': keras.Input((4, 4, 1), name='a'), 'b': keras.Input((4, 4, 1), name='b')}
    x = keras.layers.Add()([keras.layers.Conv2D(2, 1)(image) for image in images.values()])
    outputs = {'one': keras.layers.Conv2D(3, 1)(x), 'two': keras.layers.Conv2D(2, 1)(x)}
    model = quantize(keras.Model(images, outputs), bits=2)
    zeros = {name: np.zeros((2, 4, 4, 1), np.float32) for name in images}
    result = model.predict(zeros, verbose=0)
    assert {name: value.shape for name, value in result.items()} == {
        'one': (2, 4, 4, 3),
        'two': (2, 4, 4, 2),
    }


def test_regularization_of_the_float_network_stays():
    layer = keras.layers.Conv2D(2, 1, kernel_regularizer='l2', input_shape=(4, 4, 1))
    model = keras.Sequential([layer, keras.layers.Conv2D(2, 1, kernel_regularizer='l2')])
    quantized = quantize(model, bits=2)
    np.testing.assert_allclose(float(sum(quantized.losses)), float(sum(model.losses)), rtol=1e-5)


def test_a_frozen_layer_stays_frozen():
    frozen = keras.layers.Conv2D(2, 1, trainable=False, name='frozen', input_shape=(4, 4, 1))
    model = quantize(keras.Sequential([frozen, keras.layers.Conv2D(2, 1)]), bits=2)
    assert not model.get_layer('quant_frozen').trainable_weights


def test_mixed_precision_keeps_parameters_and_levels_in_float32():
    with _policy('mixed_bfloat16'):
        model = quantize(float_network('residual'), bits=2)
    assert all(weight.dtype == 'float32' for weight in model.trainable_weights)
    images = np.random.default_rng(0).random((8, 8, 8, 3)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    model.compile('sgd', loss='mse')
    loss = model.train_on_batch(images, np.zeros((8, 4), np.float32))
    assert np.isfinite(loss)


class _policy:  # noqa: N801 - reads as a context manager
    def __init__(self, name):
        self._name = name

    def __enter__(self):
        self._before = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(self._name)

    def __exit__(self, *_):
        keras.mixed_precision.set_global_policy(self._before)


def test_tfmots_layer_names_are_kept():
    model = float_network('residual')
    names = {f'quant_{layer.name}' for layer in model.layers if layer.name.startswith('conv2d')}
    quantized = {layer.name for layer in quantize(model, bits=2).layers}
    assert names <= quantized


def test_frozen_kernels_are_told_of_once_and_stay_frozen(caplog):
    model = float_network('batch_normalized')
    model.get_layer('inner').trainable = False
    quantized = quantize(model, bits=2)
    (message,) = [each for each in caplog.messages if 'frozen' in each]
    assert "1 of 5 quantized layers are frozen (trainable=False), 'inner' for one" in message
    assert not quantized.get_layer('quant_inner').layer.trainable
    assert quantized.get_layer('inner_thresholds').trainable
