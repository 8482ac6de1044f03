import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq.tflite.running.evaluation import evaluate, predict

CLASSES = 3


def scores(x):
    """The mean of each channel: a classifier that needs no kernel."""
    return fake_quant(tf.reduce_mean(fake_quant(x, 0.02, 5), [1, 2]), 0.02)


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).uniform(-2, 2, (50, 4, 4, CLASSES)).astype(np.float32)


@pytest.fixture(scope='module')
def labels(images):
    return images.mean(axis=(1, 2)).argmax(axis=-1)


@pytest.fixture(scope='module')
def content():
    return convert(scores, [1, 4, 4, CLASSES])


def reference(bias=0.0):
    inputs = keras.Input((4, 4, CLASSES))
    outputs = keras.layers.GlobalAveragePooling2D()(inputs)
    shift = keras.layers.Rescaling(1.0, np.float32([0.0, bias, 0.0]))
    return keras.Model(inputs, shift(outputs))


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


def test_accuracy_counts_what_is_labelled_so(content, images, labels):
    wrong = labels.copy()
    wrong[:10] = (wrong[:10] + 1) % CLASSES
    right = evaluate(content, tf.data.Dataset.from_tensor_slices((images, labels)).batch(16))
    assert right.examples == 50  # the last batch is smaller
    assert right.accuracy > 0.9
    assert right.agreement is right.mean_difference is right.max_difference is None
    assert right.reference_accuracy is None
    half = evaluate(content, [(images, wrong)])
    assert right.accuracy - half.accuracy == pytest.approx(0.2, abs=0.05)


def test_labels_may_have_an_axis_of_one(content, images, labels):
    assert evaluate(content, [(images, labels[:, None])]) == evaluate(content, [(images, labels)])


def test_agreement_is_with_the_reference_and_not_the_labels(content, images, labels):
    dataset = tf.data.Dataset.from_tensor_slices((images, (labels + 1) % CLASSES)).batch(20)
    same = evaluate(content, dataset, reference())
    assert same.accuracy < 0.1
    assert same.agreement > 0.9
    assert 0 < same.mean_difference < same.max_difference < 0.021
    assert same.reference_accuracy == 0.0
    other = evaluate(content, dataset, reference(bias=10.0))
    assert other.reference_accuracy == np.mean((labels + 1) % CLASSES == 1)
    assert other.agreement == pytest.approx(np.mean(labels == 1), abs=0.05)
    assert other.max_difference == pytest.approx(10.0, abs=0.03)


def test_a_progress_bar_is_shown_on_demand(content, images, labels, capsys):
    evaluate(content, [(images, labels)])
    assert 'TFLite' not in capsys.readouterr().err
    evaluate(content, [(images, labels)], verbose=True)
    assert 'TFLite' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('dataset', 'error', 'message'),
    [
        ([], ValueError, 'dataset: expected at least one batch'),
        ([(np.zeros((0, 4, 4, 3)), np.zeros(0, int))], ValueError, 'got none'),
        ([np.zeros((2, 4, 4, 3))], ValueError, r'pairs \(images, labels\).*got ndarray'),
        ([(np.zeros((2, 5, 4, 3)), np.zeros(2, int))], ValueError, r'\(4, 4, 3\).*got \(5, 4, 3\)'),
        ([(np.zeros((2, 4, 4, 3)), np.zeros(3, int))], ValueError, r'got the shapes .* and \(3,\)'),
        ([(np.zeros((2, 4, 4, 3)), np.zeros((2, 3), int))], ValueError, 'one integer label each'),
        ([(np.zeros((2, 4, 4, 3)), np.zeros(2))], TypeError, 'integer labels, got dtype float64'),
    ],
)
def test_bad_datasets_are_refused(content, dataset, error, message):
    with pytest.raises(error, match=message):
        evaluate(content, dataset)


def test_a_reference_of_other_outputs_is_refused(content, images, labels):
    inputs = keras.Input((4, 4, CLASSES))
    other = keras.Model(inputs, keras.layers.Flatten()(inputs))
    with pytest.raises(ValueError, match=r'reference: expected.*\(50, 3\), got \(50, 48\)'):
        evaluate(content, [(images, labels)], other)


def test_a_file_that_does_not_classify_is_refused(images, labels):
    def image(x):
        return fake_quant(tf.nn.relu(fake_quant(x, 0.02)), 0.02)

    with pytest.raises(ValueError, match='expected the file of a classifier'):
        evaluate(convert(image, [1, 4, 4, CLASSES]), [(images, labels)])


def test_bad_images_and_files_are_refused(content):
    with pytest.raises(ValueError, match='at least one image'):
        predict(content, np.zeros((0, 4, 4, 3)))
    with pytest.raises(ValueError, match=r'\(4, 4, 3\).*got \(4, 4\)'):
        predict(content, np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match='expected a TFLite file'):
        predict(b'not a model', np.zeros((1, 4, 4, 3)))


def test_a_file_of_two_inputs_is_refused():
    def two(x, y):
        return fake_quant(fake_quant(x, 0.02) + fake_quant(y, 0.02), 0.02)

    spec = tf.TensorSpec([1, 4], tf.float32)
    concrete = tf.function(two).get_concrete_function(spec, spec)
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module()).convert()
    with pytest.raises(ValueError, match='one input and one output, got 2 and 1'):
        predict(content, np.zeros((1, 4)))
