"""Lines per channel as operators of their own, and layers that only change a range."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.layer_spec import line_of
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.operators import run_line


class LineForm:
    """A layer of the kind NORMALIZATION as a 1×1 depthwise convolution."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the line as a kernel of ±127 units per channel, exactly."""
        slope, offset = (np.broadcast_to(part, [call.channels]) for part in line_of(call.layer))
        return {'': fitted(IntegerKernel.of_line(slope, offset), call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel."""
        del call
        return run_line(inputs[0], kernels[''])


class BoundedLineForm:
    """An element-wise layer that is one line for all numbers, between two bounds.

    The range behind the layer ends at the bounds. What is left to do is to write the line.
    """

    def __init__(
        self,
        slope: float,
        offset: float,
        bounded: Callable[[keras.layers.Layer, tf.Tensor], tf.Tensor],
    ) -> None:
        """Creates the form.

        Args:
            slope: of the line.
            offset: of the line.
            bounded: applies those bounds that the operator itself takes on; gets the layer and
                what the line gives.
        """
        self._slope, self._offset, self._bounded = slope, offset, bounded

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the line as a kernel of 127 units per channel, exactly."""
        slope, offset = np.full(call.channels, self._slope), np.full(call.channels, self._offset)
        line = IntegerKernel.of_line(slope, offset)
        return {'': fitted(line, call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel and applies the bounds."""
        return self._bounded(call.layer, run_line(inputs[0], kernels['']))


class InOneRangeForm:
    """A layer whose operator writes in the range that it reads.

    The inputs are written in the range of the output first. The converter would give them that
    range for whoever else reads them too. A QUANTIZE is no way, because XNNPACK computes it with a
    factor of 8 bits.
    """

    def __init__(self, joined: Callable[[keras.layers.Layer, list[tf.Tensor]], tf.Tensor]) -> None:
        """Creates the form.

        Args:
            joined: computes the layer; gets the layer and the inputs in one range.
        """
        self._joined = joined

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns a kernel for each input that changes nothing but the range."""
        scale = call.written().scale
        pairs = zip(call.input_shapes, call.sources, strict=True)
        return {
            str(index): identity(shape[-1]).representable(source.range.scale, scale)
            for index, (shape, source) in enumerate(pairs)
        }

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Brings the inputs into one range and computes the layer."""
        result = call.written()
        parts = [
            result.quantize(run_line(part, kernels[str(index)]))
            for index, part in enumerate(inputs)
        ]
        return self._joined(call.layer, parts)


def fitted(kernel: IntegerKernel, call: IntegerCall) -> IntegerKernel:
    """Returns a kernel that can be computed with between the ranges of a call."""
    return kernel.representable(call.sources[0].range.scale, call.written().scale)


def identity(channels: int | None) -> IntegerKernel:
    """Returns a 1×1 depthwise kernel that changes nothing.

    Args:
        channels: number of channels, which is always known.
    """
    assert channels is not None
    return IntegerKernel.of_line(np.ones(channels), np.zeros(channels))
