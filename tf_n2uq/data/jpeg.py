"""Cuts a part out of an encoded image and resamples it as PIL does.

Only the part that is needed is decoded. Every function works on one image, inside of a graph.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def image_size(encoded: tf.Tensor) -> tf.Tensor:
    """Returns height and width, int32 `[2]`, of an encoded image, string `[]`.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are no image.
    """
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.extract_jpeg_shape(encoded)[:2],
        lambda: tf.shape(_decode_other(encoded))[:2],
    )


def decode_box(encoded: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Decodes a part of an image.

    JPEG, also with CMYK or grey values, comes out exactly as from PIL's `convert('RGB')`. PNG, GIF
    and BMP are recognised by their signatures, whatever the file is called.

    Args:
        encoded: string `[]`.
        box: int32 `[4]`: top, left, height, width in pixels.

    Returns:
        uint8 `[height, width, 3]`.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are no image or end too early.
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
        pixels: uint8 `[height, width, 3]`.
        size: pixels.

    Returns:
        float32 `[size, 3 * size]` in 0..255: one row for each column of the image, with its red,
        green and blue values from top to bottom. `finish` turns it.
    """
    scale = tf.cast(size, tf.float32) / tf.cast(tf.shape(pixels)[:2], tf.float32)
    return _resample(pixels, size, scale, tf.zeros([2]))


def decode_centre(encoded: tf.Tensor, resize_size: int, size: int) -> tf.Tensor:
    """Resizes the shorter side to `resize_size`, takes `size`×`size` from the middle.

    The same as torchvision's `Resize` and `CenterCrop` on a PIL image, but for PIL's rounding to
    whole levels; only what the middle is made of is decoded and resampled.

    Args:
        encoded: the image, string `[]`.
        resize_size: pixels of the shorter side.
        size: pixels of the middle, at most `resize_size`.

    Returns:
        float32 `[size, 3 * size]` in 0..255, for `finish`.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are no image or end too early.
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
        turned: float32 `[size, 3 * size]` in 0..255, column by column.
        flip: whether left becomes right, bool `[]`; None: never.
        mean: per channel, of values in 0..1.
        std: per channel, of values in 0..1.

    Returns:
        float32 `[size, size, 3]`: (values / 255 − mean) / std.
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
    # `tf.image.resize` takes three times as long: along a row it handles three values at a time.
    # So both passes go down the columns, whole rows at a time, and the image is turned between:
    # as a matrix of all values, because that is faster than moving three at a time.
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
    # One row of pixels with many channels each: an image of several rows would be divided among
    # threads that decode other images.
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
    # As integers, because floats are handed to threads of another library.
    return tf.bitcast(tf.transpose(tf.bitcast(matrix, tf.int32)), tf.float32)
