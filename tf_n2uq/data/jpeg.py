"""Cuts a part out of an encoded image and resamples it as PIL does.

Only the part that is needed is decoded. Every function works on one image, inside of a graph.
"""

from __future__ import annotations

import math

import tensorflow as tf

_ATTEMPTS = 10
BOX_RANDOMS = 2 * _ATTEMPTS + 2
_RATIOS = (3 / 4, 4 / 3)


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


def random_box(size: tf.Tensor, uniform: tf.Tensor, min_area: float) -> tf.Tensor:
    """Chooses a part of an image at random, as torchvision's `RandomResizedCrop` does.

    Area uniform in `min_area`..1 of the image, logarithm of width / height uniform between those
    of 3/4 and 4/3, position uniform. Ten attempts to fit into the image; after that the largest
    part in the middle whose width / height is in 3/4..4/3.

    Args:
        size: int32 `[2]`: the image's height and width.
        uniform: float32 `[BOX_RANDOMS]`: random numbers in 0..1, 1 excluded.
        min_area: the smallest part of the area, above 0 and at most 1.

    Returns:
        int32 `[4]`: top, left, height, width in pixels.
    """
    # All attempts at once, in few operations: each costs more than what it computes here.
    sides = tf.cast(size, tf.float32)
    low, high = math.log(_RATIOS[0]), math.log(_RATIOS[1])
    area = min_area + (1 - min_area) * uniform[:_ATTEMPTS]
    root = tf.sqrt(tf.reduce_prod(sides) * area)[:, tf.newaxis]
    turn = (low + (high - low) * uniform[_ATTEMPTS : 2 * _ATTEMPTS])[:, tf.newaxis]
    shapes = tf.round(root * tf.exp(turn * [[-0.5, 0.5]]))
    middle = tf.minimum(sides, tf.round(sides[::-1] * _RATIOS[1]))
    shapes = tf.concat([shapes, middle[tf.newaxis]], 0)
    fits = tf.reduce_all((shapes >= 1) & (shapes <= sides), axis=1)
    # The first that fits; the last one, in the middle, always does.
    attempt = tf.argmax(fits, output_type=tf.int32)
    shape = shapes[attempt]
    room = sides - shape
    places = tf.where(attempt < _ATTEMPTS, uniform[2 * _ATTEMPTS :] * (room + 1), room / 2)
    places = tf.minimum(tf.floor(places), room)
    return tf.cast(tf.concat([places, shape], 0), tf.int32)


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
        turned = tf.cond(flip, lambda: tf.reverse(turned, [0]), lambda: turned)
    rows = tf.transpose(tf.reshape(turned, [size * 3, size]))
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
    rows = tf.reshape(pixels, [height, width * 3])
    rows = _resample_rows(rows, size, scale[0], translation[0])
    columns = tf.reshape(tf.transpose(rows), [width, 3 * size])
    return _resample_rows(columns, size, scale[1], translation[1])


def _resample_rows(
    rows: tf.Tensor, size: int, scale: tf.Tensor, translation: tf.Tensor
) -> tf.Tensor:
    count, values = tf.unstack(tf.shape(rows))
    resampled = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(rows, [1, count, 1, values]),
        size=[size, 1],
        scale=tf.stack([scale, 1.0]),
        translation=tf.stack([translation, 0.0]),
        kernel_type='triangle',
        antialias=True,
    )
    return tf.reshape(resampled, [size, values])
