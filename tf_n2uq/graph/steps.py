"""The calls of layers that a graph consists of."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.layer_spec import Kind, LayerSpec, kind_of, spec_of

_UNKNOWN = LayerSpec(Kind.NEW_RANGE)


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
        input_shape: the shape of the input, with the batch, as Keras gives it (a list of shapes for
            several inputs); None for a new step.
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
    input_shape: Any = None
    inputs: list[Ref] = dataclasses.field(init=False)

    _sources: frozenset[str] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._find_inputs()

    def _find_inputs(self) -> None:
        leaves = tf.nest.flatten((self.args, self.kwargs))
        self.inputs = [leaf for leaf in leaves if isinstance(leaf, Ref)]
        # Names compare ten times as fast as references, and graphs ask often.
        self._sources = frozenset(ref.step for ref in self.inputs)

    def reads(self, ref: Ref) -> bool:
        """Tells whether the call reads a tensor."""
        return ref.step in self._sources and ref in self.inputs

    @property
    def kind(self) -> Kind | None:
        """The kind of the layer; None for a layer that has no integer form."""
        return kind_of(self.layer, self.input_shape)

    @property
    def spec(self) -> LayerSpec:
        """The spec of the layer; a spec without entries for a layer of an unknown kind."""
        return spec_of(self.layer) or _UNKNOWN

    @property
    def output(self) -> Ref:
        """The first output."""
        return Ref(self.name)

    def redirect(self, old: Ref, new: Ref) -> None:
        """Makes the call read `new` wherever it has read `old`."""
        if not self.reads(old):
            return

        def swap(leaf: Any) -> Any:
            return new if isinstance(leaf, Ref) and leaf == old else leaf

        self.args, self.kwargs = tf.nest.map_structure(swap, (self.args, self.kwargs))
        self._find_inputs()

    def replace(self, layer: keras.layers.Layer, *args: Any) -> None:
        """Makes the call a call of another layer.

        The name and the readers of the step stay.

        Args:
            layer: the other layer, which gets no weights.
            *args: the positional arguments of the call.
        """
        self.layer, self.args, self.kwargs, self.restore = layer, args, {}, []
        self._find_inputs()
