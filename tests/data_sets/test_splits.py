from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.data import ArraySplit

EXAMPLES = 50


@pytest.fixture
def split() -> ArraySplit:
    """Fifty images of 9×8 whose labels are their positions."""
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (EXAMPLES, 9, 8, 1), np.uint8)
    return ArraySplit(images, np.arange(EXAMPLES))


def epochs(dataset: tf.data.Dataset, number: int = 1) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    return [list(dataset.as_numpy_iterator()) for _ in range(number)]


def labels(dataset: tf.data.Dataset) -> list[int]:
    return [int(label) for _, batch in dataset.as_numpy_iterator() for label in batch]


def images(dataset: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([batch for batch, _ in dataset.as_numpy_iterator()])


def test_images_are_floats_from_zero_to_one_and_labels_int32():
    values = np.array([0, 4, 16], np.uint8).reshape(3, 1, 1, 1)
    dataset = ArraySplit(values, np.array([2, 0, 1]), maximum=16).dataset(3)
    ((found, classes),) = dataset.as_numpy_iterator()
    assert (found.dtype, classes.dtype) == (np.float32, np.int32)
    assert found.ravel().tolist() == [0.0, 0.25, 1.0]
    assert classes.tolist() == [2, 0, 1]


def test_static_shapes_and_length_are_known(split):
    dataset = split.dataset(16, shuffle=True, augment='shift')
    assert dataset.cardinality() == 4
    assert dataset.element_spec[0].shape.as_list() == [None, 9, 8, 1]
    dataset = split.dataset(16, drop_remainder=True)
    assert dataset.cardinality() == 3
    assert dataset.element_spec[0].shape.as_list() == [16, 9, 8, 1]


def test_without_shuffle_the_order_is_kept(split):
    assert labels(split.dataset(16)) == list(range(EXAMPLES))


def test_the_last_batch_is_kept_unless_dropped(split):
    assert [len(b) for _, b in split.dataset(16).as_numpy_iterator()] == [16, 16, 16, 2]
    assert len(labels(split.dataset(16, drop_remainder=True))) == 48


def test_shuffling_keeps_images_with_their_labels(split):
    pixels, _ = split.arrays()
    for batch, positions in split.dataset(16, shuffle=True).as_numpy_iterator():
        np.testing.assert_array_equal(batch, pixels[positions])


def test_epochs_differ_and_two_runs_agree(split):
    arguments = {'shuffle': True, 'seed': 4, 'augment': 'shift_flip'}
    first, second = (epochs(split.dataset(16, **arguments), 3) for _ in range(2))
    for left, right in zip(first, second, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])
    orders = [np.concatenate([b for _, b in epoch]).tolist() for epoch in first]
    assert all(sorted(order) == list(range(EXAMPLES)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_another_seed_gives_another_order(split):
    assert labels(split.dataset(16, shuffle=True, seed=1)) != labels(
        split.dataset(16, shuffle=True, seed=2)
    )


def test_repeat_goes_on_without_end_and_shuffles_each_round(split):
    dataset = split.dataset(25, shuffle=True, repeat=True)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    order = labels(dataset.take(6))
    rounds = [order[i : i + EXAMPLES] for i in (0, 50, 100)]
    assert all(sorted(r) == list(range(EXAMPLES)) for r in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_augmentation_changes_from_epoch_to_epoch_and_with_the_seed(split):
    dataset = split.dataset(16, augment='shift')
    first, second = images(dataset), images(dataset)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, images(split.dataset(16, augment='shift')))
    assert not np.array_equal(first, images(split.dataset(16, augment='shift', seed=1)))


def test_augmentation_does_not_depend_on_the_batch_size(split):
    np.testing.assert_array_equal(
        images(split.dataset(16, augment='shift_flip')),
        images(split.dataset(7, augment='shift_flip')),
    )


def test_a_shift_moves_at_most_max_shift_pixels():
    dot = np.zeros((200, 9, 9, 1), np.uint8)
    dot[:, 4, 4] = 255
    dataset = ArraySplit(dot, np.zeros(200, int)).dataset(50, augment='shift', max_shift=2)
    _, rows, columns, _ = np.nonzero(images(dataset))
    assert set(rows) == set(columns) == {2, 3, 4, 5, 6}


def test_the_default_shift_is_an_eighth_of_the_shorter_side():
    dot = np.zeros((200, 20, 16, 1), np.uint8)
    dot[:, 8, 8] = 255
    _, rows, _, _ = np.nonzero(
        images(ArraySplit(dot, np.zeros(200, int)).dataset(50, augment='shift'))
    )
    assert set(rows) == {6, 7, 8, 9, 10}


def test_a_shift_of_zero_leaves_images_as_they_are(split):
    np.testing.assert_array_equal(
        images(split.dataset(16, augment='shift', max_shift=0)), split.arrays()[0]
    )


def test_arrays_are_the_whole_split(split):
    pixels, classes = split.arrays()
    assert (pixels.dtype, pixels.shape) == (np.float32, (EXAMPLES, 9, 8, 1))
    assert classes.tolist() == list(range(EXAMPLES))
    assert pixels.max() <= 1.0


def test_replicas_share_a_batch_between_them(split):
    strategy = tf.distribute.OneDeviceStrategy('/cpu:0')
    batches = list(strategy.experimental_distribute_dataset(split.dataset(16)))
    assert sum(len(labels) for _, labels in batches) == EXAMPLES


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'batch_size': 0}, ValueError, 'batch_size: expected at least 1, got 0'),
        ({'batch_size': 2.0}, TypeError, 'batch_size: expected an integer, got 2.0'),
        ({'batch_size': True}, TypeError, 'batch_size: expected an integer, got True'),
        ({'batch_size': 8, 'seed': None}, TypeError, 'seed: expected an integer, got None'),
        ({'batch_size': 51, 'drop_remainder': True}, ValueError, 'at most 50.*got 51'),
        ({'batch_size': 8, 'augment': 'rotate'}, ValueError, "augment: .*shift_flip.* 'rotate'"),
        ({'batch_size': 8, 'max_shift': 1}, ValueError, 'max_shift: expected None'),
        ({'batch_size': 8, 'augment': 'shift', 'max_shift': 8}, ValueError, 'expected 0 to 7'),
        ({'batch_size': 8, 'augment': 'shift', 'max_shift': -1}, ValueError, 'got -1'),
        ({'batch_size': 8, 'augment': 'shift', 'max_shift': 'x'}, TypeError, 'max_shift.*integer'),
    ],
)
def test_a_wrong_argument_is_named(split, arguments, error, message):
    with pytest.raises(error, match=message):
        split.dataset(**arguments)


@pytest.mark.parametrize(
    ('pixels', 'classes', 'message'),
    [
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, int), r'images: .*got uint8 \[2, 3, 3\]'),
        (np.zeros((2, 3, 3, 1)), np.zeros(2, int), 'images: .*got float64'),
        (np.zeros((0, 3, 3, 1), np.uint8), np.zeros(0, int), 'at least one example'),
        (np.full((2, 3, 3, 1), 17, np.uint8), np.zeros(2, int), 'at most 16, got 17'),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(3, int), r'labels: .*\[2\].*\[3\]'),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2), 'labels: .*float64'),
    ],
)
def test_wrong_arrays_are_named(pixels, classes, message):
    with pytest.raises(ValueError, match=message):
        ArraySplit(pixels, classes, maximum=16)


@pytest.mark.parametrize(('maximum', 'error'), [(0, ValueError), (16.0, TypeError)])
def test_a_maximum_that_is_no_maximum_is_named(maximum, error):
    with pytest.raises(error, match='maximum: expected'):
        ArraySplit(np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, int), maximum)
