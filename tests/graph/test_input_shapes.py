import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tf_n2uq.graph.input_shapes import with_input_shapes

layers = keras.layers


def any_size(*free_inputs):
    """Returns a quantized model of images of any size, one for each name."""
    images = [keras.Input((None, None, 3), name=name) for name in free_inputs]
    pooled = []
    for image in images:
        x = layers.Conv2D(8, 3, activation='relu')(image)
        x = layers.Conv2D(8, 3, activation='relu')(x)
        pooled.append(layers.GlobalAveragePooling2D()(x))
    x = layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]
    inputs = dict(zip(free_inputs, images, strict=True)) if len(images) > 1 else images[0]
    return quantize(keras.Model(inputs, layers.Dense(3, name='classes')(x)))


def random_images(*sizes):
    return np.random.default_rng(0).normal(size=(6, *sizes, 3)).astype(np.float32)


@pytest.fixture(scope='module')
def one():
    model = any_size('photo')
    tf_n2uq.calibrate(model, random_images(12, 10), verbose=0)
    return model


@pytest.fixture(scope='module')
def two():
    model = any_size('left', 'right')
    images = {'left': random_images(12, 10), 'right': random_images(8, 9)}
    tf_n2uq.calibrate(model, images, verbose=0)
    return model


@pytest.mark.parametrize('shapes', [(12, 10, 3), [(12, 10, 3)], {'photo': (12, 10, 3)}])
def test_a_file_takes_images_of_the_size_that_is_given(one, shapes):
    content = tf_n2uq.tflite.convert(one, input_shapes=shapes)
    report = tf_n2uq.tflite.inspect(content)
    assert [(end.name, end.shape) for end in report.inputs] == [('photo', (1, 12, 10, 3))]
    assert [end.name for end in report.outputs] == ['classes']
    compared = tf_n2uq.tflite.compare(one, content, random_images(12, 10))
    assert not [each for each in compared.quantizers if each.xnnpack.differing]
    assert compared.xnnpack.max_difference < 0.01


def test_files_of_several_sizes_come_from_one_model(one):
    for size in (9, 16):
        content = tf_n2uq.tflite.convert(one, input_shapes=(size, size, 3))
        images = random_images(size, size)
        np.testing.assert_allclose(
            tf_n2uq.tflite.predict(content, images), one(images), atol=0.01 * np.ptp(one(images))
        )


def test_inputs_of_a_dictionary_keep_their_names(two):
    shapes = {'right': (8, 9, 3), 'left': (12, 10, 3)}
    content = tf_n2uq.tflite.convert(two, input_shapes=shapes)
    report = tf_n2uq.tflite.inspect(content)
    assert {end.name: end.shape[1:] for end in report.inputs} == shapes
    images = {'left': random_images(12, 10), 'right': random_images(8, 9)}
    expected = two(images)
    got = tf_n2uq.tflite.predict(content, images)
    np.testing.assert_allclose(got, expected, atol=0.01 * np.ptp(expected))


def test_the_model_keeps_its_own_inputs(one):
    fixed = with_input_shapes(one, (12, 10, 3))
    assert one.input_shape == (None, None, None, 3)
    assert fixed.input_shape == (None, 12, 10, 3)
    assert fixed.input_names == one.input_names
    assert with_input_shapes(one, None) is one


def test_an_input_of_unknown_size_asks_for_input_shapes(one):
    with pytest.raises(ValueError, match=r"input_shapes: .*'photo'.*input_shapes=\(96, 96, 3\)"):
        tf_n2uq.tflite.convert(one)


@pytest.mark.parametrize(
    ('shapes', 'message'),
    [
        ((12, 10, 4), r"input 'photo' that fits \(None, None, 3\).*got \(12, 10, 4\)"),
        ((1, 12, 10, 3), 'without the batch'),
        ((12, None, 3), 'fits'),
        ((0, 10, 3), 'at least 1'),
        ('12x10', 'expected a shape for each input'),
        ([(12, 10, 3), (12, 10, 3)], 'of which there are 1'),
        ({'image': (12, 10, 3)}, 'which are photo, got image'),
    ],
)
def test_shapes_that_do_not_fit_are_refused(one, shapes, message):
    with pytest.raises(ValueError, match=f'input_shapes: .*{message}'):
        tf_n2uq.tflite.convert(one, input_shapes=shapes)


def test_an_input_that_a_dictionary_leaves_out_keeps_its_shape(two):
    fixed = with_input_shapes(two, {'left': tf.TensorShape((12, 10, 3))})
    shapes = {name: tensor.shape[1:] for name, tensor in fixed.input.items()}
    assert shapes == {'left': (12, 10, 3), 'right': (None, None, 3)}


def test_each_bit_width_of_an_adaptive_model_takes_the_size_that_is_given():
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, activation='relu')(layers.Conv2D(8, 3, activation='relu')(image))
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    scheme = tf_n2uq.AdaBitsScheme(bits=(4, 2))
    model = tfmot.quantization.keras.quantize_apply(
        tf_n2uq.annotate(keras.Model(image, x)), scheme=scheme
    )
    images = random_images(12, 10)
    tf_n2uq.calibrate(model, images, verbose=0)
    for bits in (4, 2):
        content = tf_n2uq.tflite.convert(model, bits=bits, input_shapes=(12, 10, 3))
        tf_n2uq.set_bits(model, bits)
        compared = tf_n2uq.tflite.compare(model, content, images)
        assert not [each for each in compared.quantizers if each.xnnpack.differing]
