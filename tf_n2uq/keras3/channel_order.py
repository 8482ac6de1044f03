"""Networks whose channels come first, computed with the channels last.

tf_keras runs most layers on a CPU with the channels last only, and so does TFLite. A layer with
`data_format='channels_first'` therefore reads a transposed tensor. Layers behind it that can do so
go on with the transposed tensor. Transpositions are left at the inputs and the outputs, and around
layers that mix the axes.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from tf_n2uq.graph.graph import Ref
from tf_n2uq.keras3.entry import Entry

# They map each number by itself, or add up tensors of one shape.
_ELEMENTWISE = frozenset(
    {'Activation', 'ActivityRegularization', 'AlphaDropout', 'ELU', 'GaussianDropout', 'Identity'}
    | {'GaussianNoise', 'LeakyReLU', 'ReLU', 'Add', 'Average', 'Maximum', 'Minimum', 'Multiply'}
    | {'Subtract', 'CustomScaleLayer'}
)
_OPERATIONS = frozenset(
    {'Abs', 'Absolute', 'Add', 'Clip', 'Elu', 'Exp', 'Gelu', 'HardSigmoid', 'HardSilu', 'LeakyRelu'}
    | {'Maximum', 'Minimum', 'Multiply', 'Divide', 'TrueDivide', 'Negative', 'Relu', 'Relu6'}
    | {'Selu', 'Sigmoid', 'Silu', 'Softplus', 'Softsign', 'Sqrt', 'Square', 'Subtract', 'Tanh'}
    | {'StopGradient'}
)
# Their option `axis` says where the channels are.
_WITH_AXIS = frozenset(
    {'BatchNormalization', 'Concatenate', 'GroupNormalization', 'LayerNormalization'}
    | {'Normalization', 'Softmax'}
)
# With their channels first, they return a tensor without rows and columns, or without channels.
_COLLAPSING = ('Flatten', 'GlobalAveragePooling', 'GlobalMaxPooling')


class Order(enum.Enum):
    """How a layer bears tensors with their channels last."""

    AS_IT_IS = 'reads and returns tensors as Keras 3 has them'
    LAST = 'reads and returns tensors with the channels last'
    COLLAPSING = 'reads tensors with the channels last, and returns one that has no order'


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the network.

    Attributes:
        ref: the tensor in the graph of tf_keras.
        last: whether its channels are last there, but first in Keras 3.
        rank: the number of its axes; None where nobody has told.
    """

    ref: Ref
    last: bool = False
    rank: int | None = None


def order_of(entry: Entry, values: list[Value], channels_first: bool) -> Order:
    """Decides how a layer or operation is computed.

    Args:
        entry: the layer or operation.
        values: the tensors that it reads.
        channels_first: whether any layer of the network has its channels first.
    """
    ranks = {value.rank for value in values}
    rank = next(iter(ranks), None)
    if len(ranks) != 1 or rank is None or rank < 3 or not channels_first:
        return Order.AS_IT_IS
    if entry.config.get('data_format') == 'channels_first':
        collapses = entry.class_name.startswith(_COLLAPSING) and not entry.config.get('keepdims')
        return Order.COLLAPSING if collapses else Order.LAST
    transposed = any(value.last for value in values)
    if entry.is_operation:
        return Order.LAST if transposed and entry.class_name in _OPERATIONS else Order.AS_IT_IS
    if entry.class_name in _WITH_AXIS:
        by_channel = _axes(entry) == [1] or (transposed and len(_axes(entry)) == 1)
        return Order.LAST if by_channel else Order.AS_IT_IS
    if entry.class_name == 'Rescaling' and isinstance(entry.config.get('scale'), (list, dict)):
        return Order.LAST
    if entry.class_name in (*_ELEMENTWISE, 'Rescaling', 'Dropout') and transposed:
        return Order.AS_IT_IS if entry.config.get('noise_shape') else Order.LAST
    return Order.AS_IT_IS


def _axes(entry: Entry) -> list[int]:
    axis = entry.config.get('axis', -1)
    return list(axis) if isinstance(axis, list) else [axis]


def with_channels_last(entry: Entry, rank: int) -> Entry:
    """Returns an entry whose options are for tensors with their channels last.

    Args:
        entry: a layer of the order `LAST` or `COLLAPSING`.
        rank: of the tensors that it reads.
    """
    changed: dict[str, Any] = {}
    if 'data_format' in entry.config:
        changed['data_format'] = 'channels_last'
    if entry.class_name in _WITH_AXIS:
        axes = [place_of(axis, rank) for axis in _axes(entry)]
        changed['axis'] = axes if isinstance(entry.config.get('axis'), list) else axes[0]
    return dataclasses.replace(entry, config={**entry.config, **changed})


def place_of(axis: int, rank: int) -> int:
    """Returns where an axis is once the channels are last."""
    axis %= rank
    return axis if axis == 0 else (axis - 2) % (rank - 1) + 1


def to_last(rank: int) -> tuple[int, ...]:
    """Returns the `dims` of the `Permute` that moves the channels to the end."""
    return (*range(2, rank), 1)


def to_first(rank: int) -> tuple[int, ...]:
    """Returns the `dims` of the `Permute` that moves the channels to the front."""
    return (rank - 1, *range(1, rank - 1))


def has_channels_first(config: Mapping[str, Any]) -> bool:
    """Tells whether any layer of a network has its channels first."""
    layers = config.get('layers') or ()
    return any(
        isinstance(layer, dict)
        and isinstance(layer.get('config'), dict)
        and layer['config'].get('data_format') == 'channels_first'
        for layer in layers
    )
