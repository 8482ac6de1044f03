"""The kernel quantization of DoReFa-Net, with the levels of AdaBits and the rescaling of SAT.

Zhou, Wu, Ni, Zhou, Wen, Zou: "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with
Low Bitwidth Gradients", 2016, https://arxiv.org/abs/1606.06160, section 2.3.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_n2uq.ops.compiled import call_compiled
from tf_n2uq.ops.rescaling import rescale_factor
from tf_n2uq.ops.totals import totals
from tf_n2uq.ops.unit_levels import UNIT_LEVELS, unit_levels


def dorefa(
    kernel: tf.Tensor,
    bits: int,
    levels: str = 'original',
    rescale: str | None = None,
    channel_axis: int | Sequence[int] = -1,
) -> tf.Tensor:
    """Quantizes v = tanh(w)/max|tanh(w)|, which lies in −1..1, and rescales it (paper, eq. 9).

    With the level q of (v + 1)/2, the result is (2q − 1)·factor. The gradient takes the rounding
    for the identity and the factor for a constant, and goes through the tanh and the maximum.

    Both passes are compiled by XLA, once for each number of values and levels.

    Args:
        kernel: A kernel of any rank >= 1 and of a floating point dtype.
        bits: The bit-width, 2..8.
        levels: A scheme of `unit_levels` for kernels: 'original', 'modified' or
            'centered_symmetric'.
        rescale: As for `rescale_factor`.
        channel_axis: The axis, or axes, of the output channels: (−2, −1) for DepthwiseConv2D.

    Returns:
        A tensor with the shape and dtype of `kernel`, computed in float32.

    Raises:
        ValueError: There are no such levels for kernels, or no such rescaling.
    """
    return _quantized(kernel, bits, levels, rescale, channel_axis, call_compiled)


def dorefa_elementwise(
    kernel: tf.Tensor,
    bits: int,
    levels: str = 'original',
    rescale: str | None = None,
    channel_axis: int | Sequence[int] = -1,
) -> tf.Tensor:
    """Computes the same function and gradient as `dorefa`, the forward pass not compiled.

    Inference needs this: the result is equal, bit by bit, to that of `dorefa_integers`, because
    XLA has a tanh of its own.

    Args:
        kernel: As for `dorefa`.
        bits: As for `dorefa`.
        levels: As for `dorefa`.
        rescale: As for `dorefa`.
        channel_axis: As for `dorefa`.

    Returns:
        A tensor with the shape and dtype of `kernel`.

    Raises:
        ValueError: As for `dorefa`.
    """
    return _quantized(kernel, bits, levels, rescale, channel_axis, _call_directly)


def dorefa_integers(
    kernel: tf.Tensor,
    bits: int,
    levels: str = 'original',
    rescale: str | None = None,
    channel_axis: int | Sequence[int] = -1,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the quantized kernel as integers and a unit, for the export.

    Args:
        kernel: As for `dorefa`.
        bits: As for `dorefa`.
        levels: As for `dorefa`.
        rescale: As for `dorefa`.
        channel_axis: As for `dorefa`.

    Returns:
        int32 of the kernel's shape: odd integers in −(2^b − 1)..2^b − 1; for 'modified' levels all
        integers from −2^(b−1) to 2^(b−1) − 1. And a float32 unit of the kernel's rank and one
        value, 0 for a kernel of zeros. The quantized float32 kernel is integers·unit.

    Raises:
        ValueError: As for `dorefa`.
    """
    kernel = tf.cast(kernel, tf.float32)
    peak = _peak(kernel)
    integers, unit = _integers_and_unit(
        kernel, peak, bits, levels, rescale, channel_axis, _call_directly
    )
    unit = unit * _is_alive(peak)
    return tf.cast(integers, tf.int32), tf.reshape(unit, [1] * kernel.shape.rank)


def dorefa_factor(
    kernel: tf.Tensor,
    bits: int,
    levels: str,
    rescale: str | None,
    channel_axis: int | Sequence[int] = -1,
) -> tf.Tensor:
    """Returns the factor by which a quantized kernel is rescaled.

    Args:
        kernel: As for `dorefa`.
        bits: As for `dorefa`.
        levels: As for `dorefa`.
        rescale: As for `dorefa`.
        channel_axis: As for `dorefa`.

    Returns:
        float32 `[]`; 1 without a rescaling.

    Raises:
        ValueError: As for `dorefa`.
    """
    quantized = dorefa_elementwise(kernel, bits, levels, None, channel_axis)
    return rescale_factor(tf.cast(kernel, tf.float32), quantized, rescale, channel_axis)


def _quantized(
    kernel: tf.Tensor,
    bits: int,
    levels: str,
    rescale: str | None,
    channel_axis: int | Sequence[int],
    call: Callable[..., Any],
) -> tf.Tensor:
    kernel = tf.convert_to_tensor(kernel)

    @tf.custom_gradient
    def function(kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
        values = tf.cast(kernel, tf.float32)
        peak = _peak(values)
        integers, unit = _integers_and_unit(values, peak, bits, levels, rescale, channel_axis, call)
        # Without a rescaling the factor is 1.
        factor = unit / _bare_unit(bits, levels)

        def backward(dy: tf.Tensor) -> tf.Tensor:
            dx = call_compiled(_gradient, [tf.cast(kernel, tf.float32), dy], [peak, factor])
            return tf.ensure_shape(tf.reshape(dx, tf.shape(kernel)), kernel.shape)

        return tf.cast(integers * (unit * _is_alive(peak)), kernel.dtype), backward

    return function(kernel)


def _peak(kernel: tf.Tensor) -> tf.Tensor:
    # Two reductions cost less than a tensor of magnitudes.
    return tf.maximum(tf.reduce_max(kernel), -tf.reduce_min(kernel))


def _is_alive(peak: tf.Tensor) -> tf.Tensor:
    """Returns 0 for a kernel of zeros, which so stays one without a level 0, and else 1."""
    return tf.cast(peak > 0, tf.float32)


def _largest(peak: tf.Tensor) -> tf.Tensor:
    """Returns max|tanh(w)|, and 1 for a kernel of zeros."""
    return tf.where(peak > 0, tf.tanh(peak), tf.ones_like(peak))


def _call_directly(
    function: Callable[..., Any], tensors: Sequence[tf.Tensor], parameters: Sequence[tf.Tensor]
) -> Any:
    return function(*tensors, *parameters)


def _integers_and_unit(
    kernel: tf.Tensor,
    peak: tf.Tensor,
    bits: int,
    levels: str,
    rescale: str | None,
    channel_axis: int | Sequence[int],
    call: Callable[..., Any],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the integers as floats in the kernel's shape, and their unit `[]`."""
    integers = call(_integer_function(bits, levels), [kernel], [peak])
    integers = tf.ensure_shape(tf.reshape(integers, tf.shape(kernel)), kernel.shape)
    unit = tf.constant(_bare_unit(bits, levels))
    if rescale is None:
        return integers, unit
    return integers, unit * rescale_factor(kernel, integers * unit, rescale, channel_axis)


def _bare_unit(bits: int, levels: str) -> float:
    return _common(levels) / UNIT_LEVELS[levels].parts(bits)


def _common(levels: str) -> int:
    """Returns the common divisor of the integers 2k + 2·offset − parts."""
    return 2 if levels == 'modified' else 1


@functools.cache
def _integer_function(bits: int, levels: str) -> Callable[..., tf.Tensor]:
    scheme = unit_levels(levels)
    if not scheme.signed:
        raise ValueError(
            f'levels: expected levels for kernels, got {levels!r}, which are for tensors in 0..1; '
            "give 'centered_symmetric'."
        )
    moved, common = 2 * scheme.offset - scheme.parts(bits), _common(levels)

    def integers(kernel: tf.Tensor, peak: tf.Tensor) -> tf.Tensor:
        # One tanh of vectors and of numbers may differ in the last place.
        normalized = tf.clip_by_value(tf.tanh(kernel) / _largest(peak), -1.0, 1.0)
        return (2.0 * scheme.level((normalized + 1.0) / 2.0, bits) + moved) / common

    return integers


def _gradient(kernel: tf.Tensor, dy: tf.Tensor, peak: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of factor·tanh(w)/max|tanh(w)|.

    Weights that are equally large share the gradient of the maximum.
    """

    def at_peak(kernel: tf.Tensor) -> tf.Tensor:
        return tf.cast((tf.abs(kernel) >= peak) & (kernel != 0), kernel.dtype)

    def products(kernel: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        return tf.cast(dy, kernel.dtype) * tf.tanh(kernel)

    def count(kernel: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        del dy
        return at_peak(kernel)

    largest = _largest(peak)
    moment, peaks = totals([products, count], [kernel, dy], tf.float32)
    share = tf.math.divide_no_nan(moment, largest * peaks)
    direct = tf.cast(dy, kernel.dtype) - at_peak(kernel) * tf.sign(kernel) * share
    slope = (1.0 - tf.square(tf.tanh(kernel))) * (factor / largest)
    return tf.cast(slope * direct, dy.dtype)
