"""One operation of `keras.ops` as a graph of its own, and its way into the graph of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.keras3.channel_order import to_last
from tf_n2uq.keras3.entry import Entry, TranslationError
from tf_n2uq.keras3.operation_call import Call
from tf_n2uq.schemes.annotation.tf_functions import replace_operators


@dataclasses.dataclass(eq=False)
class Spec:
    """A tensor in the arguments of a call, as Keras 3 describes it.

    Attributes:
        shape: with the batch; None for a size that is not known.
        dtype: the name of its dtype.
    """

    shape: tuple[int | None, ...] = ()
    dtype: str = 'float32'

    def placeholder(self, last: bool) -> Any:
        """Returns an input of tf_keras with this shape.

        Args:
            last: whether the input has the channels last, which come first in Keras 3.
        """
        shape = self.shape
        if last:
            shape = (shape[0], *(shape[dim] for dim in to_last(len(shape))))
        return keras.Input(batch_shape=shape, dtype=self.dtype)


def rewritten(entry: Entry, call: Call, tensors: list[Any], rule: Any) -> Graph:
    """Returns the graph of an operation on placeholders, with layers that the schemes know.

    Args:
        entry: the operation.
        call: its options and arguments.
        tensors: the placeholders among the arguments.
        rule: computes the operation.

    Raises:
        TranslationError: if it cannot be computed.
    """
    try:
        graph = Graph.from_model(keras.Model(tensors, rule(call)))
    except TranslationError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, tf.errors.OpError) as error:
        raise entry.refusal(
            f'has options or arguments that from_keras3 does not know ({error})',
            'build this part of the model with Keras layers',
        ) from error
    replace_operators(graph)
    return graph


def merge(target: Graph, source: Graph, inputs: Mapping[Ref, Ref], name: str) -> list[Ref]:
    """Moves the calls of a graph into another one.

    Args:
        target: gets the calls.
        source: the graph of an operation.
        inputs: the tensors of the target that the inputs of the source stand for.
        name: of the operation, which the call gets that makes the output.

    Returns:
        The outputs of the source, in the target.
    """
    refs = dict(inputs)
    outputs = tf.nest.flatten(source.outputs)
    for step in source.in_order():
        if isinstance(step.layer, keras.layers.InputLayer):
            continue
        is_last = step.name == outputs[-1].step
        own = name if is_last else f'{name}_{type(step.layer).__name__.lower()}'
        new = target.unique_name(own)
        rename(step.layer, new)
        args, kwargs = tf.nest.map_structure(
            lambda leaf: refs[leaf] if isinstance(leaf, Ref) else leaf, (step.args, step.kwargs)
        )
        target.steps[new] = Step(new, step.layer, args, kwargs)
        count = sum(isinstance(ref, Ref) and ref.step == step.name for ref in source.specs)
        refs.update({Ref(step.name, each): Ref(new, each) for each in range(max(count, 1))})
    return [refs[ref] for ref in outputs]
