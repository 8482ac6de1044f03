"""Random shifts and flips of image batches, driven by given random numbers."""

from __future__ import annotations

import tensorflow as tf

AUGMENTATIONS = ('shift', 'shift_flip')


def shift_images(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, pad: int) -> tf.Tensor:
    """Shifts each image by its own number of pixels; zeros come in.

    Args:
        images: `[batch, height, width, channels]`.
        rows: int `[batch]` in −pad..pad, pixels downwards.
        columns: int `[batch]` in −pad..pad, pixels to the right.
        pad: the largest shift.

    Returns:
        The shifted images, same shape and dtype.
    """
    height, width = images.shape[1], images.shape[2]
    padded = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    from_rows = pad - rows[:, tf.newaxis] + tf.range(height, dtype=rows.dtype)
    from_columns = pad - columns[:, tf.newaxis] + tf.range(width, dtype=columns.dtype)
    shifted = tf.gather(padded, from_rows, axis=1, batch_dims=1)
    return tf.gather(shifted, from_columns, axis=2, batch_dims=1)


def flip_images(images: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Mirrors those images left to right for which `flip`, bool `[batch]`, is true."""
    return tf.where(flip[:, tf.newaxis, tf.newaxis, tf.newaxis], images[:, :, ::-1], images)


def augment_images(
    images: tf.Tensor, randoms: tf.Tensor, augment: str, max_shift: int
) -> tf.Tensor:
    """Augments each image with its own random number; nothing else is random here.

    Args:
        images: `[batch, height, width, channels]`.
        randoms: int64 `[batch]`, uniform in 0..2³²−1.
        augment: 'shift', or 'shift_flip' for a left-right mirror image half of the time as well.
        max_shift: the largest shift in pixels, each way and in both directions.

    Returns:
        The augmented images, same shape and dtype.
    """
    steps = 2 * max_shift + 1
    rows = randoms % steps - max_shift
    columns = randoms // steps % steps - max_shift
    images = shift_images(images, rows, columns, max_shift)
    if augment == 'shift_flip':
        images = flip_images(images, randoms // steps**2 % 2 == 1)
    return images
