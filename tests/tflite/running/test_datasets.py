"""Batches from whatever Keras' `evaluate` takes."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.tflite.running.datasets import batches_of, is_dataset

X, Y, WEIGHTS = np.arange(70.0).reshape(35, 2), np.arange(35), np.ones(35)


def joined(dataset):
    batches = list(batches_of(dataset))
    return len(batches), [
        None if each[0] is None else np.concatenate(each) for each in zip(*batches, strict=True)
    ]


class Pairs(keras.utils.Sequence):
    """A sequence that never ends if it is iterated over, as those of ImageDataGenerator."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[index * 18 : index * 18 + 18], Y[index * 18 : index * 18 + 18]

    def __iter__(self):
        while True:
            yield self[0]


@pytest.mark.parametrize(
    ('dataset', 'count'),
    [
        ((X, Y), 2),
        ([(X[:10], Y[:10]), [X[10:], Y[10:]]], 2),
        (((X[:10], Y[:10]), (X[10:], Y[10:])), 2),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(15), 3),
        (Pairs(), 2),
    ],
)
def test_pairs_come_in_batches(dataset, count):
    got, (x, y, weights) = joined(dataset)
    assert got == count
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert weights is None


def test_weights_and_missing_labels_are_told():
    _, (_, _, weights) = joined((X, Y, WEIGHTS))
    np.testing.assert_array_equal(weights, WEIGHTS)
    _, (x, y, _) = joined([X])
    np.testing.assert_array_equal(x, X)
    assert y is None


def test_dictionaries_and_lists_are_cut_along_the_examples():
    first, second = batches_of(({'a': X, 'b': X[:, :1]}, [Y, Y]))
    assert first[0]['b'].shape == (32, 1)
    assert [each.shape for each in second[1]] == [(3,), (3,)]


def test_a_dataset_without_an_end_is_refused():
    endless = tf.data.Dataset.from_tensors((X, Y)).repeat()
    with pytest.raises(ValueError, match=r'repeats for ever.*dataset\.take'):
        next(batches_of(endless))


def test_arrays_are_no_dataset():
    assert is_dataset(tf.data.Dataset.range(3))
    assert is_dataset(iter([X]))
    assert not any(map(is_dataset, (X, [X, X], {'a': X}, (X, Y))))
