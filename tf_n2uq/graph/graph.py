"""A Keras model as a list of layer calls that can be rewritten and built again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq._compat.keras_models import add_beside_outputs
from tf_n2uq._compat.tfmot import QuantizeAnnotate
from tf_n2uq.graph.added_losses import has_unsaved_regularizer, read_by, split_off
from tf_n2uq.graph.call_reader import CallReader
from tf_n2uq.graph.steps import Ref as Ref
from tf_n2uq.graph.steps import Step as Step


class Graph:
    """The layer calls of a Sequential or Functional model, open to rewriting.

    Attributes:
        name: the model's name.
        sequential: whether the model is to be Sequential if it is a chain.
        steps: the calls by name.
        nested_inputs: the nest of the model's inputs, as `Ref`s.
        outputs: the nest of the model's outputs, as `Ref`s.
        added: the calls that only losses and metrics need, which `add_loss` and `add_metric` of the
            model have added. They are in no way part of the file, and `steps` has none of them.
        specs: shapes and dtypes of the tensors of the model that the graph was read from.
    """

    def __init__(self, name: str, sequential: bool) -> None:
        self.name = name
        self.sequential = sequential
        self.steps: dict[str, Step] = {}
        self.nested_inputs: Any = None
        self.outputs: Any = None
        self.added: list[Step] = []
        self.specs: dict[Ref, tf.TypeSpec] = {}
        self._shapes: dict[Ref, tuple[int | None, ...]] = {}

    @classmethod
    def from_model(
        cls, model: keras.Model, networks: Mapping[int, keras.Model] | None = None
    ) -> Graph:
        """Reads a built Sequential or Functional model, and copies its layers and weights.

        Models inside of the model are dissolved into their layers. The names of outer layers stay.
        A layer of an inner model whose name is taken gets the inner model's name in front. A
        `QuantizeAnnotate` wrapper gets the name of its layer. If an inner model was called with
        `training=`, its layers are called with the same value.

        Args:
            model: the model.
            networks: models that are dissolved in the place of custom layers, by the id of the
                layer.

        Raises:
            ValueError: if an inner model is subclassed or not built, or is called with a tensor of
                another rank than its own input has.
        """
        return cls._read(model, copy_layer, networks)

    @classmethod
    def of_layers(cls, model: keras.Model) -> Graph:
        """Reads a built Sequential or Functional model without copies.

        The graph has the model's own layers, which must not be changed. Use such a graph to read
        the model, or to make something else than a Keras model of it. Inner models are dissolved as
        in `from_model`, but layers keep their names.
        """
        return cls._read(model, lambda layer: layer)

    @classmethod
    def _read(
        cls,
        model: keras.Model,
        take: Callable[[keras.layers.Layer], keras.layers.Layer],
        networks: Mapping[int, keras.Model] | None = None,
    ) -> Graph:
        graph = cls(model.name, isinstance(model, keras.Sequential))
        CallReader(graph, model, take, networks).read_model()
        graph.steps, graph.added = split_off(graph.steps, graph.outputs)
        return graph

    @property
    def inputs(self) -> list[Ref]:
        """The model's inputs, flat."""
        return tf.nest.flatten(self.nested_inputs)

    def unique_name(self, name: str, reserved: Collection[str] = ()) -> str:
        """Returns `name`, or `name_1`, `name_2`… if that is reserved or a step has it."""
        candidate, count = name, 0
        taken = {step.name for step in self.added}
        while candidate in self.steps or candidate in reserved or candidate in taken:
            count += 1
            candidate = f'{name}_{count}'
        return candidate

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self.steps.values()))

    def add(self, layer: keras.layers.Layer, *inputs: Ref) -> Step:
        """Adds a call of a layer and returns the call.

        Args:
            layer: the layer. It is renamed if a step has its name already.
            *inputs: the tensors that the call reads.
        """
        name = self.unique_name(layer.name)
        rename(layer, name)
        step = Step(name, layer, args=tuple(inputs))
        self.steps[name] = step
        return step

    def calls_of(self, layer: keras.layers.Layer) -> list[Step]:
        """Returns the calls of a layer."""
        return [step for step in self if step.layer is layer]

    def call_again(self, layer: keras.layers.Layer, *inputs: Ref) -> Step:
        """Adds a further call of a layer that the graph calls already, and returns the call."""
        name = self.unique_name(layer.name)
        return self.steps.setdefault(name, Step(name, layer, args=tuple(inputs)))

    def remove(self, step: Step) -> None:
        """Removes a step that reads one tensor; its readers read that tensor instead."""
        (source,) = step.inputs
        self.redirect(step.output, source)
        del self.steps[step.name]

    def drop_unused(self) -> None:
        """Removes the steps that no output or added loss depends on, except the model's inputs."""
        ends = [*self.inputs, *tf.nest.flatten(self.outputs), *read_by(self.added)]
        needed = {ref.step for ref in ends}
        for step in reversed(self.in_order()):
            if step.name in needed:
                needed.update(ref.step for ref in step.inputs)
        self.steps = {name: step for name, step in self.steps.items() if name in needed}

    def shape(self, ref: Ref) -> tuple[int | None, ...]:
        """Returns the shape of a tensor, with the batch; None for a size that is not known."""
        if ref not in self._shapes:
            known = self.specs.get(ref)
            shape = self._computed_shape(ref) if known is None else known.shape
            self._shapes[ref] = tuple(tf.TensorShape(shape).as_list())
        return self._shapes[ref]

    def _computed_shape(self, ref: Ref) -> Any:
        step = self.producer(ref)
        shapes = [tf.TensorShape(self.shape(source)) for source in step.inputs]
        result = step.layer.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
        return result[ref.index] if isinstance(result, list) else result

    def build_layers(self) -> None:
        """Builds the layers that are not built yet, and gives them their weights.

        No model is made of the layers.
        """
        for step in self.in_order():
            missing = [(layer, arrays) for layer, arrays in step.restore if not layer.built]
            if not step.layer.built:
                shapes = [tf.TensorShape(self.shape(ref)) for ref in step.inputs]
                with tf.name_scope(step.name):
                    step.layer.build(shapes[0] if len(shapes) == 1 else shapes)
            for layer, arrays in missing:
                if len(layer.weights) < len(arrays):
                    self._call_once(step)
                layer.set_weights(arrays)
                layer.finalize_state()

    def _call_once(self, step: Step) -> None:
        """Lets a layer make those weights that it makes when it is called."""
        args, kwargs = tf.nest.map_structure(
            lambda leaf: keras.Input(batch_shape=self.shape(leaf)) if _is_ref(leaf) else leaf,
            (step.args, step.kwargs),
        )
        step.layer(*args, **kwargs)

    def producer(self, ref: Ref) -> Step:
        """Returns the step that makes `ref`."""
        return self.steps[ref.step]

    def consumers(self, ref: Ref) -> list[Step]:
        """Returns the steps that read `ref`."""
        return [step for step in self if step.reads(ref)]

    def returned(self) -> set[str]:
        """Returns the names of the steps whose first output the model returns."""
        return {ref.step for ref in tf.nest.flatten(self.outputs) if ref.index == 0}

    def is_output(self, ref: Ref) -> bool:
        """Tells whether the model returns `ref`."""
        return ref in tf.nest.flatten(self.outputs)

    def redirect(self, old: Ref, new: Ref, readers: Iterable[Step] | None = None) -> None:
        """Makes steps read another tensor.

        Args:
            old: the tensor that they read.
            new: the tensor that they read from now on. The step that makes it is left alone.
            readers: the steps; None for all steps and the model's outputs.
        """
        for step in [*self, *self.added] if readers is None else readers:
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
        added = self.added if outputs is None else []
        if self.sequential and outputs is None and not added and self._is_chain(order):
            model = keras.Sequential([step.layer for step in order], name=self.name)
        else:
            tensors = _call_all(order, {})
            model = keras.Model(
                tf.nest.map_structure(lambda ref: tensors[ref], self.nested_inputs),
                tf.nest.map_structure(
                    lambda ref: tensors[ref], self.outputs if outputs is None else outputs
                ),
                name=self.name,
            )
            if added:
                _call_all(added, tensors)
                add_beside_outputs(model, [(step.layer, tensors[step.output]) for step in added])
        for step in [*order, *added]:
            for layer, arrays in step.restore:
                layer.set_weights(arrays)
                # Some layers compute with numbers that they derive from their weights.
                layer.finalize_state()
        return model

    def _is_chain(self, order: list[Step]) -> bool:
        return all(
            # A Sequential model passes nothing but the tensor.
            after.inputs == [before.output] and _reads_one_tensor(after)
            for before, after in itertools.pairwise(order)
        )


def _reads_one_tensor(step: Step) -> bool:
    return len(step.args) == 1 and _is_ref(step.args[0]) and not step.kwargs


def _call_all(order: list[Step], tensors: dict[Ref, Any]) -> dict[Ref, Any]:
    """Calls layers in order, adds what they return to the tensors, and returns the tensors."""
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
    """Returns a new layer of the same class and config, which is not built.

    Args:
        layer: the layer to copy.
        change: edits the config in place before the copy is made.
    """
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer)
    if isinstance(layer, QuantizeAnnotate):
        # Its config may hold a user's class that is not registered.
        return QuantizeAnnotate(copy_layer(layer.layer, change), layer.quantize_config)
    config = layer.get_config()
    if change is not None:
        change(config)
    is_lost = has_unsaved_regularizer(layer)
    copy = layer.__class__.from_config(config)
    if is_lost:
        copy.activity_regularizer = layer.activity_regularizer
    return copy


def _is_ref(leaf: Any) -> bool:
    return isinstance(leaf, Ref)
