"""Cuts a part out of an encoded image and resamples it as PIL does.

Only the part that is needed is decoded. Every function works on one image, inside of a graph, so
that its errors are raised when the graph runs.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def image_size(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the size of an encoded image.

    Args:
        encoded: The bytes of the image, string `[]`.

    Returns:
        Height and width in pixels, int32 `[2]`.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no image.
    """
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.extract_jpeg_shape(encoded)[:2],
        lambda: tf.shape(_decode_other(encoded))[:2],
    )


def decode_box(encoded: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Decodes a part of an image.

    A JPEG image, also one with CMYK or grey values, is decoded exactly as by PIL's
    `convert('RGB')`. PNG, GIF and BMP are recognised by their signatures, whatever the name of the
    file is.

    Args:
        encoded: The bytes of the image, string `[]`.
        box: Top, left, height and width of the part in pixels, int32 `[4]`.

    Returns:
        The part, uint8 `[height, width, 3]`.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no image, or end too early.
    """

    def crop_other() -> tf.Tensor:
        return tf.slice(_decode_other(encoded), [box[0], box[1], 0], [box[2], box[3], 3])

    return tf.cond(
        tf.io.is_jpeg(encoded),
        # The default method is up to 3 of 255 levels off, and no faster.
        lambda: tf.image.decode_and_crop_jpeg(
            encoded, box, channels=3, dct_method='INTEGER_ACCURATE'
        ),
        crop_other,
    )


def resample_box(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes a whole image to `size`×`size` with antialiased bilinear resampling.

    Args:
        pixels: The image, uint8 `[height, width, 3]`.
        size: Height and width of the result in pixels.

    Returns:
        The image column by column, float32 `[size, 3 * size]` in 0..255: one row for each column,
        with its red, green and blue values from top to bottom. `finish` turns it.
    """
    scale = tf.cast(size, tf.float32) / tf.cast(tf.shape(pixels)[:2], tf.float32)
    return _resample(pixels, size, scale, tf.zeros([2]))


def decode_centre(encoded: tf.Tensor, resize_size: int, size: int) -> tf.Tensor:
    """Resizes the shorter side of an image, and takes a square from the middle.

    The result is that of torchvision's `Resize` and `CenterCrop` on a PIL image, but for PIL's
    rounding to whole levels. Only the pixels that the middle needs are decoded and resampled.

    Args:
        encoded: The bytes of the image, string `[]`.
        resize_size: The shorter side after resizing, in pixels.
        size: Height and width of the middle in pixels, at most `resize_size`.

    Returns:
        The image column by column, float32 `[size, 3 * size]` in 0..255, for `finish`.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no image, or end too early.
    """
    found = image_size(encoded)
    # The longer side is rounded down, so the two sides' scales differ a little.
    resized = resize_size * found // tf.reduce_min(found)
    scale = tf.cast(resized, tf.float32) / tf.cast(found, tf.float32)
    offset = tf.round(tf.cast(resized - size, tf.float32) / 2)
    # The filter reaches one pixel of the coarser grid to both sides.
    reach = tf.maximum(1.0, 1 / scale) + 1
    start = tf.maximum(tf.cast(tf.floor(offset / scale - reach), tf.int32), 0)
    end = tf.minimum(tf.cast(tf.math.ceil((offset + size) / scale + reach), tf.int32), found)
    pixels = decode_box(encoded, tf.concat([start, end - start], 0))
    return _resample(pixels, size, scale, tf.cast(start, tf.float32) * scale - offset)


def finish(
    turned: tf.Tensor, flip: tf.Tensor | None, mean: tuple[float, ...], std: tuple[float, ...]
) -> tf.Tensor:
    """Turns a resampled image the right way, mirrors and normalises it.

    Args:
        turned: The image column by column, float32 `[size, 3 * size]` in 0..255.
        flip: Whether left and right change places, bool `[]`. None means never.
        mean: The mean of each channel, for values in 0..1.
        std: The standard deviation of each channel, for values in 0..1.

    Returns:
        (values / 255 − mean) / std, float32 `[size, size, 3]`.
    """
    size = turned.shape[0]
    if flip is not None:
        # Rows are copied whole, which `tf.reverse` does not.
        turned = tf.cond(flip, lambda: tf.gather(turned, _backwards(size)), lambda: turned)
    rows = _turn(tf.reshape(turned, [size * 3, size]))
    # Rows of many values: broadcasting over three takes seven times as long.
    factor = tf.constant([1 / (255 * s) for s in std] * size)
    shift = tf.constant([m / s for m, s in zip(mean, std, strict=True)] * size)
    return tf.reshape(rows * factor - shift, [size, size, 3])


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(pixels, [None, None, 3])


def _resample(pixels: tf.Tensor, size: int, scale: tf.Tensor, translation: tf.Tensor) -> tf.Tensor:
    """Returns float32 `[size, 3 * size]`, column by column."""
    # `tf.image.resize` takes three times as long, because along a row it handles three values at a
    # time. Both passes here go down the columns, whole rows at a time. Between them the image is
    # turned as a matrix of single values, which is faster than to move three values at a time.
    height, width = tf.unstack(tf.shape(pixels)[:2])
    rows = _resample_rows(pixels, height, 3 * width, size, scale[0], translation[0])
    return _resample_rows(_turn(rows), width, 3 * size, size, scale[1], translation[1])


def _resample_rows(
    rows: tf.Tensor,
    count: tf.Tensor,
    values: tf.Tensor | int,
    size: int,
    scale: tf.Tensor,
    translation: tf.Tensor,
) -> tf.Tensor:
    # The image is one row of pixels with many channels each. An image of several rows would be
    # divided among threads, which are busy with other images.
    resampled = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(rows, tf.stack([1, 1, count, values])),
        size=[1, size],
        scale=tf.stack([1.0, scale]),
        translation=tf.stack([0.0, translation]),
        kernel_type='triangle',
        antialias=True,
    )
    return tf.reshape(resampled, tf.stack([size, values]))


def _backwards(size: int) -> np.ndarray:
    return np.arange(size - 1, -1, -1, dtype=np.int32)


def _turn(matrix: tf.Tensor) -> tf.Tensor:
    # Floats would be handed to the threads of another library, and integers are not.
    return tf.bitcast(tf.transpose(tf.bitcast(matrix, tf.int32)), tf.float32)
