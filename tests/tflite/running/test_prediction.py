"""Running files on arrays and datasets, by the names and order of the model."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq.tflite.running.prediction import FileRunner, predict

CLASSES = 3


def scores(x):
    """The mean of each channel: a classifier that needs no kernel."""
    return fake_quant(tf.reduce_mean(fake_quant(x, 0.02, 5), [1, 2]), 0.02)


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).uniform(-2, 2, (50, 4, 4, CLASSES)).astype(np.float32)


@pytest.fixture(scope='module')
def content():
    return convert(scores, [1, 4, 4, CLASSES])


@pytest.mark.parametrize('interface', [tf.float32, tf.int8, tf.uint8])
def test_predictions_are_floats_whatever_the_interface(images, interface):
    outputs = predict(convert(scores, [1, 4, 4, CLASSES], interface), images)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, images.mean(axis=(1, 2)), atol=0.021)


def test_batches_and_single_images_give_the_same(content, images):
    singly = np.concatenate([predict(content, image[None]) for image in images])
    np.testing.assert_array_equal(predict(content, images), singly)


def test_a_graph_of_fixed_batch_is_run_example_by_example(images):
    def fixed(x):
        return scores(tf.reshape(fake_quant(x, 0.02, 5), [1, 2, 8, CLASSES]))

    outputs = predict(convert(fixed, [1, 4, 4, CLASSES]), images)
    np.testing.assert_allclose(outputs, images.mean(axis=(1, 2)), atol=0.021)


def test_an_input_may_come_in_a_list_by_name_or_as_numbers(content, images):
    expected = predict(content, images)
    (name,) = FileRunner(content, 1).input_names
    for given in ([images], (images,), {name: images}, images.tolist()):
        np.testing.assert_array_equal(predict(content, given), expected)


def test_datasets_are_run_batch_by_batch(content, images):
    expected = predict(content, images)
    alone = tf.data.Dataset.from_tensor_slices(images).batch(16)
    labelled = tf.data.Dataset.from_tensor_slices((images, np.zeros(50))).batch(16)
    for given in (alone, labelled, iter([images[:20], images[20:]])):
        np.testing.assert_array_equal(predict(content, given), expected)
    with pytest.raises(ValueError, match='inputs: expected at least one batch'):
        predict(content, iter([]))


def test_several_inputs_come_in_order_or_by_name_and_outputs_as_the_model_returns_them(two_ends):
    model, content, inputs = two_ends
    expected = model.predict(inputs, verbose=0)
    for given in (inputs, dict(reversed(inputs.items())), [inputs['z'], inputs['a']]):
        got = predict(content, given)
        assert isinstance(got, list)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=0.01)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, np.zeros(9))).batch(4)
    for one, other in zip(predict(content, dataset), got, strict=True):
        np.testing.assert_array_equal(one, other)
    swapped = predict(content, [inputs['a'], inputs['z']])
    assert np.abs(swapped[1] - expected[1]).max() > 0.02


def test_outputs_of_a_dictionary_come_as_one(two_named_ends):
    model, content, inputs = two_named_ends
    expected, got = model.predict(inputs, verbose=0), predict(content, inputs)
    assert set(got) == set(expected) == {'second', 'first'}
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, atol=0.01)


def test_integers_without_a_scale_stand_for_themselves():
    def number(x):
        return tf.argmax(fake_quant(x, 0.02), -1, tf.int32)

    points = np.eye(4, dtype=np.float32)[[2, 0, 3]]
    np.testing.assert_array_equal(predict(convert(number, [1, 4]), points), [2, 0, 3])


def test_bad_inputs_and_files_are_refused(content, two_ends):
    with pytest.raises(ValueError, match='at least one example'):
        predict(content, np.zeros((0, 4, 4, 3)))
    with pytest.raises(ValueError, match=r'\(4, 4, 3\).*got \(4, 4\)'):
        predict(content, np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match='expected a TFLite file'):
        predict(b'not a model', np.zeros((1, 4, 4, 3)))
    _, two, inputs = two_ends
    with pytest.raises(ValueError, match='expected 2 arrays, for the inputs z, a, got ndarray'):
        predict(two, inputs['a'])
    with pytest.raises(ValueError, match="names of the file's inputs, z, a, got a, b"):
        predict(two, {'a': inputs['a'], 'b': inputs['z']})
    with pytest.raises(ValueError, match='as many examples of each input, got 9, 8 of z, a'):
        predict(two, [inputs['z'], inputs['a'][:8]])
    with pytest.raises(ValueError, match=r"the file's input 'a' .*\(4,\), got \(3,\)"):
        predict(two, [inputs['z'], inputs['a'][:, :3]])
