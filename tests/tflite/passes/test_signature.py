import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize, quantized_network
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.signature import sign

layers = keras.layers


def two_inputs(outputs_of):
    first, second = keras.Input((8, 8, 3), name='z_first'), keras.Input((8, 8, 3), name='second')
    x = layers.Concatenate()([layers.Conv2D(4, 3)(first), layers.Conv2D(4, 3)(second)])
    x = layers.GlobalAveragePooling2D()(x)
    outputs = outputs_of([layers.Dense(size, name=f'head_{size}')(x) for size in (3, 2, 4)])
    model = quantize(keras.Model([first, second], outputs))
    rng = np.random.default_rng(0)
    images = tuple(rng.random((6, 8, 8, 3)).astype(np.float32) for _ in range(2))
    tf_n2uq.calibrate(model, tf.data.Dataset.from_tensors((images,)), verbose=0)
    return model, images


@pytest.mark.parametrize(
    ('outputs_of', 'names', 'sizes'),
    [
        (list, ['output_0', 'output_1', 'output_2'], [3, 2, 4]),
        (lambda heads: dict(zip('zam', heads, strict=True)), ['a', 'm', 'z'], [2, 4, 3]),
    ],
    ids=['list', 'dict'],
)
def test_outputs_come_in_the_models_order_and_by_name(outputs_of, names, sizes):
    model, images = two_inputs(outputs_of)
    interpreter = tf_n2uq.tflite.make_interpreter(tf_n2uq.tflite.convert(model))
    assert [each['shape'][-1] for each in interpreter.get_output_details()] == sizes
    assert interpreter.get_signature_list() == {
        'serving_default': {'inputs': ['second', 'z_first'], 'outputs': names}
    }
    run = interpreter.get_signature_runner()
    expected = model([image[:1] for image in images], training=False)
    expected = expected if isinstance(expected, dict) else dict(zip(names, expected, strict=True))
    got = run(z_first=images[0][:1], second=images[1][:1])
    for name in names:
        np.testing.assert_allclose(got[name], expected[name], atol=0.05)
        assert got[name].shape == expected[name].shape


@pytest.mark.parametrize('interface', [tf.float32, tf.int8, tf.uint8])
def test_a_file_of_any_interface_can_be_run_by_its_signature(interface):
    model = quantized_network('sequential')
    content = tf_n2uq.tflite.convert(
        model, inference_input_type=interface, inference_output_type=interface
    )
    interpreter = tf_n2uq.tflite.make_interpreter(content)
    image = np.zeros((1, 8, 8, 3), interface.as_numpy_dtype)
    (name,) = model.input_names
    outputs = interpreter.get_signature_runner()(**{name: image})
    assert outputs['output_0'].shape == (1, 4)
    assert outputs['output_0'].dtype == interface.as_numpy_dtype


def test_other_numbers_of_names_are_refused():
    file = flatbuffer.read(tf_n2uq.tflite.convert(quantized_network('dense_only')))
    with pytest.raises(ValueError, match='expected 1 and 1 names'):
        sign(file, ['a', 'b'], ['c'])
