"""How an integer file computes a layer: the interface, and the forms that fit most layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.ranges import Range


@dataclasses.dataclass(frozen=True)
class Source:
    """An int8 tensor that a layer reads.

    Attributes:
        range: scale and zero point of the tensor.
        factor: what a number of the layer's input in Keras has to be divided by to be the number
            that the file has in its place. It is 1 except for levels, which the file counts in
            units of its own.
    """

    range: Range
    factor: float


@dataclasses.dataclass(frozen=True)
class IntegerCall:
    """One call of a layer, with what the file has around it.

    Attributes:
        step: the call.
        input_shapes: shapes of what the layer reads, with the batch, in order.
        output_shape: shape of what the layer returns, with the batch.
        sources: what the layer reads, in order. A tensor without a range in the file is missing.
        result: scale and zero point of what the layer's operator writes; None for an operator that
            writes in the range that it reads.
        line: the layer behind a kernel whose slope and offset the operator takes on.
    """

    step: Step
    input_shapes: list[tuple[int | None, ...]]
    output_shape: tuple[int | None, ...]
    sources: list[Source]
    result: Range | None
    line: keras.layers.Layer | None = None

    @property
    def layer(self) -> keras.layers.Layer:
        """The layer."""
        return self.step.layer

    @property
    def channels(self) -> int:
        """Number of channels of the first tensor that the layer reads."""
        channels = self.input_shapes[0][-1]
        assert channels is not None
        return channels

    def written(self) -> Range:
        """Returns the range of what the layer's operator writes.

        Raises:
            ValueError: if there is none, naming the layer.
        """
        if self.result is None:
            raise ValueError(
                f'model: expected an 8-bit range behind {self.step.name!r}, found none. Quantize '
                'the model with tensor_bits=8, or give a representative_dataset.'
            )
        return self.result


class IntegerForm(Protocol):
    """How an integer file computes the layers of one kind."""

    def kernels(self, call: IntegerCall) -> Mapping[str, IntegerKernel]:
        """Makes the integer kernels that the layer multiplies by.

        Args:
            call: the call of the layer, whose variables have values.

        Returns:
            Kernels by a name that is unique in the layer; '' for the kernel of a layer that has
            only one.
        """

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Computes the layer with operators that the converter takes as they are.

        Args:
            call: the call of the layer.
            inputs: float32 tensors of batch size 1, each behind a `fake_quant` of its range.
            kernels: what `kernels` returned, as the file has them.

        Returns:
            float32; the caller puts the range behind it.
        """


class AsInKeras:
    """A layer that Keras' own operators compute, within the ranges around them."""

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
        # `call`: Flatten and Reshape would look at the batch size of the Keras input otherwise.
        return call.layer.call(*args, **kwargs)
