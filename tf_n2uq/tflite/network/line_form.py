"""Lines per channel as operators of their own, and layers that bring tensors into one range."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.layer_spec import line_of
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.operators import depthwise_1x1


class LineForm:
    """A layer of the kind NORMALIZATION as a 1×1 depthwise convolution."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the exact kernel of the line."""
        slope, offset = (np.broadcast_to(part, [call.channels]) for part in line_of(call.layer))
        return {'': _fitted_line(slope, offset, call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel."""
        del call
        return depthwise_1x1(inputs[0], kernels[''])


class BoundedLineForm:
    """An element-wise layer that is the same line for all channels, between two bounds.

    The range behind the layer ends at the bounds, so that the operator only computes the line.
    """

    def __init__(
        self,
        slope: float,
        offset: float,
        bounded: Callable[[keras.layers.Layer, tf.Tensor], tf.Tensor],
    ) -> None:
        """Creates the form.

        Args:
            slope: the slope of the line.
            offset: the offset of the line.
            bounded: a function of the layer and the numbers of the line. It applies the bounds
                that are fused into the operator.
        """
        self._slope, self._offset, self._bounded = slope, offset, bounded

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the exact kernel of the line."""
        slope, offset = np.full(call.channels, self._slope), np.full(call.channels, self._offset)
        return {'': _fitted_line(slope, offset, call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel and applies the bounds."""
        return self._bounded(call.layer, depthwise_1x1(inputs[0], kernels['']))


class InOneRangeForm:
    """A layer whose operator needs the same range for all inputs and the output.

    A 1×1 depthwise convolution first writes each input in the range of the output. The converter
    would change the range of the input itself, also for other layers that read it. A QUANTIZE would
    be less exact, because XNNPACK computes it with a factor of 8 bits.
    """

    def __init__(self, joined: Callable[[keras.layers.Layer, list[tf.Tensor]], tf.Tensor]) -> None:
        """Creates the form.

        Args:
            joined: a function of the layer and its inputs in one range. It computes the layer.
        """
        self._joined = joined

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns a kernel for each input, by its number, that changes only the range."""
        return range_kernels(call)

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Brings the inputs into one range and computes the layer."""
        return self._joined(call.layer, in_one_range(call, inputs, kernels))


def range_kernels(call: IntegerCall) -> dict[str, IntegerKernel]:
    """Returns a kernel for each input of a call, by its number, that changes only the range."""
    scale = call.written().scale
    pairs = zip(call.input_shapes, call.sources, strict=True)
    return {
        str(index): identity(shape[-1]).representable(source.range.scale, scale)
        for index, (shape, source) in enumerate(pairs)
    }


def in_one_range(
    call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
) -> list[tf.Tensor]:
    """Writes each input of a call in the range of the result.

    Args:
        call: the call.
        inputs: the inputs.
        kernels: the kernels that `range_kernels` returned, as the file has them.
    """
    result = call.written()
    return [
        result.quantize(depthwise_1x1(part, kernels[str(index)]))
        for index, part in enumerate(inputs)
    ]


def fitted(kernel: IntegerKernel, call: IntegerCall) -> IntegerKernel:
    """Returns a kernel that XNNPACK can compute with between the ranges of a call.

    Args:
        kernel: the kernel, which multiplies the first tensor that the layer reads.
        call: the call of the layer.

    Raises:
        ValueError: if there is no range behind the layer.
    """
    return kernel.representable(call.sources[0].range.scale, call.written().scale)


def _fitted_line(slope: np.ndarray, offset: np.ndarray, call: IntegerCall) -> IntegerKernel:
    scale = call.sources[0].range.scale
    return fitted(IntegerKernel.of_unrounded_line(slope, offset, scale), call)


def identity(channels: int | None) -> IntegerKernel:
    """Returns the 1×1 depthwise kernel that changes nothing.

    Args:
        channels: the number of channels. It must be known.
    """
    assert channels is not None
    return IntegerKernel.of_line(np.ones(channels), np.zeros(channels))
