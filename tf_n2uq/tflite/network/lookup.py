"""Any function of one int8 value as integer operators: comparators, and what each of them adds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.tflite.levels.comparators import INT8_STEPS, LOWEST
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.operators import run_dense, run_line
from tf_n2uq.tflite.network.ranges import Range

_MOST_PER_COMPARATOR = 127


@dataclasses.dataclass(frozen=True)
class Lookup:
    """A table from int8 to int8 for a tensor of one channel.

    XNNPACK has no table operator. A 1×1 depthwise convolution makes a comparator [q > t] of every
    value after which the table changes, each in a channel of its own; a 1×1 convolution adds
    up the changes of those that are on. Nothing is rounded.

    Attributes:
        kernels: 'comparators': 1×1 depthwise, from one channel to as many as there are changes.
            'changes': 1×1, from these to one channel.
        compared: scale and zero point of the comparators.
    """

    kernels: dict[str, IntegerKernel]
    compared: Range

    @classmethod
    def of(cls, table: np.ndarray, source: Range, result: Range) -> Lookup:
        """Makes the operators of a table.

        Args:
            table: integers `[256]` in -128..127, the result for each of the values -128..127.
            source: scale and zero point of the tensor that is looked up.
            result: of the tensor that is written.
        """
        table = np.asarray(table, np.int64)
        thresholds, steps = _changes(table)
        line = IntegerKernel.of_line(
            np.ones(len(thresholds)), -source.scale * (thresholds - source.zero_point)
        )
        # A comparator that is on is worth one step of the source's scale.
        unit = np.asarray([result.scale / source.scale])
        bias = np.asarray([(table[0] - result.zero_point) * result.scale])
        changes = IntegerKernel(steps[:, None].astype(np.int32), unit, bias)
        kernels = {'comparators': line, 'changes': changes}
        return cls(kernels, Range(source.scale / INT8_STEPS, LOWEST))

    def apply(self, inputs: tf.Tensor) -> tf.Tensor:
        """Runs the table.

        Args:
            inputs: `[1, …, 1]`.

        Returns:
            `[1, …, 1]`; its range is for the caller to put behind.
        """
        compared = self.compared.quantize(run_line(inputs, self.kernels['comparators']))
        return run_dense(compared, self.kernels['changes'])


class LookupForm:
    """A function of one number, for tensors of one channel, as a table over int8."""

    def __init__(
        self, function: Callable[[keras.layers.Layer, tf.Tensor, float], tf.Tensor]
    ) -> None:
        """Creates the form.

        Args:
            function: gets the layer, the numbers that an int8 tensor can hold, float32 `[256]`, and
                the scale of that tensor; returns what the layer makes of the numbers.
        """
        self._function = function

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the kernels of the table, which need no fitting."""
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
    """Values after which a table changes, and by how much, at most ±127 at a time."""
    thresholds, steps = [], []
    for row, change in enumerate(np.diff(table)):
        while change:
            step = int(np.clip(change, -_MOST_PER_COMPARATOR, _MOST_PER_COMPARATOR))
            thresholds.append(row + LOWEST)
            steps.append(step)
            change -= step
    if not thresholds:
        # A constant function still has to be computed from something.
        thresholds, steps = [LOWEST], [0]
    return np.asarray(thresholds), np.asarray(steps)
