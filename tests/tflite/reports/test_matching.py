import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantize, quantized_network
from tf_n2uq.graph.graph import Graph
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.levels.planning import plan_tables
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.matching import match
from tf_n2uq.tflite.targets import PLANNERS


@pytest.fixture(scope='module')
def residual():
    model = quantized_network('residual')
    graph = Graph.from_model(model)
    graph.to_model()
    return model, graph, flatbuffer.read(tf_n2uq.tflite.convert(model))


def _find(matches, name):
    (found,) = (each for each in matches if each.step.name == name)
    return found


def test_tensors_are_found_by_the_names_of_their_layers(residual):
    _, graph, file = residual
    matches, missing = match(graph, file)
    assert missing == []
    names = [
        flatbuffer.text(flatbuffer.main_graph(file).tensors[each.index].name) for each in matches
    ]
    assert 'behind_sum_thresholds/LeakyRelu' in names
    levels = _find(matches, 'behind_sum_thresholds')
    assert (levels.levels, levels.stretch, levels.zero) == (4, 8, -128)
    assert _find(matches, 'behind_sum_range').levels == 256


@pytest.mark.parametrize('planner', [plan_comparators, plan_tables])
def test_levels_are_found_behind_comparators_and_behind_chains(residual, planner, monkeypatch):
    model, graph, _ = residual
    monkeypatch.setitem(PLANNERS, 'xnnpack', planner)
    file = flatbuffer.read(tf_n2uq.tflite.convert(model))
    names = [flatbuffer.text(each.name) for each in flatbuffer.main_graph(file).tensors]
    assert any(name.endswith('/chain') for name in names) == (planner is plan_tables)
    matches, missing = match(graph, file)
    assert missing == []
    levels = _find(matches, 'behind_sum_thresholds')
    assert (levels.levels, levels.stretch, levels.zero) == (4, 8, -128)


def test_keras_and_file_count_the_same_levels(residual):
    model, graph, file = residual
    matches, _ = match(graph, file)
    levels = _find(matches, 'behind_sum_thresholds')
    layer = model.get_layer('behind_sum_thresholds')
    inputs = images_for(model)
    expected = layer.quantizer.levels(inputs, layer.quantizer_weights)
    np.testing.assert_array_equal(levels.keras_levels(layer(inputs)), expected)
    np.testing.assert_array_equal(levels.file_levels(np.int8([-128, -119, -113, -103])), range(4))


def test_ranges_with_another_scale_are_not_taken(residual):
    _, graph, file = residual
    step = graph.steps['behind_sum_range']
    high = step.layer.quantizer_weights['max']
    before = high.numpy()
    high.assign(2 * before)
    try:
        assert match(graph, file)[1] == ['behind_sum_range']
    finally:
        high.assign(before)


def test_a_tensor_with_images_and_rows_on_one_axis_is_found():
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(8, 3, padding='same')(image)
    x = keras.layers.UpSampling2D(2, interpolation='bilinear', name='larger')(x)
    model = quantize(keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(x))))
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 3)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    report = tf_n2uq.tflite.compare(model, tf_n2uq.tflite.convert(model), images)
    (larger,) = [each for each in report.quantizers if each.name == 'larger_range']
    # Averages of integers are often ties, which Keras may round to the other side.
    assert larger.xnnpack.largest <= 1
    assert larger.xnnpack.differing < 0.05 * larger.values
