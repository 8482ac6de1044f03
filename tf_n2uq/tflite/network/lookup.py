"""Any function of one int8 value as integer operators: comparators with a weight each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.tflite.levels.comparators import INT8_STEPS, LOWEST
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.operators import depthwise_1x1, run_dense
from tf_n2uq.tflite.network.ranges import Range

# The largest int8 weight of a comparator.
_LARGEST_CHANGE = 127


@dataclasses.dataclass(frozen=True)
class Lookup:
    """A table from int8 to int8 for a tensor of one channel.

    XNNPACK has no table operator. A 1×1 depthwise convolution computes a comparator [q > t] for
    every value t after which the table changes, each in a channel of its own. A 1×1 convolution
    adds up the changes of the comparators that are on. Nothing is rounded.

    Attributes:
        kernels: 'comparators': the 1×1 depthwise kernel, from one channel to one channel per
            change. 'changes': the dense kernel from these channels to one channel.
        compared: the scale and zero point of the comparators.
    """

    kernels: dict[str, IntegerKernel]
    compared: Range

    @classmethod
    def of(cls, table: np.ndarray, source: Range, result: Range) -> Lookup:
        """Makes the operators of a table.

        Args:
            table: integers `[256]` in -128..127, the result for each of the values -128..127.
            source: the scale and zero point of the tensor that is read.
            result: the scale and zero point of the tensor that is written.
        """
        table = np.asarray(table, np.int64)
        thresholds, steps = _changes(table)
        line = IntegerKernel.of_line(
            np.ones(len(thresholds)), -source.scale * (thresholds - source.zero_point)
        )
        # A comparator that is on has the value of one step of the source.
        unit = np.asarray([result.scale / source.scale])
        bias = np.asarray([(table[0] - result.zero_point) * result.scale])
        changes = IntegerKernel(steps[:, None].astype(np.int32), unit, bias)
        kernels = {'comparators': line, 'changes': changes}
        return cls(kernels, Range(source.scale / INT8_STEPS, LOWEST))

    def apply(self, inputs: tf.Tensor) -> tf.Tensor:
        """Runs the table.

        Args:
            inputs: `[batch, …, 1]`.

        Returns:
            `[batch, …, 1]`. The caller puts the range behind it.
        """
        compared = self.compared.quantize(depthwise_1x1(inputs, self.kernels['comparators']))
        return run_dense(compared, self.kernels['changes'])


class LookupForm:
    """A function of one number, for tensors of one channel, as a table over int8."""

    def __init__(
        self, function: Callable[[keras.layers.Layer, tf.Tensor, float], tf.Tensor]
    ) -> None:
        """Creates the form.

        Args:
            function: a function of the layer, the numbers that an int8 tensor can hold, float32
                `[256]`, and the scale of that tensor. It returns the outputs of the layer, float32
                `[256]`.
        """
        self._function = function

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the kernels of the table. XNNPACK can compute with them as they are."""
        source, result = call.sources[0].range, call.written()
        values = self._function(call.layer, tf.constant(source.values()), source.scale)
        table = np.rint(np.asarray(values, np.float64) / result.scale) + result.zero_point
        return Lookup.of(np.clip(table, -128, 127), source, result).kernels

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the table."""
        compared = Range(call.sources[0].range.scale / INT8_STEPS, LOWEST)
        return Lookup(dict(kernels), compared).apply(inputs[0])


def _changes(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values after which a table changes, and the changes.

    A change by more than 127 is split into several changes after the same value.
    """
    thresholds, steps = [], []
    for row, change in enumerate(np.diff(table)):
        while change:
            step = int(np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE))
            thresholds.append(row + LOWEST)
            steps.append(step)
            change -= step
    if not thresholds:
        # A constant function still needs a comparator.
        thresholds, steps = [LOWEST], [0]
    return np.asarray(thresholds), np.asarray(steps)
