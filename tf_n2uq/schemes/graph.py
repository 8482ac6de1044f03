"""A Keras model as a list of layer calls that can be rewritten and built again."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras


@dataclasses.dataclass(frozen=True)
class Ref:
    """The output number `index` of the step named `step`."""

    step: str
    index: int = 0


@dataclasses.dataclass
class Step:
    """One call of one layer.

    Attributes:
        name: unique in the graph; the layer's name unless the layer is called several times.
        layer: a layer that is not connected to anything yet.
        args: positional arguments of the call, any nest with `Ref`s for tensors.
        kwargs: keyword arguments of the call, likewise.
        origin: name of the layer in the model that the graph was read from; '' for a new step.
        restore: pairs of a layer and the arrays that `set_weights` gives it once it is built.
        inputs: the tensors that the call reads, in order.
    """

    name: str
    layer: keras.layers.Layer
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    origin: str = ''
    restore: list[tuple[keras.layers.Layer, list[np.ndarray]]] = dataclasses.field(
        default_factory=list
    )
    inputs: list[Ref] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.inputs = self._find_inputs()

    def _find_inputs(self) -> list[Ref]:
        return [leaf for leaf in tf.nest.flatten((self.args, self.kwargs)) if _is_ref(leaf)]

    @property
    def output(self) -> Ref:
        """The first output."""
        return Ref(self.name)

    def redirect(self, old: Ref, new: Ref) -> None:
        """Reads `new` wherever the call read `old`."""
        if old not in self.inputs:
            return

        def swap(leaf: Any) -> Any:
            return new if _is_ref(leaf) and leaf == old else leaf

        self.args, self.kwargs = tf.nest.map_structure(swap, (self.args, self.kwargs))
        self.inputs = self._find_inputs()


class Graph:
    """The layer calls of a Sequential or Functional model, open to rewriting."""

    def __init__(self, name: str, sequential: bool) -> None:
        self.name = name
        self.sequential = sequential
        self.steps: dict[str, Step] = {}
        self.inputs: list[Ref] = []
        self.outputs: Any = None

    @classmethod
    def from_model(cls, model: keras.Model) -> Graph:
        """Reads a built Sequential or Functional model; its layers and weights are copied."""
        graph = cls(model.name, isinstance(model, keras.Sequential))
        refs: dict[int, Ref] = {}
        copies: dict[int, keras.layers.Layer] = {}
        for node in nodes_in_order(model):
            step = graph._add_call(node, refs, copies)
            for index, tensor in enumerate(tf.nest.flatten(node.outputs)):
                refs[id(tensor)] = Ref(step.name, index)
        graph.inputs = [refs[id(tensor)] for tensor in tf.nest.flatten(model.inputs)]
        # A nest of one stays a list in `model.outputs`; Keras then returns the bare tensor.
        graph.outputs = tf.nest.map_structure(
            lambda tensor: refs[id(tensor)], model._nested_outputs
        )
        return graph

    def _add_call(self, node: Any, refs: dict[int, Ref], copies: dict) -> Step:
        source = node.layer
        first_call = id(source) not in copies
        if first_call or not source.weights:
            copies[id(source)] = copy_layer(source)
        layer = copies[id(source)]

        def to_ref(leaf: Any) -> Any:
            return refs.get(id(leaf), leaf)

        args, kwargs = ((), {}) if node.is_input else (node.call_args, node.call_kwargs)
        args, kwargs = tf.nest.map_structure(to_ref, (args, dict(kwargs)))
        step = Step(self.unique_name(source.name), layer, args, kwargs, source.name)
        if not source.weights:
            layer._name = step.name
        elif first_call:
            step.restore.append((layer, source.get_weights()))
        self.steps[step.name] = step
        return step

    def unique_name(self, name: str) -> str:
        """Returns `name`, or `name_1`, `name_2`… if a step has that name."""
        candidate, count = name, 0
        while candidate in self.steps:
            count += 1
            candidate = f'{name}_{count}'
        return candidate

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self.steps.values()))

    def add(self, layer: keras.layers.Layer, *inputs: Ref) -> Step:
        """Adds a call of `layer`, whose name becomes unique, and returns it."""
        name = self.unique_name(layer.name)
        layer._name = name
        step = Step(name, layer, args=tuple(inputs))
        self.steps[name] = step
        return step

    def remove(self, step: Step) -> None:
        """Removes a step that reads one tensor; its readers read that tensor instead."""
        (source,) = step.inputs
        self.redirect(step.output, source)
        del self.steps[step.name]

    def producer(self, ref: Ref) -> Step:
        """Returns the step that makes `ref`."""
        return self.steps[ref.step]

    def consumers(self, ref: Ref) -> list[Step]:
        """Returns the steps that read `ref`."""
        return [step for step in self if ref in step.inputs]

    def is_output(self, ref: Ref) -> bool:
        """Tells whether the model returns `ref`."""
        return ref in tf.nest.flatten(self.outputs)

    def redirect(self, old: Ref, new: Ref, readers: Iterable[Step] | None = None) -> None:
        """Makes `readers` (all steps and the model's outputs if None) read `new` for `old`."""
        for step in self if readers is None else readers:
            if step.output != new:
                step.redirect(old, new)
        if readers is None:
            self.outputs = tf.nest.map_structure(
                lambda ref: new if ref == old else ref, self.outputs
            )

    def insert_after(self, ref: Ref, layer: keras.layers.Layer) -> Step:
        """Puts a one-input layer between `ref` and everything that reads it."""
        step = self.add(layer, ref)
        self.redirect(ref, step.output)
        return step

    def insert_before(self, reader: Step, ref: Ref, layer: keras.layers.Layer) -> Step:
        """Puts a one-input layer between `ref` and one of its readers."""
        step = self.add(layer, ref)
        self.redirect(ref, step.output, [reader])
        return step

    def in_order(self) -> list[Step]:
        """Returns the steps, each after those that it reads."""
        done: dict[str, Step] = {}
        stack = list(reversed(self.steps.values()))
        while stack:
            step = stack.pop()
            if step.name in done:
                continue
            missing = [self.producer(ref) for ref in step.inputs if ref.step not in done]
            if missing:
                stack.extend([step, *missing])
            else:
                done[step.name] = step
        return list(done.values())

    def to_model(self, outputs: Any = None) -> keras.Model:
        """Builds the model and gives every layer its weights.

        Args:
            outputs: a nest of `Ref`s to return instead of the graph's own outputs.

        Returns:
            A Sequential model if the source was one and is still a chain, else a Functional one.
        """
        order = self.in_order()
        if self.sequential and outputs is None and self._is_chain(order):
            model = keras.Sequential([step.layer for step in order], name=self.name)
        else:
            tensors = _call_all(order)
            model = keras.Model(
                [tensors[ref] for ref in self.inputs],
                tf.nest.map_structure(
                    lambda ref: tensors[ref], self.outputs if outputs is None else outputs
                ),
                name=self.name,
            )
        for step in order:
            for layer, arrays in step.restore:
                layer.set_weights(arrays)
        return model

    def _is_chain(self, order: list[Step]) -> bool:
        return all(after.inputs == [before.output] for before, after in itertools.pairwise(order))


def nodes_in_order(model: keras.Model) -> list[Any]:
    """Returns the calls of a model's layers, Keras' nodes, each after those that it reads."""
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _call_all(order: list[Step]) -> dict[Ref, Any]:
    tensors: dict[Ref, Any] = {}
    for step in order:
        if isinstance(step.layer, keras.layers.InputLayer):
            result = step.layer.output
        else:
            args, kwargs = tf.nest.map_structure(
                lambda leaf: tensors[leaf] if _is_ref(leaf) else leaf, (step.args, step.kwargs)
            )
            result = step.layer(*args, **kwargs)
        for index, tensor in enumerate(tf.nest.flatten(result)):
            tensors[Ref(step.name, index)] = tensor
    return tensors


def copy_layer(
    layer: keras.layers.Layer, change: Callable[[dict[str, Any]], None] | None = None
) -> keras.layers.Layer:
    """Returns a new, unbuilt layer of the same class and configuration.

    Args:
        layer: the layer to copy.
        change: edits the configuration in place before the copy is made.
    """
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer)
    config = layer.get_config()
    if change is not None:
        change(config)
    return layer.__class__.from_config(config)


def _is_ref(leaf: Any) -> bool:
    return isinstance(leaf, Ref)
