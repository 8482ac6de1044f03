"""What stands before a quantizer, and the quantizer, as one function of an int8 value."""

import hypothesis
import numpy as np
import pytest
import tf_keras as keras
from hypothesis import strategies as st

import tf_n2uq
from tests.networks import quantize
from tf_n2uq._compat.keras_models import nodes_in_order, tensors_read
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import RPReLU
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.network.completion import complete
from tf_n2uq.tflite.network.level_tables import table_of
from tf_n2uq.tflite.network.ranges import Range, read_ranges

CHANNELS = 4


def _network(*layers):
    """The 256 values of an int8 tensor go through `layers` into a quantizer."""
    image = keras.Input((16, 16, CHANNELS))
    x = keras.layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer='ones')(image)
    for layer in layers:
        x = layer(x)
    x = keras.layers.Conv2D(2, 1, name='inner')(x)
    return keras.Model(image, keras.layers.Conv2D(2, 1)(x))


def _randomize(model, rng, slopes):
    for layer in model.layers:
        if isinstance(layer, RPReLU):
            layer.bias_in.assign(rng.normal(0, 0.5, CHANNELS))
            layer.slope.assign(rng.uniform(*slopes, CHANNELS))
            layer.bias_out.assign(rng.normal(0, 0.5, CHANNELS))
    weights = model.get_layer('inner_thresholds').quantizer_weights
    weights['start'].assign(rng.normal(0, 0.5, 1))
    weights['intervals'].assign(rng.uniform(-0.1, 1.0, weights['intervals'].shape))
    weights['input_scale'].assign(rng.uniform(0.3, 2.0, 1))


def _table_and_keras(model):
    """The table that is lowered, and what the Keras layers do to the same 256 values."""
    graph, decisions = complete(model, None)
    thresholds = next(s for s in graph.in_order() if s.name == 'inner_thresholds')
    table = table_of(graph, decisions, thresholds, read_ranges(graph, decisions))
    layer = model.get_layer('inner_thresholds')
    (node,) = [node for node in nodes_in_order(model) if node.layer is layer]
    (before,) = [
        tensors_read(node)[0]
        for node in nodes_in_order(model)
        if node.layer.name == _first_folded(graph, thresholds)
    ]
    values = keras.Model(before, node.outputs)
    numbers = np.zeros((1, 16, 16, CHANNELS), np.float32)
    numbers[0] = table.range.values().reshape(16, 16, 1)
    levels = values(numbers).numpy() / float(layer.quantizer.step(layer.quantizer_weights))
    return table, np.rint(levels).astype(int).reshape(256, CHANNELS)


def _first_folded(graph: Graph, step):
    name = step.name
    (source,) = step.inputs
    while not source.step.endswith('_range'):
        name = source.step
        (source,) = graph.steps[name].inputs
    return name


@hypothesis.settings(max_examples=12, deadline=None)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(2, 4),
    slopes=st.sampled_from([(0.0, 1.0), (-1.0, -0.1), (-1.0, 1.0)]),
)
def test_all_256_values_get_the_level_that_keras_gives_them(seed, bits, slopes):
    rng = np.random.default_rng(seed)
    # An RPReLU behind another function is a part of the thresholds.
    model = quantize(_network(keras.layers.ELU(), RPReLU()), bits=bits)
    tf_n2uq.calibrate(model, rng.normal(size=(8, 16, 16, CHANNELS)), verbose=0)
    _randomize(model, rng, slopes)
    table, expected = _table_and_keras(model)
    levels = np.broadcast_to(table.levels.reshape(256, -1), expected.shape)
    np.testing.assert_array_equal(levels, expected)
    plan = plan_comparators(table.levels)
    q = np.arange(-128, 128).reshape(256, *[1] * (table.levels.ndim - 1))
    np.testing.assert_array_equal(plan.evaluate(q), table.levels)


@pytest.mark.parametrize(
    'layers',
    [
        lambda: [keras.layers.BatchNormalization()],
        lambda: [keras.layers.LeakyReLU(0.2)],
        lambda: [keras.layers.PReLU(shared_axes=[1, 2])],
        lambda: [keras.layers.Activation('swish')],
        lambda: [keras.layers.Activation('tanh'), keras.layers.ReLU()],
        lambda: [keras.layers.LeakyReLU(), keras.layers.BatchNormalization(), keras.layers.ELU()],
    ],
)
def test_layers_in_front_fold(layers):
    rng = np.random.default_rng(0)
    model = quantize(_network(*layers()), bits=3)
    tf_n2uq.calibrate(model, rng.normal(size=(8, 16, 16, CHANNELS)), verbose=0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.3, 1.5, w.shape) for w in layer.get_weights()])
    table, expected = _table_and_keras(model)
    levels = np.broadcast_to(table.levels.reshape(256, -1), expected.shape)
    np.testing.assert_array_equal(levels, expected)


def test_the_values_of_a_range_are_those_of_fake_quant():
    import tensorflow as tf

    for low, high in ((-1.3, 2.1), (0.0, 5.7), (-0.4, 0.0)):
        scale = (high - low) / 255
        tensor_range = Range(scale, int(np.clip(round(-low / scale), 0, 255)) - 128)
        probe = np.linspace(low - 1, high + 1, 20000).astype(np.float32)
        got = np.unique(tf.quantization.fake_quant_with_min_max_vars(probe, low, high))
        np.testing.assert_allclose(got, tensor_range.values(), atol=1e-6)
