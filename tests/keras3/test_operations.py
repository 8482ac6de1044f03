"""Functions of `keras.ops` compute the same, with layers that the schemes know."""

from __future__ import annotations

from typing import Any

import keras as keras3
import numpy as np
import pytest
import tf_keras as keras
from keras import ops

import tf_n2uq
from tf_n2uq.layers import HardSigmoid, HardSwish

_layers = keras.layers
KNOWN = [
    (lambda x, y: x + y, _layers.Add),
    (lambda x, y: x - y, _layers.Subtract),
    (lambda x, y: x * y, _layers.Multiply),
    (lambda x, y: ops.square(x), _layers.Multiply),
    (lambda x, y: x + 1.0, _layers.Rescaling),
    (lambda x, y: 2 - x, _layers.Rescaling),
    (lambda x, y: x / 3, _layers.Rescaling),
    (lambda x, y: ops.relu(x), _layers.ReLU),
    (lambda x, y: ops.relu6(x), _layers.ReLU),
    (lambda x, y: ops.clip(x, 0, 4), _layers.ReLU),
    (lambda x, y: ops.maximum(x, 0), _layers.ReLU),
    (lambda x, y: ops.maximum(x, y), _layers.Maximum),
    (lambda x, y: ops.minimum(x, y), _layers.Minimum),
    (lambda x, y: ops.leaky_relu(x, 0.1), _layers.LeakyReLU),
    (lambda x, y: ops.elu(x, 0.5), _layers.ELU),
    (lambda x, y: ops.softmax(x), _layers.Softmax),
    (lambda x, y: ops.hard_sigmoid(x), HardSigmoid),
    (lambda x, y: ops.hard_silu(x), HardSwish),
    (lambda x, y: ops.gelu(x), _layers.Activation),
    (lambda x, y: ops.gelu(x, approximate=False), _layers.Activation),
    (lambda x, y: ops.sigmoid(x), _layers.Activation),
    (lambda x, y: ops.silu(x), _layers.Activation),
    (lambda x, y: ops.celu(x), _layers.Activation),
    (lambda x, y: ops.reshape(x, (-1, 64, 4)), _layers.Reshape),
    (lambda x, y: ops.expand_dims(x, 1), _layers.Reshape),
    (lambda x, y: ops.transpose(x, (0, 3, 1, 2)), _layers.Permute),
    (lambda x, y: ops.mean(x, axis=(1, 2)), _layers.GlobalAveragePooling2D),
    (lambda x, y: ops.max(x, axis=(1, 2)), _layers.GlobalMaxPooling2D),
    (lambda x, y: x[:, 1:, :-2], _layers.Cropping2D),
    (lambda x, y: x[:, ::2, ::2, :], _layers.MaxPooling2D),
    (lambda x, y: ops.pad(x, ((0, 0), (1, 1), (2, 0), (0, 0))), _layers.ZeroPadding2D),
    (lambda x, y: ops.concatenate([x, y], axis=-1), _layers.Concatenate),
    (lambda x, y: ops.max_pool(x, 2), _layers.MaxPooling2D),
    (lambda x, y: ops.average_pool(x, 3, 2, padding='same'), _layers.AveragePooling2D),
    (lambda x, y: ops.image.resize(x, (4, 4)), _layers.Resizing),
]


def model_of(function: Any) -> Any:
    x, y = keras3.Input((8, 8, 4)), keras3.Input((8, 8, 4))
    # The result keeps both inputs alive.
    return keras3.Model([x, y], [function(x, y), x, y])


@pytest.mark.parametrize(('function', 'expected'), KNOWN)
def test_an_operation_becomes_a_layer_of_its_name(function, expected):
    theirs = model_of(function)
    ours = tf_n2uq.from_keras3(theirs)
    (operation,) = [each for each in theirs.operations if each not in theirs.layers]
    assert type(ours.get_layer(operation.name)) is expected


def test_operations_without_a_layer_become_functions_of_tensorflow(tmp_path):
    x, y = keras3.Input((8, 8, 4)), keras3.Input((8, 8, 4))
    numbers = keras3.Input((5,), dtype='int32')
    results = [
        *(ops.abs(x), ops.exp(x), ops.log(ops.abs(x) + 1.0), ops.sqrt(ops.square(x)), -x),
        *(
            x[:, 0],
            x[..., 1:3],
            x[:, :, :, None],
            ops.squeeze(x[:, :1], 1),
            x @ ops.transpose(y, (0, 1, 3, 2)),
        ),
        *(ops.swapaxes(x, 1, 3), ops.moveaxis(x, -1, 1), ops.flip(x, axis=1)),
        *(ops.tile(x, [1, 2, 1, 1]), ops.take(x, np.array([2, 0]), axis=3)),
        *(ops.mean(x, axis=-1, keepdims=True), ops.sum(x, axis=1), ops.min(x, axis=3)),
        *(ops.var(x, axis=1), ops.std(x, axis=1), ops.logsumexp(x, axis=1)),
        *(ops.stack([x, y], axis=1), *ops.split(x, 2, axis=-1), *ops.split(x, [1, 3], axis=1)),
        *(*ops.unstack(x, axis=3), ops.normalize(x, axis=-1), ops.depth_to_space(x, 2)),
        *(ops.log_softmax(x), ops.maximum(x, 0.5), ops.rsqrt(ops.abs(x) + 0.1), ops.erf(x)),
        *(ops.cast(numbers, 'float32') * 0.5, numbers + 1, numbers * 2.5, ops.stop_gradient(x)),
        *(ops.cast(ops.greater(x, y), 'float32'), keras3.activations.relu(x, 0.1, 2.0)),
    ]
    theirs = keras3.Model([x, y, numbers], results)
    theirs.save(tmp_path / 'model.keras')
    ours = tf_n2uq.from_keras3(theirs)
    assert {each.name for each in theirs.operations} <= {each.name for each in ours.layers}
    tf_n2uq.from_keras3(tmp_path / 'model.keras')


@pytest.mark.parametrize(
    ('function', 'words'),
    [
        (lambda x, y: ops.celu(x, 2.0), r'alpha=2.0; expected 1.0; build'),
        (lambda x, y: ops.image.resize(x, (4, 4), antialias=True), 'antialias=True'),
        (lambda x, y: ops.cumsum(x), 'keras.ops.Cumsum'),
        (lambda x, y: ops.max(x, axis=1, initial=3.0), 'start value'),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(function, words):
    with pytest.raises(ValueError, match=f"operation '.*{words}"):
        tf_n2uq.from_keras3(model_of(function))
