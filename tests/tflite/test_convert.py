import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, float_network, images_for, quantize, quantized_network
from tf_n2uq._compat.keras_models import nodes_read
from tf_n2uq.tflite.passes import flatbuffer

quantize_annotate_layer = tfmot.quantization.keras.quantize_annotate_layer


def _dataset(images):
    labels = np.zeros(len(images), np.int32)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)


def _agreement(content, model, images):
    return tf_n2uq.tflite.evaluate(content, _dataset(images), reference=model).agreement


def _kernel_types(content):
    return [layer.kernel_type for layer in tf_n2uq.tflite.inspect(content).layers]


def _wide(scheme):
    """A network whose inner kernel is large enough that a narrow type pays."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(32, 3, activation='relu')(image)
    x = keras.layers.Conv2D(32, 3, activation='relu', name='inner')(x)
    x = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x))
    model = tfmot.quantization.keras.quantize_apply(annotate(keras.Model(image, x)), scheme=scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model


@pytest.mark.parametrize(
    ('scheme', 'stored'),
    [
        (tf_n2uq.LSQScheme(2), 'INT2'),
        (tf_n2uq.N2UQScheme(3), 'INT4'),
        (tf_n2uq.N2UQScheme(4), 'INT4'),
        (tf_n2uq.N2UQScheme(5), 'INT8'),
    ],
)
def test_for_size_kernels_of_few_bits_are_narrow_and_the_ends_int8(scheme, stored):
    content = tf_n2uq.tflite.convert(_wide(scheme), optimize_for='size')
    assert _kernel_types(content) == ['INT8', stored, 'INT8']


@pytest.mark.parametrize('bits', [2, 4])
def test_all_kernels_are_int8_and_multiplied_by_convolutions_if_nothing_is_asked_for(bits):
    content = tf_n2uq.tflite.convert(quantized_network('residual', bits))
    report = tf_n2uq.tflite.inspect(content)
    assert {layer.kernel_type for layer in report.layers} == {'INT8'}
    assert report.operators['CONV_2D'] == 4
    assert 'STRIDED_SLICE' not in report.operators


def test_for_size_kernels_stay_int8_where_operators_would_take_more_than_they_save():
    content = tf_n2uq.tflite.convert(quantized_network('residual', 2), optimize_for='size')
    assert set(_kernel_types(content)) == {'INT8'}


def test_depthwise_kernels_are_int8():
    content = tf_n2uq.tflite.convert(quantized_network('depthwise', 2), optimize_for='size')
    layers = tf_n2uq.tflite.inspect(content).layers
    types = {layer.kernel_type for layer in layers if 'DEPTHWISE' in layer.operator}
    assert types == {'INT8'}


@pytest.mark.parametrize('interface', [tf.int8, tf.uint8])
def test_the_interface_is_integer_where_asked_for(interface):
    model = quantized_network('residual')
    images = images_for(model)
    content = tf_n2uq.tflite.convert(
        model, inference_input_type=interface, inference_output_type=interface
    )
    interpreter = tf_n2uq.tflite.make_interpreter(content)
    assert interpreter.get_input_details()[0]['dtype'] == interface.as_numpy_dtype
    assert interpreter.get_output_details()[0]['dtype'] == interface.as_numpy_dtype
    float_interface = tf_n2uq.tflite.convert(model)
    np.testing.assert_allclose(
        tf_n2uq.tflite.predict(content, images),
        tf_n2uq.tflite.predict(float_interface, images),
        atol=1e-6,
    )


def test_only_builtin_operators_are_used():
    model = flatbuffer.read(tf_n2uq.tflite.convert(quantized_network('folding_activations')))
    assert all(code.customCode is None for code in model.operatorCodes)


def test_equal_layers_keep_their_grids():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding='same', activation='relu')(image)
    for _ in range(3):
        x = keras.layers.Conv2D(4, 1, kernel_initializer='ones', activation='relu')(x)
        x = keras.layers.AveragePooling2D(1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = quantize(keras.Model(image, keras.layers.Dense(3)(x)), bits=2)
    images = images_for(model)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model, optimize_for='size')
    assert len({'INT2', 'INT4'} & set(_kernel_types(content))) == 1
    assert _kernel_types(content).count('INT8') == len(_kernel_types(content)) - 3
    assert tf_n2uq.tflite.inspect(content).xnnpack_partitions == 1
    assert _agreement(content, model, images) >= 0.9


@pytest.mark.parametrize(
    ('form', 'boundary_bits'), [('dataset', None), ('dataset', 8), ('function', None)]
)
def test_a_representative_dataset_stands_in_for_ranges_that_were_not_trained(form, boundary_bits):
    model = quantize(
        float_network('residual'), bits=4, tensor_bits=None, boundary_bits=boundary_bits
    )
    images = images_for(model, 64)
    tf_n2uq.calibrate(model, images, verbose=0)
    data = {
        'dataset': _dataset(images),
        'function': lambda: ([image[None]] for image in images[:16]),
    }[form]
    before = model.get_weights()
    content = tf_n2uq.tflite.convert(model, representative_dataset=data)
    assert tf_n2uq.tflite.inspect(content).integer_only
    assert _agreement(content, model, images) >= 0.9
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_layers_that_were_not_annotated_become_eight_bit():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation='relu')(image)
    x = quantize_annotate_layer(keras.layers.Conv2D(4, 3, activation='relu'))(x)
    x = keras.layers.Conv2D(4, 3)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = tfmot.quantization.keras.quantize_apply(
        keras.Model(image, x), scheme=tf_n2uq.N2UQScheme(bits=2)
    )
    images = images_for(model, 64)
    tf_n2uq.calibrate(model, images, verbose=0)
    with pytest.raises(ValueError, match='representative_dataset: expected data.*range'):
        tf_n2uq.tflite.convert(model)
    content = tf_n2uq.tflite.convert(model, representative_dataset=images)
    layers = tf_n2uq.tflite.inspect(content).layers
    assert [layer.comparators > 0 for layer in layers] == [False, True, False]
    assert _agreement(content, model, images) >= 0.9


def test_untrained_ranges_are_named():
    model = quantize(float_network('residual'), bits=2)
    with pytest.raises(ValueError, match=r'representative_dataset: .*_range.*calibrate'):
        tf_n2uq.tflite.convert(model)


def test_a_silenced_quantizer_is_named():
    model = quantized_network('residual')
    layer = model.get_layer('behind_sum_thresholds')
    layer.quantizer_weights['output_scale'].assign([0.0])
    with pytest.raises(ValueError, match="output scale of 'behind_sum_thresholds'"):
        tf_n2uq.tflite.convert(model)


def test_a_negative_output_scale_is_exported_right():
    model = quantized_network('residual')
    images = images_for(model, 64)
    layer = model.get_layer('behind_sum_thresholds')
    layer.quantizer_weights['output_scale'].assign(-layer.quantizer_weights['output_scale'])
    content = tf_n2uq.tflite.convert(model)
    assert tf_n2uq.tflite.evaluate(content, _dataset(images), model).mean_difference < 0.02


def test_a_channel_that_normalization_switches_off_is_exported_right():
    model = quantized_network('batch_normalized')
    images = images_for(model, 64)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale:
            gamma = layer.gamma.numpy()
            gamma[:2] = [0.0, 1e-12]
            layer.gamma.assign(gamma)
    content = tf_n2uq.tflite.convert(model)
    evaluation = tf_n2uq.tflite.evaluate(content, _dataset(images), model)
    spread = model.predict(images, verbose=0).std()
    assert evaluation.mean_difference < 0.1 * spread + 0.02


def test_a_zero_kernel_is_exported_right():
    model = quantized_network('residual')
    layer = model.get_layer('quant_behind_sum').layer
    layer.kernel.assign(np.zeros(layer.kernel.shape, np.float32))
    images = images_for(model)
    content = tf_n2uq.tflite.convert(model)
    assert tf_n2uq.tflite.evaluate(content, _dataset(images), model).mean_difference < 0.02


def test_models_that_cannot_be_converted_are_refused():
    import keras as keras3

    with pytest.raises(ValueError, match='expected a quantized model, got the float model'):
        tf_n2uq.tflite.convert(float_network('residual'))
    with pytest.raises(ValueError, match='expected a quantized model'):
        tf_n2uq.tflite.convert(float_network('residual'), representative_dataset=np.zeros((1, 8)))
    with pytest.raises(TypeError, match='Keras 3.*tf_n2uq.from_keras3'):
        tf_n2uq.tflite.convert(keras3.Sequential([keras3.Input((8,)), keras3.layers.Dense(2)]))
    with pytest.raises(ValueError, match='inference_input_type: expected tf.float32'):
        tf_n2uq.tflite.convert(quantized_network('residual'), inference_input_type=tf.int16)


def test_an_input_of_unknown_size_is_refused():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, activation='relu')(image)
    x = keras.layers.Conv2D(4, 3, name='inner')(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = quantize(keras.Model(image, keras.layers.Dense(2)(x)), bits=2)
    tf_n2uq.calibrate(model, np.random.default_rng(0).random((4, 8, 8, 3)), verbose=0)
    with pytest.raises(ValueError, match='input_shapes: expected the size of images'):
        tf_n2uq.tflite.convert(model)


def test_an_average_over_the_border_leaves_its_input_to_others():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding='same', activation='relu')(image)
    average = keras.layers.AveragePooling2D(3, strides=1, padding='same')(x)
    x = keras.layers.Add()([keras.layers.Conv2D(6, 1)(x), keras.layers.Conv2D(6, 1)(average)])
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = quantize(keras.Model(image, keras.layers.Dense(3)(x)), bits=3)
    images = images_for(model, 64)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model)
    assert tf_n2uq.tflite.inspect(content).integer_only
    outputs = model.predict(images, verbose=0)
    error = np.abs(tf_n2uq.tflite.predict(content, images) - outputs).mean()
    assert error < 0.02 * np.abs(outputs).max()


def test_a_term_that_has_died_out_beside_its_sum_is_exported_right():
    model = quantized_network('residual')
    for layer in model.layers:
        if isinstance(layer, keras.layers.Add):
            term = nodes_read(layer.inbound_nodes[0])[0].layer
            weights = term.quantizer_weights
            weights['min'].assign(0.0)
            weights['max'].assign(1e-5)
            break
    images = images_for(model, 64)
    content = tf_n2uq.tflite.convert(model)
    assert tf_n2uq.tflite.inspect(content).xnnpack_partitions == 1
    assert _agreement(content, model, images) >= 0.95


def test_an_unknown_layer_is_named():
    image = keras.Input((8, 8, 3))
    x = quantize_annotate_layer(keras.layers.Conv2D(4, 3))(image)
    x = keras.layers.Masking(name='odd')(x)
    model = tfmot.quantization.keras.quantize_apply(
        keras.Model(image, x), scheme=tf_n2uq.N2UQScheme(bits=2)
    )
    with pytest.raises(ValueError, match=r'got odd \(Masking\)'):
        tf_n2uq.tflite.convert(model, representative_dataset=np.zeros((1, 8, 8, 3)))


def test_convert_has_no_warning_of_the_converter():
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert tf_n2uq.tflite.convert(quantized_network('dense_only'))
