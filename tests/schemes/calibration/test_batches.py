import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import quantized_network
from tf_n2uq.schemes.calibration.batches import dataset_length, list_batches

ROWS = np.arange(80, dtype=np.float32).reshape(40, 2)


def one_input():
    row = keras.Input((2,), name='row')
    return keras.Model(row, keras.layers.ReLU()(row))


def two_inputs(as_dict=False):
    b, a = keras.Input((2,), name='b'), keras.Input((2,), name='a')
    total = keras.layers.Add()([a, b])
    return keras.Model({'b': b, 'a': a} if as_dict else [b, a], total)


def test_an_infinite_dataset_needs_steps():
    dataset = tf.data.Dataset.from_tensor_slices(ROWS).batch(8).repeat()
    with pytest.raises(ValueError, match=r'dataset: .*for ever.*take\(100\).*steps=100'):
        next(list_batches(one_input(), dataset))
    batches = list(list_batches(one_input(), dataset, steps=7))
    assert len(batches) == dataset_length(one_input(), dataset, 7) == 7
    np.testing.assert_array_equal(batches[6], ROWS[8:16])


def test_a_generator_of_augmented_images_ends_after_one_epoch():
    images = np.random.default_rng(0).uniform(size=(20, 4, 4, 3)).astype(np.float32)
    flow = keras.preprocessing.image.ImageDataGenerator().flow(images, np.zeros(20), batch_size=8)
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.ReLU()(image))
    batches = list(list_batches(model, flow))
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert dataset_length(model, flow) == 3


def test_steps_bound_a_generator_that_never_ends():
    def endless():
        while True:
            yield ROWS

    assert len(list(list_batches(one_input(), endless(), steps=3))) == 3


@pytest.mark.parametrize('steps', [0, -1, 1.5, True, '3'])
def test_steps_are_a_number_of_batches(steps):
    with pytest.raises(ValueError, match='steps: expected the number of batches'):
        next(list_batches(one_input(), ROWS, steps))


def test_several_inputs_come_as_arrays_in_their_order():
    batches = list(list_batches(two_inputs(), [ROWS, -ROWS]))
    assert [len(batch[0]) for batch in batches] == [32, 8]
    np.testing.assert_array_equal(batches[1][0], ROWS[32:])
    np.testing.assert_array_equal(batches[1][1], -ROWS[32:])


@pytest.mark.parametrize('as_dict', [False, True])
@pytest.mark.parametrize(
    'dataset',
    [
        {'b': ROWS, 'a': -ROWS},
        [{'a': -ROWS, 'b': ROWS}],
        tf.data.Dataset.from_tensors(({'a': -ROWS, 'b': ROWS}, 0)),
    ],
    ids=['arrays', 'batches', 'tf_data'],
)
def test_dictionaries_are_sorted_by_the_names_of_inputs(dataset, as_dict):
    model = two_inputs(as_dict)
    for batch in list_batches(model, dataset):
        signs = [float(np.sign(each[1, 0])) for each in batch]
        assert signs == ([-1, 1] if as_dict else [1, -1])


def test_a_missing_entry_is_named():
    with pytest.raises(ValueError, match='inputs b, a, got a in batch 0'):
        next(list_batches(two_inputs(), {'a': ROWS}))


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r'same number of examples, got \[39, 40\]'):
        list(list_batches(two_inputs(), [ROWS, ROWS[:39]]))


def test_a_progress_line_ends_where_the_number_of_batches_is_not_known(capsys):
    model = quantized_network('batch_normalized')
    images = np.zeros((2, *model.input_shape[1:]), np.float32)
    tf_n2uq.calibrate(model, (images for _ in range(2)))
    assert capsys.readouterr().out.endswith('\n')


@pytest.mark.parametrize(
    ('inputs', 'dataset'),
    [(1, ROWS), (2, [ROWS, -ROWS]), (2, {'b': ROWS, 'a': -ROWS})],
    ids=['array', 'arrays', 'dictionary'],
)
def test_the_length_of_arrays_counts_batches(inputs, dataset):
    model = one_input() if inputs == 1 else two_inputs()
    assert dataset_length(model, dataset) == len(list(list_batches(model, dataset))) == 2
    assert dataset_length(model, dataset, 1) == 1


def test_a_progress_line_counts_the_batches_of_an_array(capsys):
    model = quantized_network('batch_normalized')
    tf_n2uq.calibrate(model, np.zeros((33, *model.input_shape[1:]), np.float32))
    lines = capsys.readouterr().out
    assert '2/2' in lines
    assert lines.endswith('\n')
