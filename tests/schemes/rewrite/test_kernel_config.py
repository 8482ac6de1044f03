"""The TFMOT side of configs for layers with kernels."""

from __future__ import annotations

import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.quantizers import EntropyPreservingQuantizer, LearnableThresholdQuantizer

CONFIG = tf_n2uq.N2UQQuantizeConfig(3)


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


@pytest.mark.parametrize(
    ('layer', 'axes'),
    [
        (built(keras.layers.Dense(4), 3), {'kernel': -1}),
        (built(keras.layers.Conv1D(4, 3), 8, 2), {'kernel': -1}),
        (built(keras.layers.Conv2DTranspose(4, 3), 8, 8, 2), {'kernel': -2}),
        (built(keras.layers.DepthwiseConv2D(3), 8, 8, 2), {'depthwise_kernel': (-2, -1)}),
        (
            built(keras.layers.SeparableConv2D(4, 3), 8, 8, 2),
            {'depthwise_kernel': (-2, -1), 'pointwise_kernel': -1},
        ),
    ],
)
def test_each_kernel_gets_a_quantizer_with_its_axes(layer, axes):
    pairs = CONFIG.get_weights_and_quantizers(layer)
    expected = [
        (getattr(layer, name), EntropyPreservingQuantizer(3, axis)) for name, axis in axes.items()
    ]
    assert [quantizer for _, quantizer in pairs] == [quantizer for _, quantizer in expected]
    for (variable, _), (wanted, _) in zip(pairs, expected, strict=True):
        assert variable is wanted


def test_kernels_and_activations_are_set_where_they_were_read():
    layer = built(keras.layers.Dense(4, activation='relu'), 3)
    assert CONFIG.get_activations_and_quantizers(layer) == [
        (keras.activations.relu, LearnableThresholdQuantizer(3))
    ]
    CONFIG.set_quantize_activations(layer, [keras.activations.tanh])
    assert layer.activation is keras.activations.tanh
    assert CONFIG.get_output_quantizers(layer) == []


def test_a_layer_without_a_kernel_is_named():
    layer = keras.layers.ReLU(name='relu')
    with pytest.raises(ValueError, match="expected a layer with a kernel .* got ReLU 'relu'"):
        CONFIG.get_weights_and_quantizers(layer)
