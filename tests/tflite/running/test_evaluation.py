import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq.tflite.running.evaluation import evaluate

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


def test_one_hot_labels_are_classes(content, images, labels):
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    assert evaluate(content, [(images, one_hot)]) == evaluate(content, [(images, labels)])


def test_whole_arrays_are_a_dataset(content, images, labels):
    assert evaluate(content, (images, labels)) == evaluate(content, [(images, labels)])


@pytest.mark.parametrize(
    ('dataset', 'error', 'message'),
    [
        ([], ValueError, 'dataset: expected at least one batch'),
        ([(np.zeros((0, 4, 4, 3)), np.zeros(0, int))], ValueError, 'got none'),
        ([np.zeros((2, 4, 4, 3))], ValueError, r'pairs \(inputs, labels\), got inputs alone'),
        ([(np.zeros((2, 5, 4, 3)), np.zeros(2, int))], ValueError, r'\(4, 4, 3\).*got \(5, 4, 3\)'),
        ([(np.zeros((2, 4, 4, 3)), np.zeros(3, int))], ValueError, r'labels of the shape \(3,\)'),
        ([(np.zeros((2, 4, 4, 3)), np.zeros((2, 3), int))], ValueError, 'one integer label each'),
        (
            [(np.zeros((2, 4, 4, 3)), np.zeros(2))],
            TypeError,
            'integer or one-hot labels, .*float64',
        ),
        (
            [(np.zeros((2, 4, 4, 3)), np.zeros(2, int), np.ones(2))],
            ValueError,
            'weighted_metrics=… for sample weights',
        ),
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


def image_to_image(x):
    return fake_quant(tf.nn.relu(fake_quant(x, 0.02)), 0.02)


def test_a_file_that_does_not_classify_needs_metrics(images, labels):
    with pytest.raises(ValueError, match='expected the file of a classifier.*Pass metrics=…'):
        evaluate(convert(image_to_image, [1, 4, 4, CLASSES]), [(images, labels)])


def test_metrics_judge_file_and_reference_alike(images):
    """Masks, numbers and probabilities: each has the values that Keras' `evaluate` gives."""
    content = convert(image_to_image, [1, 4, 4, CLASSES])
    model = keras.Sequential([keras.Input((4, 4, CLASSES)), keras.layers.ReLU()])
    masks = (images > 0.5).astype(np.float32)
    metrics = [
        'mae',
        'mse',
        keras.metrics.BinaryIoU([1], threshold=0.5),
        keras.metrics.MeanIoU(CLASSES, sparse_y_true=False, sparse_y_pred=False),
        keras.metrics.AUC(),
    ]
    copies = [type(each).from_config(each.get_config()) for each in metrics[2:]]
    model.compile(metrics=[*metrics[:2], *copies])
    expected = model.evaluate(images, masks, verbose=0, return_dict=True)
    del expected['loss']
    report = evaluate(content, (images, masks), model, metrics=metrics)
    assert report.examples == 50
    assert report.accuracy is report.reference_accuracy is report.agreement is None
    assert report.reference_metrics == pytest.approx(expected, rel=1e-4)
    assert report.metrics == pytest.approx(expected, abs=0.02)
    assert list(report.metrics) == list(expected)
    assert report.max_difference < 0.021
    assert float(metrics[2].result()) == 0.0  # Those given stay as they are.


def test_sample_weights_weigh_weighted_metrics_alone(content, images, labels):
    weights = np.zeros(50, np.float32)
    weights[:10] = 1.0
    wrong = labels.copy()
    wrong[10:] = (wrong[10:] + 1) % CLASSES
    dataset = tf.data.Dataset.from_tensor_slices((images, wrong, weights)).batch(16)
    report = evaluate(content, dataset, metrics=['accuracy'], weighted_metrics=['accuracy'])
    right = evaluate(content, (images[:10], labels[:10])).accuracy
    assert report.metrics is not None
    assert report.metrics['weighted_accuracy'] == pytest.approx(right)
    assert report.metrics['accuracy'] < 0.3


def test_several_outputs_are_judged_by_their_names(two_ends):
    model, content, inputs = two_ends
    numbers = np.random.default_rng(1).random((9, 2)).astype(np.float32)
    labels = {'label': np.arange(9) % 3, 'size': numbers}
    metrics = {'label': 'accuracy', 'size': ['mae']}
    report = evaluate(content, (inputs, labels), model, metrics=metrics)
    label, size = model.predict(inputs, verbose=0)
    assert report.reference_metrics == pytest.approx(
        {
            'label_accuracy': np.mean(label.argmax(-1) == labels['label']),
            'size_mae': np.abs(size - numbers).mean(),
        },
        rel=1e-5,
    )
    assert report.metrics == pytest.approx(report.reference_metrics, abs=0.12)
    assert list(report.mean_difference) == list(report.max_difference) == ['label', 'size']
    in_list = (list(inputs.values()), [labels['label'], numbers])
    assert evaluate(content, in_list, metrics=metrics).metrics == report.metrics


def test_outputs_and_labels_that_are_not_there_are_named(two_ends):
    _, content, inputs = two_ends
    labels = {'label': np.zeros(9, int)}
    with pytest.raises(ValueError, match='metrics: expected names of outputs, label, size, got x'):
        evaluate(content, (inputs, labels), metrics={'x': 'mae'})
    with pytest.raises(ValueError, match='labels of label, size, .* got labels of label'):
        evaluate(content, (inputs, labels), metrics=['mae'])
    assert list(evaluate(content, (inputs, labels), metrics={'label': 'accuracy'}).metrics) == [
        'label_accuracy'
    ]
