from __future__ import annotations

import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

from tf_n2uq.data.augment import augment_images, flip_images, shift_images

IMAGES = np.arange(1, 2 * 5 * 4 * 2 + 1, dtype=np.float32).reshape(2, 5, 4, 2)


def shifted(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The same by slices."""
    height, width = image.shape[:2]
    out = np.zeros_like(image)
    source = image[
        max(0, -rows) : height - max(0, rows), max(0, -columns) : width - max(0, columns)
    ]
    out[max(0, rows) :, max(0, columns) :][: source.shape[0], : source.shape[1]] = source
    return out


@hypothesis.given(shifts=st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=2, max_size=2))
def test_each_image_moves_by_its_own_shift_and_zeros_come_in(shifts):
    rows, columns = tf.constant(shifts, tf.int64)[:, 0], tf.constant(shifts, tf.int64)[:, 1]
    moved = shift_images(tf.constant(IMAGES), rows, columns, 3)
    for image, (row, column), found in zip(IMAGES, shifts, moved, strict=True):
        np.testing.assert_array_equal(found, shifted(image, row, column))


def test_only_chosen_images_are_mirrored():
    flipped = flip_images(tf.constant(IMAGES), tf.constant([False, True]))
    np.testing.assert_array_equal(flipped, [IMAGES[0], IMAGES[1, :, ::-1]])


def test_every_shift_and_mirror_image_is_equally_likely():
    image = np.zeros((1, 5, 5, 1), np.float32)
    image[0, 2, 2] = 1.0
    image[0, 2, 3] = 2.0
    randoms = tf.range(18, dtype=tf.int64)
    images = augment_images(tf.tile(image, [18, 1, 1, 1]), randoms, 'shift_flip', 1)
    places = {(i.argmax(), (i == 1).argmax()) for i in images.numpy().reshape(18, 25)}
    assert len(places) == 18


def test_a_shift_alone_mirrors_nothing():
    randoms = tf.range(9, 18, dtype=tf.int64)
    images = augment_images(tf.tile(IMAGES[:1], [9, 1, 1, 1]), randoms, 'shift', 1)
    expected = [shifted(IMAGES[0], row, column) for column in (-1, 0, 1) for row in (-1, 0, 1)]
    np.testing.assert_array_equal(images, expected)
