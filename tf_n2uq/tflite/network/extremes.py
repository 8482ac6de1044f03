"""The larger or the smaller of two tensors, with operators that XNNPACK has for integers."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.line_form import in_one_range, range_kernels
from tf_n2uq.tflite.network.ranges import Range


class ExtremeForm:
    """A `Maximum` or `Minimum` of two tensors, which XNNPACK has for floats only.

    Both tensors are first written in the range of the result, where no number changes its place in
    the order. The difference b − a, written to an int8 tensor whose lowest value stands for 0, is
    max(b − a, 0). Added to a, this is max(a, b); in the same way, a minus max(a − b, 0) is
    min(a, b). All of these tensors have one scale, so that nothing else is rounded.
    """

    def __init__(self, is_maximum: bool) -> None:
        """Creates the form.

        Args:
            is_maximum: whether the larger number is taken, or else the smaller one.
        """
        self._is_maximum = is_maximum

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns a kernel for each input that changes only the range."""
        return range_kernels(call)

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Computes the larger or the smaller numbers."""
        first, second = in_one_range(call, inputs, kernels)
        positive = Range(call.written().scale, -128)
        if self._is_maximum:
            return first + positive.quantize(second - first)
        return first - positive.quantize(first - second)
