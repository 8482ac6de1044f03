"""Chooses the random part of an image that a network is trained on, as torchvision does.

There are two steps. The first step draws everything that does not depend on the size of an image,
for many images at once, because each operation of TensorFlow has a cost of its own. The second
step applies a draw to one image.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

_ATTEMPTS = 10
_RATIOS = (3 / 4, 4 / 3)
RANDOMS = 2 * _ATTEMPTS + 3


class Draw(NamedTuple):
    """The random numbers of one crop, or of several along the first axis.

    Attributes:
        sides: Height and width of each attempt as fractions of the square root of the image's
            area, float32 `[attempts, 2]`.
        place: The place of the crop, from the top and from the left, float32 `[2]` in 0..1.
        mirrored: Whether left and right change places, bool `[]`.
    """

    sides: tf.Tensor
    place: tf.Tensor
    mirrored: tf.Tensor


def uniform(seed: tf.Tensor, keys: tf.Tensor, count: int) -> tf.Tensor:
    """Returns random numbers that depend on a seed and on the key of each example alone.

    Args:
        seed: The seed, int64 `[]`.
        keys: A key for each example, int64 `[examples]`.
        count: The number of random numbers for each example.

    Returns:
        Uniform random numbers, float32 `[examples, count]` in 0..1, 1 excluded.
    """
    # TensorFlow's generators take one seed for all numbers. A hash takes one for each number.
    examples = tf.size(keys)
    counters = tf.range(count, dtype=tf.int64)
    inputs = [
        tf.fill([examples * count], seed),
        tf.repeat(keys, count),
        tf.tile(counters, [examples]),
    ]
    hashes = tf.bitcast(tf.fingerprint(tf.stack(inputs, axis=1)), tf.int64)
    # A float32 holds 24 bits.
    fractions = tf.cast(tf.bitwise.bitwise_and(hashes, 2**24 - 1), tf.float32) / 2**24
    return tf.reshape(fractions, [examples, count])


def draw(randoms: tf.Tensor, min_area: float) -> Draw:
    """Draws a crop for each example.

    The area is uniform in `min_area`..1 of the image's area. The logarithm of the ratio of width
    and height is uniform between the logarithms of 3/4 and 4/3. The place is uniform, and half of
    the crops are mirrored.

    Source: torchvision's `RandomResizedCrop` and `RandomHorizontalFlip`.

    Args:
        randoms: Uniform random numbers, float32 `[examples, RANDOMS]` in 0..1, 1 excluded.
        min_area: The smallest part of the area, above 0 and at most 1.

    Returns:
        A draw for each example, along the first axis.
    """
    areas, turns, places, mirrored = tf.split(randoms, [_ATTEMPTS, _ATTEMPTS, 2, 1], axis=1)
    low, high = math.log(_RATIOS[0]) / 2, math.log(_RATIOS[1]) / 2
    side, turn = tf.sqrt(min_area + (1 - min_area) * areas), tf.exp(low + (high - low) * turns)
    return Draw(tf.stack([side / turn, side * turn], axis=2), places, mirrored[:, 0] < 0.5)


def box(drawn: Draw, size: tf.Tensor) -> tf.Tensor:
    """Returns the first drawn crop that fits into an image.

    If none of the ten attempts fits, the crop is the largest part in the middle of the image whose
    ratio is in 3/4..4/3.

    Args:
        drawn: The draw for the image.
        size: The image's height and width in pixels, int32 `[2]`.

    Returns:
        Top, left, height and width in pixels, int32 `[4]`.
    """
    sides = tf.cast(size, tf.float32)
    shapes = tf.round(tf.sqrt(tf.reduce_prod(sides)) * drawn.sides)
    middle = tf.minimum(sides, tf.round(sides[::-1] * _RATIOS[1]))
    shapes = tf.concat([shapes, middle[tf.newaxis]], 0)
    fits = tf.reduce_all((shapes >= 1) & (shapes <= sides), axis=1)
    # The last shape, the one in the middle, always fits.
    attempt = tf.argmax(fits, output_type=tf.int32)
    shape = shapes[attempt]
    room = sides - shape
    place = tf.where(attempt < _ATTEMPTS, drawn.place * (room + 1), room / 2)
    place = tf.minimum(tf.floor(place), room)
    return tf.cast(tf.concat([place, shape], 0), tf.int32)
