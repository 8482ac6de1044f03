import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.networks import quantize
from tf_n2uq.graph.decisions import decide
from tf_n2uq.graph.graph import Graph, Ref
from tf_n2uq.tflite.network.ranges import Range, range_before, read_ranges

layers = keras.layers


def network(merge, **scheme):
    """The model's graph, in which `merge` joins two kernels; its tensors are named by ranges."""
    image = keras.Input((4, 4, 3))
    a = layers.Conv2D(4, 1, name='left')(image)
    b = layers.Conv2D(4, 1, name='right')(image)
    x = merge([a, b])
    model = quantize(keras.Model(image, layers.GlobalMaxPooling2D()(x)), bits=8, **scheme)
    graph = Graph.of_layers(model)
    decisions = decide(graph)
    return graph, decisions


def set_range(graph, name, low, high):
    weights = graph.steps[name].layer.quantizer_weights
    weights['min'].assign(low)
    weights['max'].assign(high)


def ranges_of(merge, bounds):
    """The names of the ranges of two terms and their result, and the ranges of the file."""
    graph, decisions = network(merge)
    step = next(step for step in graph if isinstance(step.layer, type(merge)))
    names = [range_before(decisions, ref) for ref in step.inputs]
    names.append(decisions.result_ranges[step.name])
    for name in decisions.ranges:
        set_range(graph, name, -1.0, 1.0)
    for name, (low, high) in zip(names, bounds, strict=True):
        set_range(graph, name, low, high)
    ranges = read_ranges(graph, decisions)
    return [ranges[name].scale for name in names]


@pytest.mark.parametrize(('low', 'high'), [(-1.3, 2.1), (0.0, 5.7), (-0.4, 0.0)])
def test_a_range_is_read_as_fake_quant_takes_it(low, high):
    graph, decisions = network(layers.Add())
    name = decisions.ranges[0]
    set_range(graph, name, low, high)
    found = Range.of(graph.steps[name])
    probe = np.linspace(low - 1, high + 1, 5000).astype(np.float32)
    expected = tf.quantization.fake_quant_with_min_max_vars(probe, low, high)
    np.testing.assert_allclose(found.quantize(probe), expected, atol=1e-6)
    np.testing.assert_allclose(np.unique(expected), found.values(), atol=1e-6)
    assert 0.0 in found.values()


def test_ranges_that_xnnpack_adds_up_stay_as_they_are():
    scales = ranges_of(layers.Add(), [(-1.0, 1.0), (-2.0, 2.0), (-3.0, 3.0)])
    np.testing.assert_allclose(scales, np.array([2.0, 4.0, 6.0]) / 255)


def test_a_term_that_has_died_out_is_widened():
    small, large, total = ranges_of(layers.Add(), [(-1e-5, 1e-5), (-2.0, 2.0), (-2.0, 2.0)])
    assert small == pytest.approx(total / 1000)
    assert large == total == pytest.approx(4.0 / 255)


def test_a_sum_that_is_always_zero_is_widened():
    first, second, total = ranges_of(layers.Subtract(), [(-2, 2), (-1, 1), (-1e-5, 1e-5)])
    assert total == pytest.approx(first / 250)
    assert second == pytest.approx(2.0 / 255)


def test_a_product_is_held_against_both_scales_multiplied():
    first, second, product = ranges_of(layers.Multiply(), [(-9, 9), (-9, 9), (-1e-5, 1e-5)])
    assert product == pytest.approx(first * second / 250)


def test_a_tensor_without_a_range_is_named():
    graph, decisions = network(layers.Add(), tensor_bits=None)
    bare = next(step.name for step in graph if step.name.endswith('left'))
    with pytest.raises(ValueError, match=rf"range in front of '{bare}'.*tensor_bits=8"):
        range_before(decisions, Ref(bare))
