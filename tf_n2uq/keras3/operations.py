"""Functions of `keras.ops` in a network, as layers of tf_keras and functions of TensorFlow.

Each rule computes the function of placeholders. What it makes of them is then rewritten with the
rules of `tf_n2uq.annotate`, so that the schemes know as much of it as they can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.keras3.operation_call import Call, Rule, is_symbolic, register_operation
from tf_n2uq.layers import HardSigmoid, HardSwish
from tf_n2uq.layers import activation_functions as functions

_LAYERS = keras.layers


def _matched(call: Call, *names: str) -> list[Any]:
    """Returns arguments in one dtype: that of the floating ones, as Keras 3 has it."""
    values = [call[name] for name in names]
    dtypes = [tf.as_dtype(value.dtype) for value in values if is_symbolic(value)]
    floating = [dtype for dtype in dtypes if dtype.is_floating]
    dtype = max(floating or dtypes, key=lambda each: each.size)
    has_fraction = any(
        not is_symbolic(each) and np.asarray(each).dtype.kind == 'f' for each in values
    )
    if has_fraction and not dtype.is_floating:
        dtype = tf.float32
    return [_cast(value, dtype) for value in values]


def _cast(value: Any, dtype: tf.DType) -> Any:
    if not is_symbolic(value):
        array = np.asarray(value, dtype.as_numpy_dtype)
        return array if array.ndim else array.item()
    return value if value.dtype == dtype else tf.cast(value, dtype)


def _floating(value: Any) -> Any:
    return value if value.dtype.is_floating else tf.cast(value, tf.float32)


def _two(function: Callable[[Any, Any], Any]) -> Rule:
    return lambda call: function(*_matched(call, 'x1', 'x2'))


def _one(function: Callable[[Any], Any]) -> Rule:
    return lambda call: function(_floating(call['x']))


def _named(activation: Any) -> Rule:
    return lambda call: _LAYERS.Activation(activation)(call['x'])


def _product(call: Call) -> Any:
    return _LAYERS.Multiply()([call['x'], call['x']])


def _extremum(layer: Any, function: Callable[[Any, Any], Any], is_maximum: bool) -> Rule:
    def rule(call: Call) -> Any:
        x1, x2 = _matched(call, 'x1', 'x2')
        tensors = [each for each in (x1, x2) if is_symbolic(each)]
        if len(tensors) == 2 and tensors[0].shape.rank == tensors[1].shape.rank:
            return layer()(tensors)
        constants = [each for each in (x1, x2) if not is_symbolic(each)]
        if is_maximum and constants and np.ndim(constants[0]) == 0 and constants[0] == 0:
            return _LAYERS.ReLU()(tensors[0])
        return function(x1, x2)

    return rule


def _axis(call: Call) -> Any:
    axis = call.get('axis')
    return tuple(axis) if isinstance(axis, list) else axis


def _reduced(function: Callable[..., Any], *, as_float: bool = False) -> Rule:
    def rule(call: Call) -> Any:
        call.refuse_unless(call.get('initial') is None, 'has a start value, which is not known')
        x = _floating(call['x']) if as_float else call['x']
        return function(x, axis=_axis(call), keepdims=bool(call.get('keepdims', False)))

    return rule


def _leaky_relu(call: Call) -> Any:
    return _LAYERS.LeakyReLU(call['negative_slope'])(call['x'])


def _elu(call: Call) -> Any:
    alpha = call.get('alpha', 1.0)
    layer = _LAYERS.Activation('elu') if alpha == 1.0 else _LAYERS.ELU(alpha)
    return layer(call['x'])


def _gelu(call: Call) -> Any:
    name = functions.keras3_gelu_tanh if call.get('approximate', True) else 'gelu'
    return _LAYERS.Activation(name)(call['x'])


def _only(option: str, value: Any, function: Callable[[Any], Any]) -> Rule:
    """Returns a rule for a function that is known for one value of an option only."""

    def rule(call: Call) -> Any:
        given = call.get(option, value)
        call.refuse_unless(given == value, f'has {option}={given!r}; expected {value!r}')
        return _LAYERS.Activation(function)(call['x'])

    return rule


def _softmax(call: Call) -> Any:
    return _LAYERS.Softmax(call.get('axis', -1))(call['x'])


def _rectifier(call: Call) -> Any:
    """Computes the `ReLU` behind `keras.activations.relu` with options."""
    return _LAYERS.ReLU(
        call.get('max_value'), call.get('negative_slope', 0.0), call.get('threshold', 0.0)
    )(call['x'])


def _clip(call: Call) -> Any:
    return tf.clip_by_value(call['x'], float(call['x_min']), float(call['x_max']))


def _concatenate(call: Call) -> Any:
    return _LAYERS.Concatenate(axis=call.get('axis', -1))(list(call['xs']))


def _reshape(call: Call) -> Any:
    shape = [-1 if size is None else size for size in call['newshape']]
    call.refuse_unless(shape.count(-1) <= 1, 'has a shape with several unknown sizes')
    return tf.reshape(call['x'], shape)


def _transpose(call: Call) -> Any:
    x, axes = call['x'], call.get('axes')
    return tf.transpose(x, list(reversed(range(x.shape.rank))) if axes is None else list(axes))


def _swap(call: Call) -> Any:
    order = list(range(call['x'].shape.rank))
    first, second = call['axis1'], call['axis2']
    order[first], order[second] = order[second], order[first]
    return tf.transpose(call['x'], order)


def _move(call: Call) -> Any:
    rank = call['x'].shape.rank
    pairs = zip(np.atleast_1d(call['destination']), np.atleast_1d(call['source']), strict=True)
    moved = {int(to) % rank: int(origin) % rank for to, origin in pairs}
    others = iter(axis for axis in range(rank) if axis not in moved.values())
    return tf.transpose(
        call['x'], [moved[axis] if axis in moved else next(others) for axis in range(rank)]
    )


def _expand(call: Call) -> Any:
    x, axes = call['x'], np.atleast_1d(call['axis'])
    rank = x.shape.rank + len(axes)
    for axis in sorted(int(axis) % rank for axis in axes):
        x = tf.expand_dims(x, axis)
    return x


def _squeeze(call: Call) -> Any:
    axis = call.get('axis')
    return tf.squeeze(call['x'], None if axis is None else np.atleast_1d(axis).tolist())


def _split(call: Call) -> Any:
    x, axis, sections = call['x'], call.get('axis', 0), call['indices_or_sections']
    if isinstance(sections, (list, tuple, np.ndarray)):
        size = x.shape[axis]
        call.refuse_unless(size is not None, 'splits an axis of unknown size')
        bounds = [0, *(int(each) for each in sections), size]
        sections = np.diff(bounds).tolist()
    return tf.split(x, sections, axis)


def _get_item(call: Call) -> Any:
    key = call['key']
    return call['x'][tuple(key) if isinstance(key, list) else key]


def _take(call: Call) -> Any:
    indices = call['indices']
    call.refuse_unless(call.get('axis') is not None, 'takes from a flattened tensor')
    return tf.gather(call['x'], indices, axis=call['axis'])


def _pad(call: Call) -> Any:
    mode, rank = call.get('mode', 'constant'), call['x'].shape.rank
    modes = ('constant', 'reflect', 'symmetric')
    call.refuse_unless(mode in modes, f'has mode={mode!r}; expected one of {modes}')
    width = np.broadcast_to(np.asarray(call['pad_width']), (rank, 2)).tolist()
    return tf.pad(call['x'], width, mode.upper(), call.get('constant_values', 0))


def _normalize(call: Call) -> Any:
    call.refuse_unless(call.get('order', 2) == 2, 'has another order than 2')
    epsilon = call.get('epsilon', 1e-12)
    return tf.math.l2_normalize(call['x'], _axis(call), epsilon=max(epsilon**2, 1e-38))


def _pool(kind: str) -> Rule:
    def rule(call: Call) -> Any:
        x = call['inputs']
        call.refuse_unless(call.get('data_format') != 'channels_first', 'has its channels first')
        layer = getattr(_LAYERS, f'{kind}Pooling{x.shape.rank - 2}D')
        size = call['pool_size']
        size = tuple(size) if isinstance(size, list) else size
        strides = call.get('strides')
        strides = tuple(strides) if isinstance(strides, list) else strides
        return layer(size, strides, call.get('padding', 'valid'), 'channels_last')(x)

    return rule


def _blocks(function: Callable[[Any, int], Any]) -> Rule:
    def rule(call: Call) -> Any:
        call.refuse_unless(call.get('data_format') != 'channels_first', 'has its channels first')
        return function(call['x'], call['block_size'])

    return rule


def _resize(call: Call) -> Any:
    for option, expected in (
        ('antialias', False),
        ('crop_to_aspect_ratio', False),
        ('pad_to_aspect_ratio', False),
        ('data_format', 'channels_last'),
    ):
        given = call.get(option, expected)
        call.refuse_unless(given == expected, f'has {option}={given!r}; expected {expected!r}')
    height, width = call['size']
    return _LAYERS.Resizing(height, width, call.get('interpolation', 'bilinear'))(call['images'])


def _scaled_sum(call: Call) -> Any:
    """Computes the `CustomScaleLayer` of InceptionResNetV2."""
    shortcut, branch = call['inputs']
    return _LAYERS.Add()([shortcut, _LAYERS.Rescaling(call['scale'])(branch)])


def _register_all(arguments: str, rules: Mapping[str, Rule]) -> None:
    for name, rule in rules.items():
        register_operation(name, arguments, rule)


_register_all(
    'x1 x2',
    {
        'Add': _two(tf.add),
        'Subtract': _two(tf.subtract),
        'Multiply': _two(tf.multiply),
        'Divide': _two(tf.divide),
        'TrueDivide': _two(tf.divide),
        'Power': _two(tf.pow),
        'Matmul': _two(tf.matmul),
        'Equal': _two(tf.equal),
        'NotEqual': _two(tf.not_equal),
        'Greater': _two(tf.greater),
        'GreaterEqual': _two(tf.greater_equal),
        'Less': _two(tf.less),
        'LessEqual': _two(tf.less_equal),
        'LogicalAnd': lambda call: tf.logical_and(call['x1'], call['x2']),
        'LogicalOr': lambda call: tf.logical_or(call['x1'], call['x2']),
        'Maximum': _extremum(_LAYERS.Maximum, tf.maximum, True),
        'Minimum': _extremum(_LAYERS.Minimum, tf.minimum, False),
    },
)
_register_all(
    'x',
    {
        **{name: _one(tf.abs) for name in ('Abs', 'Absolute')},
        **{name: _one(getattr(tf, name.lower())) for name in ('Exp', 'Floor', 'Sin', 'Cos')},
        **{name: _one(getattr(tf.math, name.lower())) for name in ('Log', 'Log1p', 'Ceil')},
        **{name: _one(getattr(tf.math, name.lower())) for name in ('Expm1', 'Sqrt', 'Rsqrt')},
        **{name: _one(getattr(tf.math, name.lower())) for name in ('Reciprocal', 'Erf')},
        'Negative': lambda call: tf.negative(call['x']),
        'Sign': lambda call: tf.sign(call['x']),
        'Square': _product,
        'Relu': lambda call: _LAYERS.ReLU()(call['x']),
        'Relu6': lambda call: _LAYERS.ReLU(6.0)(call['x']),
        'ReLU': _rectifier,
        'LeakyRelu': _leaky_relu,
        'Elu': _elu,
        'Gelu': _gelu,
        'Softmax': _softmax,
        'HardSigmoid': lambda call: HardSigmoid()(call['x']),
        'HardSilu': lambda call: HardSwish()(call['x']),
        **{name: _named(name.lower()) for name in ('Selu', 'Sigmoid', 'Silu', 'Softplus')},
        **{name: _named(name.lower()) for name in ('Softsign', 'Tanh', 'Mish')},
        'LogSigmoid': _named(functions.keras3_log_sigmoid),
        'HardTanh': _named(functions.keras3_hard_tanh),
        'TanhShrink': _named(functions.keras3_tanh_shrink),
        'SparsePlus': _named(functions.keras3_sparse_plus),
        'SparseSigmoid': _named(functions.keras3_sparse_sigmoid),
        'Celu': _only('alpha', 1.0, functions.keras3_celu),
        'Squareplus': _only('b', 4, functions.keras3_squareplus),
        'SoftShrink': _only('threshold', 0.5, functions.keras3_soft_shrink),
        'HardShrink': _only('threshold', 0.5, functions.keras3_hard_shrink),
        'LogSoftmax': lambda call: tf.nn.log_softmax(call['x'], call.get('axis', -1)),
        'Clip': _clip,
        'Reshape': _reshape,
        'Transpose': _transpose,
        'Swapaxes': _swap,
        'Moveaxis': _move,
        'ExpandDims': _expand,
        'Squeeze': _squeeze,
        'Split': _split,
        'Flip': lambda call: tf.reverse(call['x'], np.atleast_1d(call['axis']).tolist()),
        'Tile': lambda call: tf.tile(call['x'], call['repeats']),
        'Cast': lambda call: tf.cast(call['x'], call['dtype']),
        'Normalize': _normalize,
        'Mean': _reduced(tf.reduce_mean, as_float=True),
        'Sum': _reduced(tf.reduce_sum),
        **{name: _reduced(tf.reduce_max) for name in ('Max', 'Amax')},
        **{name: _reduced(tf.reduce_min) for name in ('Min', 'Amin')},
        'Any': _reduced(tf.reduce_any),
        'All': _reduced(tf.reduce_all),
        'LogicalNot': lambda call: tf.logical_not(call['x']),
        'Var': _reduced(tf.math.reduce_variance, as_float=True),
        'Std': _reduced(tf.math.reduce_std, as_float=True),
        'Logsumexp': _reduced(tf.reduce_logsumexp, as_float=True),
        'Unstack': lambda call: tf.unstack(call['x'], call.get('num'), call.get('axis', 0)),
        'Stack': lambda call: tf.stack(list(call['x']), call.get('axis', 0)),
        'DepthToSpace': _blocks(tf.nn.depth_to_space),
        'SpaceToDepth': _blocks(tf.nn.space_to_depth),
    },
)
register_operation('Concatenate', 'xs', _concatenate)
register_operation('GetItem', 'x key', _get_item)
register_operation('Take', 'x indices', _take)
register_operation('Pad', 'x constant_values', _pad)
register_operation('StopGradient', 'variable', lambda call: tf.stop_gradient(call['variable']))
register_operation('MaxPool', 'inputs', _pool('Max'))
register_operation('AveragePool', 'inputs', _pool('Average'))
register_operation('Resize', 'images', _resize)
register_operation('CustomScaleLayer', 'inputs', _scaled_sum)
