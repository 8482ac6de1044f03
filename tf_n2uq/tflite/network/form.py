"""Integer forms of layers: their interface, and the form of layers that run as in Keras."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import expects_training
from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.ranges import Range


@dataclasses.dataclass(frozen=True)
class Source:
    """An int8 tensor that a layer reads.

    Attributes:
        range: the scale and zero point of the tensor.
        factor: the quotient of a number in Keras and the number that the file has in its place. It
            is 1 except for levels, which the file counts in units of its own.
        spread: the number of int8 steps of the tensor that Keras counts as one.
    """

    range: Range
    factor: float
    spread: int = 1


@dataclasses.dataclass(frozen=True)
class IntegerCall:
    """One call of a layer, with the ranges that the file has around it.

    Attributes:
        step: the call.
        input_shapes: the shapes of the tensors that the layer reads, with the batch, in order.
        sources: the tensors that the layer reads, in order, without those that have no range.
        result: the scale and zero point of the tensor that the layer's operator writes; None for an
            operator that writes in the range that it reads.
        line: the layer behind a kernel whose line per channel the operator also computes.
        offset_in: the offset of the first int8 tensor that the layer reads, float64 `[channels]`
            or `[]`.
        offset_out: the offset of the int8 tensor that the layer's operator writes, likewise.
        left_matters: of a layer that writes in the range that it reads: whether what the layer
            does left of its knee changes any level behind the layer.
    """

    step: Step
    input_shapes: list[tuple[int | None, ...]]
    sources: list[Source]
    result: Range | None
    line: keras.layers.Layer | None = None
    offset_in: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([]))
    offset_out: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([]))
    left_matters: bool = True

    @property
    def layer(self) -> keras.layers.Layer:
        """The layer that is called."""
        return self.step.layer

    @property
    def channels(self) -> int:
        """The number of channels of the first tensor that the layer reads."""
        channels = self.input_shapes[0][-1]
        assert channels is not None
        return channels

    def written(self) -> Range:
        """Returns the range of the tensor that the layer's operator writes.

        Raises:
            ValueError: if there is no such range. The message names the layer.
        """
        if self.result is None:
            raise ValueError(
                f'model: expected an 8-bit range behind {self.step.name!r}, got none. Quantize '
                'the model with tensor_bits=8, or give a representative_dataset.'
            )
        return self.result


class IntegerForm(Protocol):
    """The way in which an integer file computes the layers of one kind."""

    def kernels(self, call: IntegerCall) -> Mapping[str, IntegerKernel]:
        """Makes the integer kernels that the layer multiplies by.

        Args:
            call: the call of the layer, whose variables have values.

        Returns:
            The kernels by names that are unique in the layer. The name of an only kernel is ''.
        """

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Computes the layer with operators that the converter takes as they are.

        Args:
            call: the call of the layer.
            inputs: float32 tensors, each behind a `fake_quant` of its range. Their first axis is
                the batch of the file.
            kernels: the kernels that `kernels` returned, as the file has them.

        Returns:
            A float32 tensor. The caller puts the range behind it.
        """


class AsInKeras:
    """The form of a layer that runs with Keras' own operators, between the ranges of the file."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns no kernels."""
        del call
        return {}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Calls the layer."""
        del kernels
        tensors = iter(inputs)
        args, kwargs = tf.nest.map_structure(
            lambda leaf: next(tensors) if isinstance(leaf, Ref) else leaf,
            (call.step.args, call.step.kwargs),
        )
        kwargs.pop('training', None)
        if expects_training(call.layer):
            # The default of random layers is to run as in training.
            kwargs['training'] = False
        # `__call__` would make Flatten and Reshape look at the batch size of the Keras input.
        return call.layer.call(*args, **kwargs)


class FunctionForm:
    """The form of a layer that reads one tensor and multiplies by no kernel."""

    def __init__(self, compute: Callable[[keras.layers.Layer, tf.Tensor], tf.Tensor]) -> None:
        """Creates the form.

        Args:
            compute: a function of the layer and its input. It computes the layer with operators
                that the converter takes as they are.
        """
        self._compute = compute

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns no kernels."""
        del call
        return {}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Computes the layer."""
        del kernels
        return self._compute(call.layer, inputs[0])
