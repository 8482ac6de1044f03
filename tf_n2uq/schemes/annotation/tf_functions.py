"""Replacing of TensorFlow functions, which were called on a model's tensors, by Keras layers.

Keras wraps each such call into a layer, `TFOpLambda`. TFMOT can neither annotate nor quantize this
layer, which keeps its constants in the call.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import SlicingOpLambda, TFOpLambda
from tf_n2uq.graph.graph import Graph, Ref, Step

_LAYERS = keras.layers
# The new layer, and the tensor or the list of tensors that it is called with.
_Call = tuple[keras.layers.Layer, Any]


def replace_operators(graph: Graph) -> None:
    """Replaces calls of TensorFlow functions by Keras layers, in place.

    Steps keep their names. A call stays if no layer computes the same.

    Args:
        graph: the graph as it was read from a model, with `specs`.
    """
    for step in graph:
        if not isinstance(step.layer, TFOpLambda):
            continue
        rule = _RULES.get((step.layer.symbol or '').removeprefix('compat.v1.'))
        is_plain = all(_is_plain(graph.specs[ref]) for ref in [*step.inputs, step.output])
        if rule is not None and is_plain and graph.specs[step.output].dtype.is_floating:
            call = rule(_Operation.of(step, graph))
            if call is not None:
                step.replace(*call)
    graph.drop_unused()


def _is_plain(spec: tf.TypeSpec) -> bool:
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None


@dataclasses.dataclass(frozen=True)
class _Operation:
    """One call of a TensorFlow function.

    Attributes:
        name: the name of the step.
        arguments: the arguments of the call by parameter name, with defaults; `Ref`s for tensors.
        graph: the graph that holds the call.
        output: the shape and the dtype of the result.
    """

    name: str
    arguments: Mapping[str, Any]
    graph: Graph
    output: tf.TypeSpec

    @classmethod
    def of(cls, step: Step, graph: Graph) -> _Operation:
        bound = inspect.signature(step.layer.function).bind(*step.args, **step.kwargs)
        bound.apply_defaults()
        return cls(step.name, bound.arguments, graph, graph.specs[step.output])

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def shape(self, ref: Ref) -> tuple[int | None, ...]:
        return tuple(self.graph.specs[ref].shape)

    def layer(self, kind: Callable[..., keras.layers.Layer], *args: Any, **kwargs: Any) -> Any:
        return kind(*args, name=self.name, dtype=self.output.dtype.name, **kwargs)

    def merge(self, kind: type, refs: list[Any]) -> _Call | None:
        """Returns a layer that merges tensors, or None if their ranks differ.

        Keras aligns tensors of different ranks differently than TensorFlow does.
        """
        return (self.layer(kind), list(refs)) if self.have_one_rank(refs) else None

    def have_one_rank(self, refs: list[Any]) -> bool:
        if not all(isinstance(ref, Ref) for ref in refs):
            return False
        return len({len(self.shape(ref)) for ref in refs}) == 1

    def rescale(self, ref: Any, scale: Any, offset: Any) -> _Call | None:
        """Returns a layer for `tensor · scale + offset`, or None if a `Rescaling` cannot do it.

        Args:
            ref: the tensor.
            scale: one number, or one number per channel.
            offset: likewise.
        """
        if not isinstance(ref, Ref):
            return None
        values = [self._per_channel(value, self.shape(ref)) for value in (scale, offset)]
        if any(value is None for value in values):
            return None
        return self.layer(_LAYERS.Rescaling, *values), ref

    @staticmethod
    def _per_channel(value: Any, shape: tuple[int | None, ...]) -> Any:
        array = _constant(value)
        if array is None or array.ndim > len(shape):
            return None
        if array.size == 1:
            return array.item()
        # One number per channel, and one for all rows, columns and images.
        return array.ravel().tolist() if array.size == array.shape[-1] == shape[-1] else None


def _constant(value: Any) -> np.ndarray | None:
    """Returns a float64 array, or None for a value that is no constant."""
    # The value of a variable may still change.
    if value is None or isinstance(value, (Ref, tf.Variable)):
        return None
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


def _number(value: Any) -> float | None:
    array = _constant(value)
    return None if array is None or array.size != 1 else array.item()


def _add(call: _Operation) -> _Call | None:
    x, y = call['x'], call['y']
    if isinstance(x, Ref) and isinstance(y, Ref):
        return call.merge(_LAYERS.Add, [x, y])
    return call.rescale(x, 1.0, y) or call.rescale(y, 1.0, x)


def _subtract(call: _Operation) -> _Call | None:
    x, y = call['x'], call['y']
    if isinstance(x, Ref) and isinstance(y, Ref):
        return call.merge(_LAYERS.Subtract, [x, y])
    constant = _constant(y)
    if constant is None:
        return call.rescale(y, -1.0, x)
    return call.rescale(x, 1.0, -constant)


def _multiply(call: _Operation) -> _Call | None:
    x, y = call['x'], call['y']
    if isinstance(x, Ref) and isinstance(y, Ref):
        return call.merge(_LAYERS.Multiply, [x, y])
    return call.rescale(x, y, 0.0) or call.rescale(y, x, 0.0)


def _divide(call: _Operation) -> _Call | None:
    divisor = _constant(call['y'])
    return None if divisor is None or not divisor.all() else call.rescale(call['x'], 1 / divisor, 0)


def _negative(call: _Operation) -> _Call | None:
    return call.rescale(call['x'], -1.0, 0.0)


def _bias_add(call: _Operation) -> _Call | None:
    if (call['data_format'] or 'NHWC').startswith('NC'):
        return None
    return call.rescale(call['value'], 1.0, call['bias'])


def _cast(call: _Operation) -> _Call | None:
    return call.rescale(call['x'], 1.0, 0.0)


def _add_n(call: _Operation) -> _Call | None:
    return call.merge(_LAYERS.Add, call['inputs'])


def _activation(name: str) -> _Rule:
    def rule(call: _Operation) -> _Call | None:
        tensor, *_ = call.arguments.values()
        return call.layer(_LAYERS.Activation, name), tensor

    return rule


def _silu(call: _Operation) -> _Call | None:
    if _number(call['beta']) != 1.0:
        return None
    return call.layer(_LAYERS.Activation, 'swish'), call['features']


def _gelu(call: _Operation) -> _Call | None:
    if call['approximate'] is not False:
        return None
    return call.layer(_LAYERS.Activation, 'gelu'), call['features']


def _relu(call: _Operation) -> _Call | None:
    return call.layer(_LAYERS.ReLU), call['features']


def _relu6(call: _Operation) -> _Call | None:
    return call.layer(_LAYERS.ReLU, 6.0), call['features']


def _clip(call: _Operation) -> _Call | None:
    highest = _number(call['clip_value_max'])
    if _number(call['clip_value_min']) != 0.0 or highest is None or highest < 0:
        return None
    return call.layer(_LAYERS.ReLU, highest), call['t']


def _leaky_relu(call: _Operation) -> _Call | None:
    alpha = _number(call['alpha'])
    return None if alpha is None else (call.layer(_LAYERS.LeakyReLU, alpha), call['features'])


def _softmax(call: _Operation) -> _Call | None:
    last = len(call.shape(call['logits'])) - 1
    if call['axis'] not in (None, -1, last):
        return None
    return call.layer(_LAYERS.Softmax), call['logits']


def _concatenate(call: _Operation) -> _Call | None:
    values, axis = list(call['values']), call['axis']
    if not call.have_one_rank(values) or not isinstance(axis, int):
        return None
    if axis in (0, -len(call.shape(values[0]))):
        return None
    return call.layer(_LAYERS.Concatenate, axis=axis), values


def _reshape(call: _Operation) -> _Call | None:
    """Replaces functions that change the shape only, and leave each image its own numbers."""
    tensor, *_ = call.arguments.values()
    before, after = call.shape(tensor), tuple(call.output.shape)
    if None in before[1:] or not after:
        return None
    if None in after[1:]:
        after = (before[0], *_shape_per_image(call))
    elif math.prod(before[1:]) != math.prod(after[1:]):  # type: ignore[arg-type]
        return None
    if before[0] != after[0] or len(after) < 2:
        return None
    return call.layer(_LAYERS.Reshape, after[1:]), tensor


def _shape_per_image(call: _Operation) -> tuple[int, ...]:
    """Returns the sizes behind `tf.shape(x)[0]` in the argument `shape`; () for other arguments."""
    shape = call.arguments.get('shape')
    if not isinstance(shape, (list, tuple)) or not isinstance(shape[0], Ref):
        return ()
    slicing = call.graph.producer(shape[0])
    takes_first = isinstance(slicing.layer, SlicingOpLambda) and slicing.args[1:] == (0,)
    if not takes_first or not all(isinstance(size, int) for size in shape[1:]):
        return ()
    source = call.graph.producer(slicing.inputs[0]).layer
    is_shape = isinstance(source, TFOpLambda) and source.symbol in ('shape', 'compat.v1.shape')
    return tuple(shape[1:]) if is_shape else ()


def _flatten(call: _Operation) -> _Call | None:
    return call.layer(_LAYERS.Flatten), call['x']


def _transpose(call: _Operation) -> _Call | None:
    order = _constant(call['perm'])
    if order is None or order.ndim != 1 or order[0] != 0 or len(order) < 2 or call['conjugate']:
        return None
    return call.layer(_LAYERS.Permute, tuple(order[1:].astype(int).tolist())), call['a']


def _reduce(kind: type) -> _Rule:
    """Returns a rule for a reduction over all rows and columns."""

    def rule(call: _Operation) -> _Call | None:
        tensor, axes = call['input_tensor'], _constant(call['axis'])
        if axes is None or len(call.shape(tensor)) != 4:
            return None
        if sorted(np.ravel(axes % 4).tolist()) != [1, 2]:
            return None
        keepdims = bool(call['keepdims'])
        return call.layer(kind, data_format='channels_last', keepdims=keepdims), tensor

    return rule


def _pad(call: _Operation) -> _Call | None:
    paddings = _constant(call['paddings'])
    if paddings is None or paddings.shape != (4, 2) or paddings[[0, 3]].any():
        return None
    if call['mode'].upper() != 'CONSTANT' or _number(call['constant_values']) != 0.0:
        return None
    rows, columns = paddings[1:3].astype(int).tolist()
    padding = (tuple(rows), tuple(columns))
    return call.layer(_LAYERS.ZeroPadding2D, padding, data_format='channels_last'), call['tensor']


def _slice(call: _Operation) -> _Call | None:
    """Replaces slices that leave out rows and columns at the border, or take every n-th one."""
    shape = call.shape(call['tensor'])
    taken = _taken(call['slice_spec'], len(shape))
    if taken is None or len(taken) != 4 or None in shape[1:3]:
        return None
    if not all(part == slice(None) for part in (taken[0], taken[3])):
        return None
    sizes = [size for size in shape[1:3] if size is not None]
    ranges = [range(size)[part] for size, part in zip(sizes, taken[1:3], strict=True)]
    steps = tuple(part.step for part in ranges)
    borders = tuple((r.start, size - r.stop) for r, size in zip(ranges, sizes, strict=True))
    if steps == (1, 1) and all(ranges):
        return call.layer(_LAYERS.Cropping2D, borders, data_format='channels_last'), call['tensor']
    if min(steps) > 0 and borders == ((0, 0), (0, 0)):
        # A pooling with windows of one pixel takes the pixels at the steps.
        pooling = call.layer(_LAYERS.MaxPooling2D, 1, steps, data_format='channels_last')
        return pooling, call['tensor']
    return None


def _taken(spec: Any, rank: int) -> list[slice] | None:
    """Returns one slice for each axis, or None if the result has other axes than the input."""
    parts = list(spec) if isinstance(spec, (list, tuple)) else [spec]
    rest = [index for index, part in enumerate(parts) if part is Ellipsis] or [len(parts)]
    whole = {'start': None, 'stop': None, 'step': None}
    parts[rest[0] : rest[0] + 1] = [whole] * (rank - len(parts[: rest[0]] + parts[rest[0] + 1 :]))
    if len(parts) != rank or not all(isinstance(part, dict) for part in parts):
        return None
    bounds = [(part['start'], part['stop'], part['step']) for part in parts]
    if not all(bound is None or isinstance(bound, int) for bound in sum(bounds, ())):
        return None
    return [slice(*part) for part in bounds]


_Rule = Callable[[_Operation], _Call | None]
# The keys are the names that TensorFlow gives the functions.
_RULES: dict[str, _Rule] = {
    '__operators__.add': _add,
    '__operators__.getitem': _slice,
    'cast': _cast,
    'clip_by_value': _clip,
    'concat': _concatenate,
    'expand_dims': _reshape,
    'identity': _activation('linear'),
    'keras.backend.batch_flatten': _flatten,
    'math.add': _add,
    'math.add_n': _add_n,
    'math.exp': _activation('exponential'),
    'math.multiply': _multiply,
    'math.negative': _negative,
    'math.reduce_max': _reduce(_LAYERS.GlobalMaxPooling2D),
    'math.reduce_mean': _reduce(_LAYERS.GlobalAveragePooling2D),
    'math.sigmoid': _activation('sigmoid'),
    'math.softplus': _activation('softplus'),
    'math.subtract': _subtract,
    'math.tanh': _activation('tanh'),
    'math.truediv': _divide,
    'nn.bias_add': _bias_add,
    'nn.elu': _activation('elu'),
    'nn.gelu': _gelu,
    'nn.leaky_relu': _leaky_relu,
    'nn.relu': _relu,
    'nn.relu6': _relu6,
    'nn.selu': _activation('selu'),
    'nn.silu': _silu,
    'nn.softmax': _softmax,
    'nn.softsign': _activation('softsign'),
    'pad': _pad,
    'reshape': _reshape,
    'squeeze': _reshape,
    'stop_gradient': _activation('linear'),
    'transpose': _transpose,
}
