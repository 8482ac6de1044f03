import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate
from tf_n2uq.graph.graph import Graph, Ref
from tf_n2uq.layers import Quantize, QuantizedKernel, SwitchableBatchNormalization
from tf_n2uq.quantizers import (
    AdaptiveQuantizer,
    FixedRangeQuantizer,
    LSQInputQuantizer,
    RangeQuantizer,
)
from tf_n2uq.schemes.adaptive.adaptive_transform import quantize_at_8_bits

layers = keras.layers


def network(function='sigmoid'):
    return keras.Sequential(
        [
            layers.Dense(6, input_shape=(4,), name='first'),
            layers.BatchNormalization(name='bn'),
            layers.Activation(function, name='function'),
            layers.Dense(6, name='inner'),
            layers.ReLU(name='relu'),
            layers.Dense(3, name='last'),
        ]
    )


def quantized(model=None, **arguments):
    scheme = tf_n2uq.AdaBitsScheme((8, 4), **{'method': 'lsq', **arguments})
    return tfmot.quantization.keras.quantize_apply(annotate(model or network()), scheme=scheme)


def quantizers(model):
    return {layer.name: layer.quantizer for layer in model.layers if isinstance(layer, Quantize)}


def test_trained_ranges_switch_and_fixed_ones_do_not():
    model = keras.Sequential([*network('relu').layers, layers.Activation('sigmoid', name='end')])
    found = quantizers(quantized(model))
    assert found['relu_range'] == AdaptiveQuantizer({8: RangeQuantizer(8), 4: RangeQuantizer(8)})
    assert isinstance(found['end'], FixedRangeQuantizer)
    assert not any(type(each) is RangeQuantizer for each in found.values())


@pytest.mark.parametrize(
    ('method', 'function', 'expected'),
    [
        ('n2uq', 'relu', None),
        # A function that folds into thresholds has no range in front.
        ('n2uq', 'tanh', RangeQuantizer(8)),
        # Neither have levels that the operator in front writes.
        ('lsq', 'relu', RangeQuantizer(8)),
    ],
)
def test_at_8_bits_a_range_in_front_serves_thresholds_if_there_is_one(method, function, expected):
    found = quantizers(quantized(network(function), method=method))['inner_thresholds']
    assert found.quantizers[8] == expected


def graph_with(quantizer):
    """Thresholds that have no quantizer at 8 bits, behind another quantizer or behind none."""
    inputs = keras.Input((4,), name='inputs')
    x = inputs if quantizer is None else Quantize(quantizer, name='in_front')(inputs)
    thresholds = AdaptiveQuantizer({8: None, 4: LSQInputQuantizer(4)})
    graph = Graph.from_model(keras.Model(inputs, layers.Flatten(name='flat')(x)))
    graph.insert_after(Ref('flat'), Quantize(thresholds, name='thresholds'))
    return graph


@pytest.mark.parametrize(
    ('in_front', 'expected'),
    [
        (None, RangeQuantizer(8)),
        (LSQInputQuantizer(4), RangeQuantizer(8)),
        (RangeQuantizer(8), None),
        (FixedRangeQuantizer(0, 1, 8), None),
        (AdaptiveQuantizer({8: RangeQuantizer(8), 4: RangeQuantizer(8)}), None),
    ],
    ids=repr,
)
def test_thresholds_get_a_range_at_8_bits_where_none_is_in_front(in_front, expected):
    graph = graph_with(in_front)
    for step in graph:
        quantize_at_8_bits(graph, step)
    found = graph.steps['thresholds'].layer.quantizer
    assert found.quantizers == {8: expected, 4: LSQInputQuantizer(4)}


@pytest.mark.parametrize('shared', [False, True])
def test_every_bit_width_starts_with_the_float_networks_normalization(shared):
    model = network()
    rng = np.random.default_rng(0)
    for weight in model.get_layer('bn').weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    adaptive = quantized(model, shared_affine=shared)
    (layer,) = (x for x in adaptive.layers if isinstance(x, SwitchableBatchNormalization))
    for bits in (8, 4):
        tf_n2uq.set_bits(adaptive, bits)
        for name in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
            expected = getattr(model.get_layer('bn'), name)
            np.testing.assert_array_equal(getattr(layer, name), expected)


def test_kernels_of_each_bit_width_start_from_the_kernel():
    adaptive = quantized()
    wrapper = adaptive.get_layer('quant_inner')
    assert isinstance(wrapper, QuantizedKernel)
    exact = np.asarray(wrapper.layer.kernel)
    for bits in (8, 4):
        tf_n2uq.set_bits(adaptive, bits)
        error = np.abs(wrapper.quantized_kernels()['kernel'] - exact)
        assert np.max(error) < 1.5 * np.max(np.abs(exact)) * 2.0 ** (1 - bits) * 2
