"""Chooses the random part of an image that a network is trained on, as torchvision does.

In two steps, because what does not depend on the size of an image is done for many at once: an
operation on a few numbers costs more by being an operation than by what it computes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

_ATTEMPTS = 10
_RATIOS = (3 / 4, 4 / 3)
RANDOMS = 2 * _ATTEMPTS + 3


class Draw(NamedTuple):
    """What was drawn for a crop, or for several along the first axis.

    Attributes:
        sides: float32 `[attempts, 2]`: height and width, as parts of the square root of the
            image's area.
        place: float32 `[2]` in 0..1: how far down and to the right.
        mirrored: bool `[]`: whether left becomes right.
    """

    sides: tf.Tensor
    place: tf.Tensor
    mirrored: tf.Tensor


def uniform(seed: tf.Tensor, keys: tf.Tensor, count: int) -> tf.Tensor:
    """Returns random numbers that depend on nothing but a seed and each example's key.

    Args:
        seed: int64 `[]`.
        keys: int64 `[examples]`.
        count: how many there are for each example.

    Returns:
        float32 `[examples, count]` in 0..1, 1 excluded.
    """
    # TensorFlow's generators take one seed for all numbers. A hash takes as many as there are.
    examples = tf.size(keys)
    counters = tf.range(count, dtype=tf.int64)
    inputs = [
        tf.fill([examples * count], seed),
        tf.repeat(keys, count),
        tf.tile(counters, [examples]),
    ]
    hashes = tf.bitcast(tf.fingerprint(tf.stack(inputs, axis=1)), tf.int64)
    # As many bits as a float32 holds.
    fractions = tf.cast(tf.bitwise.bitwise_and(hashes, 2**24 - 1), tf.float32) / 2**24
    return tf.reshape(fractions, [examples, count])


def draw(randoms: tf.Tensor, min_area: float) -> Draw:
    """Draws crops: area, ratio and place uniform, mirrored half of the time.

    The area is in `min_area`..1 of the image; of the ratio of width and height the logarithm is
    uniform, between those of 3/4 and 4/3.

    Args:
        randoms: float32 `[examples, RANDOMS]` in 0..1, 1 excluded.
        min_area: the smallest part of the area, above 0 and at most 1.

    Returns:
        A draw for each example.
    """
    areas, turns, places, mirrored = tf.split(randoms, [_ATTEMPTS, _ATTEMPTS, 2, 1], axis=1)
    low, high = math.log(_RATIOS[0]) / 2, math.log(_RATIOS[1]) / 2
    side, turn = tf.sqrt(min_area + (1 - min_area) * areas), tf.exp(low + (high - low) * turns)
    return Draw(tf.stack([side / turn, side * turn], axis=2), places, mirrored[:, 0] < 0.5)


def box(drawn: Draw, size: tf.Tensor) -> tf.Tensor:
    """Returns the first drawn crop that fits into an image.

    If none of ten does: the largest part in the middle whose ratio is in 3/4..4/3.

    Args:
        drawn: for one image.
        size: int32 `[2]`: the image's height and width.

    Returns:
        int32 `[4]`: top, left, height, width in pixels.
    """
    sides = tf.cast(size, tf.float32)
    shapes = tf.round(tf.sqrt(tf.reduce_prod(sides)) * drawn.sides)
    middle = tf.minimum(sides, tf.round(sides[::-1] * _RATIOS[1]))
    shapes = tf.concat([shapes, middle[tf.newaxis]], 0)
    fits = tf.reduce_all((shapes >= 1) & (shapes <= sides), axis=1)
    # The first that fits; the last one, in the middle, always does.
    attempt = tf.argmax(fits, output_type=tf.int32)
    shape = shapes[attempt]
    room = sides - shape
    place = tf.where(attempt < _ATTEMPTS, drawn.place * (room + 1), room / 2)
    place = tf.minimum(tf.floor(place), room)
    return tf.cast(tf.concat([place, shape], 0), tf.int32)
