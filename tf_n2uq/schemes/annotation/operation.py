"""A call of a TensorFlow function, as the rules that replace it by layers read it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step

# The new layer, and the tensor or the list of tensors that it is called with.
Call: TypeAlias = tuple[keras.layers.Layer, Any]
_LAYERS = keras.layers


@dataclasses.dataclass(frozen=True)
class Operation:
    """One call of a TensorFlow function.

    Attributes:
        step: the call.
        arguments: the arguments of the call by parameter name, with defaults; `Ref`s for tensors.
        graph: the graph that holds the call.
        output: the shape and the dtype of the result.
    """

    step: Step
    arguments: Mapping[str, Any]
    graph: Graph
    output: tf.TypeSpec

    @classmethod
    def of(cls, step: Step, graph: Graph) -> Operation:
        """Reads a call of a `TFOpLambda`."""
        bound = inspect.signature(step.layer.function).bind(*step.args, **step.kwargs)
        bound.apply_defaults()
        return cls(step, bound.arguments, graph, graph.specs[step.output])

    def __getitem__(self, name: str) -> Any:
        """Returns an argument of the call."""
        return self.arguments[name]

    def shape(self, ref: Ref) -> tuple[int | None, ...]:
        """Returns the shape of a tensor, with the batch."""
        return self.graph.shape(ref)

    def layer(self, kind: Callable[..., keras.layers.Layer], *args: Any, **kwargs: Any) -> Any:
        """Returns a layer with the name and the dtype of the call."""
        return kind(*args, name=self.step.name, dtype=self.output.dtype.name, **kwargs)

    def first(
        self, ref: Ref, result: str, kind: Callable[..., keras.layers.Layer], *args: Any
    ) -> Ref:
        """Adds a layer in front of the call.

        Args:
            ref: the tensor that the layer reads.
            result: a word for the result of the layer, which becomes part of its name.
            kind: the class of the layer.
            *args: the arguments of the class.

        Returns:
            The output of the layer.
        """
        name = f'{self.step.name}_{result}'
        layer = kind(*args, name=name, dtype=self.output.dtype.name)
        step = self.graph.add(layer, ref)
        # Whoever names the layer of the call means all of its parts.
        step.origin = self.step.origin
        return step.output

    def merge(self, kind: type, refs: list[Any]) -> Call | None:
        """Returns a layer that merges tensors, or None if their ranks differ.

        Keras aligns tensors of different ranks differently than TensorFlow does.
        """
        return (self.layer(kind), list(refs)) if self.have_one_rank(refs) else None

    def have_one_rank(self, refs: list[Any]) -> bool:
        """Tells whether all are tensors, of as many axes."""
        if not all(isinstance(ref, Ref) for ref in refs):
            return False
        return len({len(self.shape(ref)) for ref in refs}) == 1

    def rescale(self, ref: Any, scale: Any, offset: Any) -> Call | None:
        """Returns a layer for `tensor · scale + offset`, or None if a `Rescaling` cannot do it.

        Args:
            ref: the tensor.
            scale: one number, or one number per channel.
            offset: likewise.
        """
        if not isinstance(ref, Ref):
            return None
        values = [self.per_channel(value, ref) for value in (scale, offset)]
        if any(value is None for value in values):
            return None
        return self.layer(_LAYERS.Rescaling, *values), ref

    def per_channel(self, value: Any, ref: Ref) -> Any:
        """Returns a number, or a list of a number per channel of a tensor; None for all else."""
        array, shape = constant_of(value), self.shape(ref)
        if array is None or array.ndim > len(shape):
            return None
        if array.size == 1:
            return array.item()
        # One number per channel, and one for all rows, columns and images.
        return array.ravel().tolist() if array.size == array.shape[-1] == shape[-1] else None


def constant_of(value: Any) -> np.ndarray | None:
    """Returns a float64 array, or None for a value that is no constant."""
    # The value of a variable may still change.
    if value is None or isinstance(value, (Ref, tf.Variable)):
        return None
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


def number_of(value: Any) -> float | None:
    """Returns a constant of one number, or None for any other value."""
    array = constant_of(value)
    return None if array is None or array.size != 1 else array.item()


# Returns the layer for a call, or None if there is none.
Rule: TypeAlias = Callable[[Operation], Call | None]
