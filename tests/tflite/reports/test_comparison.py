import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, images_for, quantize, quantized_network
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports import comparison


@pytest.fixture(scope='module')
def residual():
    model = quantized_network('residual')
    return model, tf_n2uq.tflite.convert(model), images_for(model, 10)


def _raised(file, name):
    """The file with a bias raised by some units in front of the tensor of a name."""
    graph = flatbuffer.main_graph(file)
    (operator,) = (
        operator
        for operator in graph.operators
        if flatbuffer.text(graph.tensors[operator.outputs[0]].name).startswith(name)
    )
    bias = graph.tensors[operator.inputs[2]]
    values = np.frombuffer(flatbuffer.buffer_bytes(file, bias), np.int32)
    bias.buffer = flatbuffer.add_buffer(file, values + 2000)
    return flatbuffer.write(file)


# Keras adds up in floats: of a hundred numbers one may round to the other side.
FEW = 0.02


@pytest.mark.parametrize('name', ['depthwise', 'rectified', 'separable', 'zero_padded'])
def test_every_quantizer_of_a_network_is_found_and_agrees(name):
    model = quantized_network(name)
    report = tf_n2uq.tflite.compare(model, tf_n2uq.tflite.convert(model), images_for(model, 4))
    layers = [layer for layer in model.layers if isinstance(layer, tf_n2uq.layers.Quantize)]
    assert report.not_compared == ()
    assert {each.name for each in report.quantizers} == {layer.name for layer in layers}
    assert max(each.xnnpack_share for each in report.quantizers) < FEW
    assert report.xnnpack.mean_difference < 0.5


def test_what_xnnpack_computes_is_what_it_computes_in_the_file_itself(residual):
    _, content, images = residual
    file = flatbuffer.read(content)
    indices = sorted(flatbuffer.producers(flatbuffer.main_graph(file)))
    tapped = comparison._with_outputs(file, indices)
    assert tf_n2uq.tflite.inspect(tapped).xnnpack_partitions == 1
    run = comparison._FileRun(tf_n2uq.tflite.make_interpreter(tapped, 1), [], 1)
    run.add([images], [])
    expected = tf_n2uq.tflite.predict(content, images)
    np.testing.assert_array_equal(np.concatenate(run.outputs[0]), expected)


def test_levels_and_numbers_are_counted(residual):
    model, content, images = residual
    report = tf_n2uq.tflite.compare(model, content, images)
    assert report.images == 10
    kinds = {each.name: (each.kind, each.levels, each.values) for each in report.quantizers}
    assert kinds['behind_sum_thresholds'] == ('thresholds', 4, 10 * 8 * 8 * 8)
    assert kinds['behind_sum_range'] == ('range', 256, 10 * 6 * 6 * 8)
    names = [each.name for each in report.quantizers]
    assert names.index('behind_sum_thresholds') < names.index('behind_sum_range')


def test_a_difference_is_found_where_it_begins(residual):
    model, content, images = residual
    wrong = _raised(flatbuffer.read(content), 'quant_behind_sum/')
    report = tf_n2uq.tflite.compare(model, wrong, images)
    first = report.first_xnnpack
    assert first is not None
    assert first.name == 'behind_sum_range'
    assert first.xnnpack.differing > 0
    found = first.xnnpack.first
    assert found is not None
    assert found.image == 0
    assert found.file_level > found.keras_level
    assert found.file_level - found.keras_level <= first.xnnpack.largest
    shown = str(report).splitlines()
    shares = [float(line.split()[5].rstrip('%')) for line in shown[2 : shown.index('')]]
    assert shares == sorted(shares, reverse=True)
    assert any(
        line.startswith('XNNPACK        first difference: behind_sum_range') for line in shown
    )
    assert max(map(len, shown)) <= 100


@pytest.mark.parametrize('interface', [tf.int8, tf.uint8])
def test_an_integer_interface_is_compared_too(interface):
    model = quantized_network('dense_only')
    content = tf_n2uq.tflite.convert(
        model, inference_input_type=interface, inference_output_type=interface
    )
    report = tf_n2uq.tflite.compare(model, content, images_for(model, 4))
    assert max(each.xnnpack_share for each in report.quantizers) < FEW
    assert report.output_scale == pytest.approx(1 / 256)


def test_a_negative_output_scale_is_compared_too():
    model = quantized_network('residual')
    layer = model.get_layer('behind_sum_thresholds')
    layer.quantizer_weights['output_scale'].assign(-layer.quantizer_weights['output_scale'])
    report = tf_n2uq.tflite.compare(model, tf_n2uq.tflite.convert(model), images_for(model, 4))
    (levels,) = (each for each in report.quantizers if each.name == layer.name)
    assert levels.xnnpack.differing == 0


def test_without_trained_ranges_thresholds_are_compared():
    model = quantize(float_network('residual'), bits=3, tensor_bits=None, boundary_bits=None)
    images = images_for(model)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model, representative_dataset=images)
    report = tf_n2uq.tflite.compare(model, content, images[:4])
    assert {each.kind for each in report.quantizers} == {'thresholds'}
    assert {each.levels for each in report.quantizers} == {8}


def test_a_range_that_is_no_tensor_of_the_file_is_named():
    image = keras.Input((6, 6, 3))
    parts = [keras.layers.Conv2D(4, 3)(image) for _ in range(2)]
    # What both begin with is computed once.
    sums = [keras.layers.Add()(parts), keras.layers.Average(name='average')(parts)]
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()(sums))
    model = quantize(keras.Model(image, keras.layers.Dense(4)(x)), bits=2)
    images = images_for(model, 8)
    tf_n2uq.calibrate(model, images, verbose=0)
    report = tf_n2uq.tflite.compare(model, tf_n2uq.tflite.convert(model), images)
    assert report.not_compared == ('average_0_range',)
    assert 'not compared   average_0_range' in str(report)


def test_a_file_of_another_model_is_refused(residual):
    model, content, images = residual
    other = tf_n2uq.tflite.convert(quantized_network('normalized_first'))
    with pytest.raises(
        ValueError, match='content: expected the file.*behind_sum_thresholds.*again'
    ):
        tf_n2uq.tflite.compare(model, other, images)
    larger = tf_n2uq.tflite.convert(quantized_network('several_readers'))
    with pytest.raises(ValueError, match=r'takes images \(8, 8, 3\), got one.*\(9, 9, 3\)'):
        tf_n2uq.tflite.compare(model, larger, images)
    retrained = keras.models.clone_model(model)
    retrained.set_weights(model.get_weights())
    for layer in retrained.layers:
        if isinstance(getattr(layer, 'quantizer', None), tf_n2uq.quantizers.RangeQuantizer):
            layer.quantizer_weights['max'].assign(1.5 * layer.quantizer_weights['max'])
    with pytest.raises(ValueError, match='levels and scales: .*input_.*_range'):
        tf_n2uq.tflite.compare(retrained, content, images)


def test_bad_arguments_are_refused(residual):
    model, content, images = residual
    with pytest.raises(ValueError, match='expected a quantized model, got the float model'):
        tf_n2uq.tflite.compare(float_network('residual'), content, images)
    with pytest.raises(TypeError, match='expected a tf_keras model, got 7'):
        tf_n2uq.tflite.compare(7, content, images)
    with pytest.raises(ValueError, match='expected a TFLite file'):
        tf_n2uq.tflite.compare(model, b'no file at all', images)
    with pytest.raises(ValueError, match='dataset: expected at least one batch'):
        tf_n2uq.tflite.compare(model, content, [])
    with pytest.raises(ValueError, match=r'dataset: expected batches of shape \[\(None, 8, 8, 3\)'):
        tf_n2uq.tflite.compare(model, content, images[:, 1:])
