"""Shifts and flips batches of images by given random numbers."""

from __future__ import annotations

import tensorflow as tf

AUGMENTATIONS = ('shift', 'shift_flip')


def shift_images(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, pad: int) -> tf.Tensor:
    """Shifts each image by its own number of pixels, and fills the rest with zeros.

    Args:
        images: Images of any dtype, `[batch, height, width, channels]`.
        rows: The pixels that each image moves down, integers `[batch]` in −pad..pad.
        columns: The pixels that each image moves to the right, integers `[batch]` in −pad..pad.
        pad: The largest shift in pixels.

    Returns:
        The shifted images, in the shape and dtype of `images`.
    """
    height, width = images.shape[1], images.shape[2]
    padded = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    from_rows = pad - rows[:, tf.newaxis] + tf.range(height, dtype=rows.dtype)
    from_columns = pad - columns[:, tf.newaxis] + tf.range(width, dtype=columns.dtype)
    shifted = tf.gather(padded, from_rows, axis=1, batch_dims=1)
    return tf.gather(shifted, from_columns, axis=2, batch_dims=1)


def flip_images(images: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Mirrors some images left to right.

    Args:
        images: Images of any dtype, `[batch, height, width, channels]`.
        flip: Whether each image is mirrored, bool `[batch]`.

    Returns:
        The images, in the shape and dtype of `images`.
    """
    return tf.where(flip[:, tf.newaxis, tf.newaxis, tf.newaxis], images[:, :, ::-1], images)


def augment_images(
    images: tf.Tensor, randoms: tf.Tensor, augment: str, max_shift: int
) -> tf.Tensor:
    """Augments each image by its own random number.

    Args:
        images: Images of any dtype, `[batch, height, width, channels]`.
        randoms: A random number for each image, int64 `[batch]`, uniform in 0..2³²−1.
        augment: One of `AUGMENTATIONS`: 'shift' for random shifts, 'shift_flip' to mirror half of
            the images left to right as well.
        max_shift: The largest shift in pixels, up, down, left and right.

    Returns:
        The augmented images, in the shape and dtype of `images`.
    """
    steps = 2 * max_shift + 1
    rows = randoms % steps - max_shift
    columns = randoms // steps % steps - max_shift
    images = shift_images(images, rows, columns, max_shift)
    if augment == 'shift_flip':
        images = flip_images(images, randoms // steps**2 % 2 == 1)
    return images
