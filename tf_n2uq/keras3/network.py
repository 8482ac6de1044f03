"""Networks of Keras 3, built anew with tf_keras from their configs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.keras3.channel_order import (
    Order,
    Value,
    has_channels_first,
    order_of,
    to_first,
    to_last,
    with_channels_last,
)
from tf_n2uq.keras3.entry import Entry, TranslationError
from tf_n2uq.keras3.operation_call import Call, arguments_of, rule_of
from tf_n2uq.keras3.operation_graph import Spec, merge, rewritten
from tf_n2uq.keras3.plain_values import decoded
from tf_n2uq.keras3.translation import Translator, translation_of
from tf_n2uq.keras3.weight_store import WeightStore

_LAYERS = keras.layers
_MODELS = ('Functional', 'Sequential', 'Model')
# These classes are no operations of `keras.ops`, but become several layers as operations do.
_TAKEN_APART = ('CustomScaleLayer',)
_Key = tuple[str, int]


@dataclasses.dataclass
class Pair:
    """A layer of tf_keras, and where its weights are in Keras 3."""

    entry: Entry
    layer: keras.layers.Layer
    store: WeightStore


class NetworkBuilder:
    """Builds models of tf_keras.

    Attributes:
        pairs: the layers that may have weights, those of inner models included.
    """

    def __init__(self, trusted: Mapping[str, Any]) -> None:
        """Creates a builder.

        Args:
            trusted: the caller's own classes and functions; see `Translator`.
        """
        self.pairs: list[Pair] = []
        self._translator = Translator(trusted)
        self._made: dict[Any, keras.layers.Layer] = {}

    def model(self, entry: Entry, store: WeightStore) -> keras.Model:
        """Builds a model, without its weights.

        Args:
            entry: of a Functional or Sequential model of Keras 3.
            store: the weights of this model.

        Raises:
            TranslationError: if it is no such model, or if one of its layers has no counterpart.
        """
        if entry.class_name not in _MODELS or not entry.is_of_keras:
            raise TranslationError(
                f'model: expected a Sequential or Functional model of Keras 3, got {entry.name!r} '
                f'of the class {entry.class_name!r}, whose code cannot be translated; rebuild it '
                'with the functional API, keras.Model(inputs, outputs).'
            )
        network = _Network(self, entry)
        graph = network.read(store)
        model = graph.to_model()
        if entry.config.get('trainable') is False:
            model.trainable = False
        return model

    def layer(self, entry: Entry, store: WeightStore) -> keras.layers.Layer:
        """Returns the counterpart of a layer or of an inner model.

        One and the same layer of Keras 3 has one counterpart, wherever it is called.

        Args:
            entry: of the layer.
            store: its weights.
        """
        key = (store.identity, entry.name)
        if store.identity is not None and key in self._made:
            return self._made[key]
        if store.identity is None and entry.shared_id is not None:
            # Keras 3 has written the layer and its weights where it first stands in the model.
            same = [layer for (_, name), layer in self._made.items() if name == entry.name]
            if len(same) == 1:
                return same[0]
        if entry.class_name in _MODELS and entry.is_of_keras:
            layer: keras.layers.Layer = self.model(entry, store)
        else:
            layer = self._translator.layer(entry)
            self.pairs.append(Pair(entry, layer, store))
        self._made[key] = layer
        return layer


class _Network:
    """One network while its calls are put into a graph."""

    def __init__(self, builder: NetworkBuilder, entry: Entry) -> None:
        self._builder, self._entry = builder, entry
        self._is_sequential = entry.class_name == 'Sequential'
        self._channels_first = has_channels_first(entry.config)
        self._graph = Graph(entry.name, self._is_sequential)
        self._entries: list[Entry] = []
        self._stores: dict[str, WeightStore] = {}
        self._outputs: dict[_Key, _Result] = {}
        self._layers: dict[str, keras.layers.Layer] = {}
        self._orders: dict[str, Order] = {}

    def read(self, store: WeightStore) -> Graph:
        """Puts all calls into the graph, and returns it."""
        descriptions = self._entry.config.get('layers')
        if not isinstance(descriptions, list) or not descriptions:
            raise TranslationError(
                f'model: expected layers in {self._entry.name!r}, got none; build the model of '
                'Keras 3 before it is given or saved.'
            )
        self._entries = [Entry.of(description) for description in descriptions]
        stores = store.layers(self._entries)
        self._stores = {entry.name: own for entry, own in zip(self._entries, stores, strict=True)}
        if self._is_sequential:
            self._read_chain()
        else:
            self._read_calls()
        return self._graph

    def _read_chain(self) -> None:
        first, *others = self._entries
        if first.class_name != 'InputLayer':
            raise TranslationError(
                f'model: expected a built model, got {self._entry.name!r}, whose input shape is '
                'not known; call model.build(input_shape) in Keras 3.'
            )
        value = self._call_input(first)[0]
        self._graph.nested_inputs = value.ref
        for entry in others:
            if self._channels_first and value.rank is None:
                value = dataclasses.replace(value, rank=len(self._graph.shape(value.ref)))
            spec = Spec()
            value = self._call(entry, (spec,), {}, {id(spec): value})[0]
        self._graph.outputs = self._as_in_keras3(value, self._entry.name)

    def _read_calls(self) -> None:
        waiting = [
            (entry, index, node)
            for entry in self._entries
            for index, node in enumerate(entry.nodes or [None])
        ]
        while waiting:
            left = [call for call in waiting if not self._read_call(*call)]
            if len(left) == len(waiting):
                raise TranslationError(
                    f'model: expected calls that can follow one another in {self._entry.name!r}, '
                    f'got a call of {left[0][0].name!r} that waits for others; save the model '
                    'again with Keras 3.'
                )
            waiting = left
        config = self._entry.config
        inputs, outputs = config.get('input_layers'), config.get('output_layers')
        self._graph.nested_inputs = self._nest(inputs, lambda value, _: value.ref)
        self._graph.outputs = self._nest(outputs, self._as_in_keras3)

    def _read_call(self, entry: Entry, index: int, node: Any) -> bool:
        """Adds a call if all that it reads is known; returns whether it is."""
        if entry.class_name == 'InputLayer':
            self._outputs[entry.name, 0] = self._call_input(entry)
            return True
        if not isinstance(node, dict):
            raise entry.refusal('has a call that says nothing', 'save the model with Keras 3')
        found: dict[int, Value] = {}
        missing = False

        def tensor(config: dict[str, Any]) -> Any:
            nonlocal missing
            history = config.get('keras_history') or [None, 0, 0]
            outputs = self._outputs.get((history[0], history[1]))
            if outputs is None:
                missing = True
                return None
            spec = Spec(tuple(config.get('shape') or ()), str(config.get('dtype')))
            found[id(spec)] = dataclasses.replace(outputs[history[2]], rank=len(spec.shape))
            return spec

        args, kwargs = (decoded(node.get(key), tensor) for key in ('args', 'kwargs'))
        if missing:
            return False
        self._outputs[entry.name, index] = self._call(entry, tuple(args), kwargs or {}, found)
        return True

    def _call_input(self, entry: Entry) -> _Result:
        for option in ('sparse', 'ragged', 'optional'):
            if entry.config.get(option):
                raise entry.refusal(
                    f'has {option}=True; expected a dense tensor that is always given',
                    f'build the model without {option}=True',
                )
        shape = entry.config.get('batch_shape') or entry.config.get('batch_input_shape') or ()
        layer = _LAYERS.InputLayer(
            batch_input_shape=tuple(shape), dtype=entry.config.get('dtype'), name=entry.name
        )
        step = self._graph.add(layer)
        self._graph.specs[step.output] = layer.output.type_spec
        return _Result(None, step.name, rank=len(shape))

    def _call(
        self, entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any], found: dict[int, Value]
    ) -> _Result:
        values = list(found.values())
        order = order_of(entry, values, self._channels_first)
        order = self._orders.setdefault(entry.name, order)
        refs = {
            key: self._in_order(value, order is not Order.AS_IT_IS, entry.name)
            for key, value in found.items()
        }
        rank = values[0].rank if values else None
        if order is not Order.AS_IT_IS:
            assert rank is not None
            entry = with_channels_last(entry, rank)
        last = order is Order.LAST
        if entry.is_operation or entry.class_name in _TAKEN_APART:
            made = self._add_operation(entry, args, kwargs, refs, last)
            return _Result(made, '', last, rank if last else None)
        return _Result(
            None, self._add_layer(entry, args, kwargs, refs), last, rank if last else None
        )

    def _add_layer(
        self, entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any], refs: dict[int, Ref]
    ) -> str:
        args, kwargs = _call_of(entry, args, kwargs)
        if entry.name not in self._layers:
            self._layers[entry.name] = self._builder.layer(entry, self._stores[entry.name])
        name = self._graph.unique_name(entry.name)

        def to_ref(leaf: Any) -> Any:
            return refs.get(id(leaf), leaf)

        args, kwargs = tf.nest.map_structure(to_ref, (args, kwargs))
        self._graph.steps[name] = Step(name, self._layers[entry.name], tuple(args), kwargs)
        return name

    def _add_operation(
        self,
        entry: Entry,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        refs: dict[int, Ref],
        last: bool,
    ) -> list[Ref]:
        tensors: list[Any] = []
        given: list[Ref] = []

        def placeholder(leaf: Any) -> Any:
            if not isinstance(leaf, Spec):
                return leaf
            tensors.append(leaf.placeholder(last))
            given.append(refs[id(leaf)])
            return tensors[-1]

        values = arguments_of(entry, *tf.nest.map_structure(placeholder, (args, kwargs)))
        _, rule = rule_of(entry)
        graph = rewritten(entry, Call(entry, values), tensors, rule)
        inputs = dict(zip(graph.inputs, given, strict=True))
        return merge(self._graph, graph, inputs, entry.name)

    def _in_order(self, value: Value, last: bool, name: str) -> Ref:
        if value.last == last:
            return value.ref
        assert value.rank is not None
        dims = to_last(value.rank) if last else to_first(value.rank)
        end = 'channels_last' if last else 'channels_first'
        for step in self._graph.consumers(value.ref):
            if isinstance(step.layer, _LAYERS.Permute) and tuple(step.layer.dims) == dims:
                return step.output
        layer = _LAYERS.Permute(dims, name=self._graph.unique_name(f'{name}_{end}'))
        return self._graph.add(layer, value.ref).output

    def _as_in_keras3(self, value: Value, name: str) -> Ref:
        return self._in_order(value, False, name)

    def _nest(self, described: Any, make: Any) -> Any:
        """Returns the nest of a network's inputs or outputs."""
        if isinstance(described, dict):
            return {key: self._nest(each, make) for key, each in described.items()}
        if not isinstance(described, list):
            raise TranslationError(
                f'model: expected inputs and outputs of {self._entry.name!r}, got {described!r}; '
                'save the model again with Keras 3.'
            )
        if len(described) == 3 and isinstance(described[0], str):
            name, node, index = described
            return make(self._value(name, node, index), name)
        return [self._nest(each, make) for each in described]

    def _value(self, name: str, node: int, index: int) -> Value:
        outputs = self._outputs.get((name, node))
        if outputs is None:
            # Keras 3 counts the call with which a Functional model was made.
            outputs = self._outputs.get((name, node - 1))
        if outputs is None:
            raise TranslationError(
                f'model: expected outputs of layers in {self._entry.name!r}, got call {node} of '
                f'{name!r}, which does not exist; save the model again with Keras 3.'
            )
        return outputs[index]


@dataclasses.dataclass(frozen=True)
class _Result:
    """What a call returns.

    Attributes:
        refs: its tensors; None if all of them are outputs of one step.
        step: the name of this step.
        last: whether the channels of the tensors are last there, but first in Keras 3.
        rank: the number of axes of the tensors; None where nobody has told.
    """

    refs: list[Ref] | None
    step: str
    last: bool = False
    rank: int | None = None

    def __getitem__(self, index: int) -> Value:
        ref = Ref(self.step, index) if self.refs is None else self.refs[index]
        return Value(ref, self.last, self.rank)


def _call_of(
    entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of a layer's call as tf_keras takes them."""
    translation = translation_of(entry)
    names = () if translation is None else translation.first_arguments
    if names:
        kwargs = {**dict(zip(names, args, strict=False)), **kwargs}
        args = (kwargs.pop(names[0]),)
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    # Keras 3 writes down the default of a layer, such as False for Dropout and True for RandomFlip,
    # and puts the value of the model's own call in its place. tf_keras would obey what is written.
    kwargs.pop('training', None)
    if 'initial_state' in kwargs:
        # Keras 3 finds no mask by itself then, and tf_keras would.
        kwargs.setdefault('mask', None)
    for name in ('query_mask', 'value_mask', 'key_mask'):
        if name in kwargs:
            raise entry.refusal(f'is called with {name}', 'give it an attention_mask instead')
    return args, kwargs
