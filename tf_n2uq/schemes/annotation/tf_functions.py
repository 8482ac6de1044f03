"""Replacing of TensorFlow functions, which were called on a model's tensors, by Keras layers.

Keras wraps each such call into a layer, `TFOpLambda`. TFMOT can neither annotate nor quantize this
layer, which keeps its constants in the call.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import SlicingOpLambda, TFOpLambda
from tf_n2uq.graph.graph import Graph, Ref
from tf_n2uq.layers import ChannelMean, DepthToSpace, SpaceToDepth
from tf_n2uq.schemes.annotation.operation import Call, Operation, Rule, constant_of, number_of
from tf_n2uq.schemes.annotation.parts_of_tensors import replace_split, slice_rule, stack_rule

_LAYERS = keras.layers
# Below this, an epsilon concerns vectors only whose numbers are all 0.
_TINY = 1e-6
# Functions that return a list of tensors.
_SPLITS = ('split', 'unstack')


def replace_operators(graph: Graph) -> None:
    """Replaces calls of TensorFlow functions by Keras layers, in place.

    Steps keep their names. A call stays if no layer computes the same.

    Args:
        graph: the graph as it was read from a model, with `specs`.
    """
    for step in graph:
        if not isinstance(step.layer, TFOpLambda):
            continue
        symbol = (step.layer.symbol or '').removeprefix('compat.v1.')
        if symbol in _SPLITS:
            replace_split(step, graph)
            continue
        rule = _RULES.get(symbol)
        is_plain = all(_is_plain(graph.specs[ref]) for ref in [*step.inputs, step.output])
        if rule is not None and is_plain and graph.specs[step.output].dtype.is_floating:
            call = rule(Operation.of(step, graph))
            if call is not None:
                step.replace(*call)
    graph.drop_unused()


def _is_plain(spec: tf.TypeSpec) -> bool:
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None


def _add(call: Operation) -> Call | None:
    x, y = call['x'], call['y']
    if isinstance(x, Ref) and isinstance(y, Ref):
        return call.merge(_LAYERS.Add, [x, y])
    return call.rescale(x, 1.0, y) or call.rescale(y, 1.0, x)


def _subtract(call: Operation) -> Call | None:
    x, y = call['x'], call['y']
    if isinstance(x, Ref) and isinstance(y, Ref):
        return call.merge(_LAYERS.Subtract, [x, y])
    value = constant_of(y)
    if value is None:
        return call.rescale(y, -1.0, x)
    return call.rescale(x, 1.0, -value)


def _multiply(call: Operation) -> Call | None:
    x, y = call['x'], call['y']
    if isinstance(x, Ref) and isinstance(y, Ref):
        return call.merge(_LAYERS.Multiply, [x, y])
    return call.rescale(x, y, 0.0) or call.rescale(y, x, 0.0)


def _divide(call: Operation) -> Call | None:
    divisor = constant_of(call['y'])
    return None if divisor is None or not divisor.all() else call.rescale(call['x'], 1 / divisor, 0)


def _negative(call: Operation) -> Call | None:
    return call.rescale(call['x'], -1.0, 0.0)


def _bias_add(call: Operation) -> Call | None:
    if (call['data_format'] or 'NHWC').startswith('NC'):
        return None
    return call.rescale(call['value'], 1.0, call['bias'])


def _cast(call: Operation) -> Call | None:
    return call.rescale(call['x'], 1.0, 0.0)


def _add_n(call: Operation) -> Call | None:
    return call.merge(_LAYERS.Add, call['inputs'])


def _activation(name: str) -> Rule:
    def rule(call: Operation) -> Call | None:
        tensor, *_ = call.arguments.values()
        return call.layer(_LAYERS.Activation, name), tensor

    return rule


def _silu(call: Operation) -> Call | None:
    if number_of(call['beta']) != 1.0:
        return None
    return call.layer(_LAYERS.Activation, 'swish'), call['features']


def _gelu(call: Operation) -> Call | None:
    if call['approximate'] is not False:
        return None
    return call.layer(_LAYERS.Activation, 'gelu'), call['features']


def _relu(call: Operation) -> Call | None:
    return call.layer(_LAYERS.ReLU), call['features']


def _relu6(call: Operation) -> Call | None:
    return call.layer(_LAYERS.ReLU, 6.0), call['features']


def _maximum(call: Operation) -> Call | None:
    return _extreme(call, _LAYERS.Maximum, 1.0)


def _minimum(call: Operation) -> Call | None:
    return _extreme(call, _LAYERS.Minimum, -1.0)


def _extreme(call: Operation, kind: type, sign: float) -> Call | None:
    """Replaces a maximum (with the sign 1) or a minimum (−1) of tensors, or of one and a constant.

    The maximum of x and c is relu(x − c) + c, and the minimum is c − relu(c − x).
    """
    x, y = call['x'], call['y']
    if isinstance(x, Ref) and isinstance(y, Ref):
        return call.merge(kind, [x, y])
    tensor, value = (x, y) if isinstance(x, Ref) else (y, x)
    bound = call.per_channel(value, tensor)
    if bound is None:
        return None
    if sign > 0 and not np.any(bound):
        return call.layer(_LAYERS.ReLU), tensor
    before = (-sign * np.asarray(bound)).tolist()
    line = call.first(tensor, 'difference', _LAYERS.Rescaling, sign, before)
    return call.layer(_LAYERS.Rescaling, sign, bound), call.first(line, 'relu', _LAYERS.ReLU)


def _clip(call: Operation) -> Call | None:
    """Replaces a clipping by a ReLU with a maximum, and lines around it."""
    tensor = call['t']
    lowest, highest = (number_of(call[f'clip_value_{end}']) for end in ('min', 'max'))
    if lowest is None or highest is None or highest < lowest:
        return None
    if lowest == 0.0:
        return call.layer(_LAYERS.ReLU, highest), tensor
    line = call.first(tensor, 'difference', _LAYERS.Rescaling, 1.0, -lowest)
    clipped = call.first(line, 'relu', _LAYERS.ReLU, highest - lowest)
    return call.layer(_LAYERS.Rescaling, 1.0, lowest), clipped


def _square(call: Operation) -> Call | None:
    return call.merge(_LAYERS.Multiply, [call['x'], call['x']])


def _power(call: Operation) -> Call | None:
    return _square(call) if number_of(call['y']) == 2.0 else None


def _leaky_relu(call: Operation) -> Call | None:
    alpha = number_of(call['alpha'])
    return None if alpha is None else (call.layer(_LAYERS.LeakyReLU, alpha), call['features'])


def _softmax(call: Operation) -> Call | None:
    last = len(call.shape(call['logits'])) - 1
    if call['axis'] not in (None, -1, last):
        return None
    return call.layer(_LAYERS.Softmax), call['logits']


def _concatenate(call: Operation) -> Call | None:
    values, axis = list(call['values']), call['axis']
    if not call.have_one_rank(values) or not isinstance(axis, int):
        return None
    if axis in (0, -len(call.shape(values[0]))):
        return None
    return call.layer(_LAYERS.Concatenate, axis=axis), values


def _reshape(call: Operation) -> Call | None:
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


def _shape_per_image(call: Operation) -> tuple[int, ...]:
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


def _flatten(call: Operation) -> Call | None:
    return call.layer(_LAYERS.Flatten), call['x']


def _transpose(call: Operation) -> Call | None:
    order = constant_of(call['perm'])
    if order is None or order.ndim != 1 or order[0] != 0 or len(order) < 2 or call['conjugate']:
        return None
    return call.layer(_LAYERS.Permute, tuple(order[1:].astype(int).tolist())), call['a']


def _reduce(kind: type) -> Rule:
    """Returns a rule for a reduction over all rows and columns."""

    def rule(call: Operation) -> Call | None:
        tensor, axes = call['input_tensor'], constant_of(call['axis'])
        if axes is None or len(call.shape(tensor)) != 4:
            return None
        if sorted(np.ravel(axes % 4).tolist()) != [1, 2]:
            return None
        keepdims = bool(call['keepdims'])
        return call.layer(kind, data_format='channels_last', keepdims=keepdims), tensor

    return rule


def _mean(call: Operation) -> Call | None:
    """Replaces a mean over the channels that stay an axis, or over all rows and columns."""
    tensor, axes = call['input_tensor'], constant_of(call['axis'])
    rank = len(call.shape(tensor))
    if axes is not None and np.ravel(axes % rank).tolist() == [rank - 1] and call['keepdims']:
        return call.layer(ChannelMean), tensor
    return _reduce(_LAYERS.GlobalAveragePooling2D)(call)


def _l2_normalize(call: Operation) -> Call | None:
    axis, last = constant_of(call['axis']), len(call.shape(call['x'])) - 1
    if axis is None or axis.size != 1 or axis.item() not in (-1, last):
        return None
    if call.arguments.get('dim') is not None or (number_of(call['epsilon']) or 1.0) > _TINY:
        return None
    return call.layer(_LAYERS.UnitNormalization, axis=-1), call['x']


def _blocks(kind: type) -> Rule:
    """Returns a rule for functions that move blocks of pixels."""

    def rule(call: Operation) -> Call | None:
        size = number_of(call['block_size'])
        if size is None or call['data_format'] != 'NHWC':
            return None
        return call.layer(kind, int(size)), call['input']

    return rule


def _resize(call: Operation) -> Call | None:
    size, method = constant_of(call['size']), call['method']
    if size is None or size.size != 2 or method not in ('nearest', 'bilinear'):
        return None
    if call['antialias'] or call['preserve_aspect_ratio'] or len(call.output.shape) != 4:
        return None
    height, width = size.astype(int).tolist()
    return call.layer(_LAYERS.Resizing, height, width, interpolation=method), call['images']


def _pad(call: Operation) -> Call | None:
    paddings = constant_of(call['paddings'])
    if paddings is None or paddings.shape != (4, 2) or paddings[[0, 3]].any():
        return None
    if call['mode'].upper() != 'CONSTANT' or number_of(call['constant_values']) != 0.0:
        return None
    rows, columns = paddings[1:3].astype(int).tolist()
    padding = (tuple(rows), tuple(columns))
    return call.layer(_LAYERS.ZeroPadding2D, padding, data_format='channels_last'), call['tensor']


# The keys are the names that TensorFlow gives the functions.
_RULES: dict[str, Rule] = {
    '__operators__.add': _add,
    '__operators__.getitem': slice_rule,
    'cast': _cast,
    'clip_by_value': _clip,
    'concat': _concatenate,
    'expand_dims': _reshape,
    'image.resize': _resize,
    'identity': _activation('linear'),
    'keras.backend.batch_flatten': _flatten,
    'math.add': _add,
    'math.add_n': _add_n,
    'math.exp': _activation('exponential'),
    'math.l2_normalize': _l2_normalize,
    'math.maximum': _maximum,
    'math.minimum': _minimum,
    'math.multiply': _multiply,
    'math.negative': _negative,
    'math.pow': _power,
    'math.reduce_max': _reduce(_LAYERS.GlobalMaxPooling2D),
    'math.reduce_mean': _mean,
    'math.sigmoid': _activation('sigmoid'),
    'math.softplus': _activation('softplus'),
    'math.square': _square,
    'math.subtract': _subtract,
    'math.tanh': _activation('tanh'),
    'math.truediv': _divide,
    'nn.bias_add': _bias_add,
    'nn.depth_to_space': _blocks(DepthToSpace),
    'nn.elu': _activation('elu'),
    'nn.gelu': _gelu,
    'nn.leaky_relu': _leaky_relu,
    'nn.relu': _relu,
    'nn.relu6': _relu6,
    'nn.selu': _activation('selu'),
    'nn.silu': _silu,
    'nn.softmax': _softmax,
    'nn.softsign': _activation('softsign'),
    'nn.space_to_depth': _blocks(SpaceToDepth),
    'pad': _pad,
    'reshape': _reshape,
    'squeeze': _reshape,
    'stack': stack_rule,
    'stop_gradient': _activation('linear'),
    'transpose': _transpose,
}
