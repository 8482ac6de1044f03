import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.schemes.annotation.networks_in_networks import assert_same_outputs, normal
from tf_n2uq.graph.graph import Graph
from tf_n2uq.schemes.annotation.tf_functions import replace_operators

_layers = keras.layers
_PER_CHANNEL = np.array([1.5, -2.0, 3.0], np.float32)


def _replaced(model):
    graph = Graph.from_model(model)
    replace_operators(graph)
    return graph.to_model()


def _model(function, *shape):
    """A model that applies a function to its inputs, one per shape."""
    images = [keras.Input(size) for size in shape or [(8, 8, 3)]]
    return keras.Model(images, function(*images))


def _check(function, kind, *shape):
    """Asserts that a model of one function becomes one layer that computes the same."""
    model = _model(function, *shape)
    result = _replaced(model)
    layers = [layer for layer in result.layers if not isinstance(layer, _layers.InputLayer)]
    assert [type(layer) for layer in layers] == [kind]
    assert layers[0].name == model.layers[-1].name
    assert result.output_shape == model.output_shape
    inputs = [normal(*size) for size in shape or [(8, 8, 3)]]
    assert_same_outputs(model, result, inputs, rtol=1e-6)
    return layers[0]


@pytest.mark.parametrize(
    ('function', 'scale', 'offset'),
    [
        (lambda x: x + 2, 1, 2),
        (lambda x: 2.5 + x, 1, 2.5),
        (lambda x: tf.add(x, 2.0), 1, 2),
        (lambda x: x - 0.5, 1, -0.5),
        (lambda x: 0.5 - x, -1, 0.5),
        (lambda x: x * 3, 3, 0),
        (lambda x: tf.constant(3.0) * x, 3, 0),
        (lambda x: x / 4, 0.25, 0),
        (lambda x: -x, -1, 0),
        (lambda x: x * _PER_CHANNEL, [1.5, -2, 3], 0),
        (lambda x: x - _PER_CHANNEL, 1, [-1.5, 2, -3]),
        (lambda x: x + _PER_CHANNEL.reshape(1, 1, 3), 1, [1.5, -2, 3]),
        (lambda x: x / [0.5, 2.0, 4.0], [2, 0.5, 0.25], 0),
        (lambda x: tf.nn.bias_add(x, _PER_CHANNEL), 1, [1.5, -2, 3]),
    ],
)
def test_arithmetic_with_constants_becomes_a_rescaling(function, scale, offset):
    layer = _check(function, _layers.Rescaling)
    assert (layer.scale, layer.offset) == (scale, offset)


@pytest.mark.parametrize(
    ('function', 'kind'),
    [
        (lambda x, y: x + y, _layers.Add),
        (lambda x, y: tf.add_n([x, y]), _layers.Add),
        (lambda x, y: x - y, _layers.Subtract),
        (lambda x, y: x * y, _layers.Multiply),
        (lambda x, y: tf.concat([x, y], -1), _layers.Concatenate),
        (lambda x, y: tf.concat([x, y], axis=2), _layers.Concatenate),
    ],
)
def test_arithmetic_of_tensors_becomes_a_merging_layer(function, kind):
    _check(function, kind, (4, 4, 3), (4, 4, 3))


def test_one_value_per_channel_meets_all_pixels():
    _check(lambda x, y: x * y, _layers.Multiply, (4, 4, 3), (1, 1, 3))


@pytest.mark.parametrize(
    ('function', 'name'),
    [
        (tf.nn.silu, 'swish'),
        (tf.nn.sigmoid, 'sigmoid'),
        (tf.tanh, 'tanh'),
        (tf.nn.gelu, 'gelu'),
        (tf.nn.elu, 'elu'),
        (tf.nn.selu, 'selu'),
        (tf.nn.softplus, 'softplus'),
        (tf.nn.softsign, 'softsign'),
        (tf.exp, 'exponential'),
        (tf.identity, 'linear'),
        (tf.stop_gradient, 'linear'),
    ],
)
def test_functions_become_activations(function, name):
    assert _check(function, _layers.Activation).activation.__name__ == name


@pytest.mark.parametrize(
    ('function', 'kind'),
    [
        (tf.nn.relu, _layers.ReLU),
        (tf.nn.relu6, _layers.ReLU),
        (lambda x: tf.nn.relu(x, name='own'), _layers.ReLU),
        (lambda x: tf.clip_by_value(x, 0.0, 0.5), _layers.ReLU),
        (lambda x: tf.nn.leaky_relu(x, 0.3), _layers.LeakyReLU),
        (tf.nn.softmax, _layers.Softmax),
    ],
)
def test_functions_with_a_layer_of_their_own(function, kind):
    _check(function, kind)


@pytest.mark.parametrize(
    ('function', 'kind'),
    [
        (lambda x: tf.reshape(x, (-1, 192)), _layers.Reshape),
        (lambda x: tf.reshape(x, [-1, 64, 3]), _layers.Reshape),
        (lambda x: tf.reshape(x, (tf.shape(x)[0], 8, 24)), _layers.Reshape),
        (lambda x: tf.reshape(x, (tf.shape(x)[0], 8, -1)), _layers.Reshape),
        (lambda x: tf.expand_dims(x, 1), _layers.Reshape),
        (keras.backend.batch_flatten, _layers.Flatten),
        (lambda x: tf.transpose(x, [0, 3, 1, 2]), _layers.Permute),
        (lambda x: tf.reduce_mean(x, [1, 2]), _layers.GlobalAveragePooling2D),
        (lambda x: tf.reduce_mean(x, (-2, -3), True), _layers.GlobalAveragePooling2D),
        (lambda x: tf.reduce_max(x, axis=[1, 2]), _layers.GlobalMaxPooling2D),
        (lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 3], [0, 0]]), _layers.ZeroPadding2D),
        (lambda x: x[:, 1:-2, :5], _layers.Cropping2D),
        (lambda x: x[:, 1:, ..., :], _layers.Cropping2D),
        (lambda x: x[:, ::2, ::3], _layers.MaxPooling2D),
    ],
)
def test_functions_that_move_or_reduce(function, kind):
    model = _model(function)
    result = _replaced(model)
    assert [type(layer) for layer in result.layers] == [_layers.InputLayer, kind]
    assert_same_outputs(model, result, normal(8, 8, 3), rtol=1e-6)


@pytest.mark.parametrize(
    ('function', 'kinds'),
    [
        (lambda x: tf.nn.depth_to_space(tf.concat([x, x, x, x], -1), 2), ['DepthToSpace']),
        (lambda x: tf.nn.space_to_depth(x, 2), ['SpaceToDepth']),
        (lambda x: x[..., 1:], ['Slice']),
        (lambda x: x[..., ::2], ['Slice']),
        (lambda x: x[:, 1::2, ::2], ['Slice']),
        (lambda x: x[:, 0], ['Slice', 'Reshape']),
        (lambda x: x[:, 2:, -1, None, 1:], ['Slice', 'Reshape']),
        (lambda x: x[..., tf.newaxis], ['Reshape']),
        (lambda x: tf.add_n(tf.split(x, 2, axis=1)), ['Slice']),
        (lambda x: tf.concat(tf.split(x, [1, 2], axis=-1), -1), ['Slice']),
        (lambda x: tf.add_n(tf.unstack(x, axis=3)), ['Slice', 'Reshape']),
        (lambda x: tf.stack([x, 2 * x], axis=-1), ['Reshape', 'Rescaling', 'Concatenate']),
        (lambda x: tf.maximum(x, 2 * x), ['Rescaling', 'Maximum']),
        (lambda x: tf.minimum(x, 2 * x), ['Rescaling', 'Minimum']),
        (lambda x: tf.maximum(x, 0.0), ['ReLU']),
        (lambda x: tf.maximum(_PER_CHANNEL, x), ['Rescaling', 'ReLU']),
        (lambda x: tf.minimum(x, 0.5), ['Rescaling', 'ReLU']),
        (lambda x: tf.clip_by_value(x, -1.0, 0.5), ['Rescaling', 'ReLU']),
        (lambda x: x**2, ['Multiply']),
        (tf.square, ['Multiply']),
        (lambda x: tf.reduce_mean(x, -1, keepdims=True), ['ChannelMean']),
        (lambda x: tf.math.l2_normalize(x, axis=-1), ['UnitNormalization']),
        (lambda x: tf.image.resize(x, (4, 12)), ['Resizing']),
        (lambda x: tf.image.resize(x, (4, 12), 'nearest'), ['Resizing']),
    ],
)
def test_functions_that_become_several_layers_or_layers_of_this_package(function, kinds):
    model = _model(function)
    result = _replaced(model)
    names = {type(layer).__name__ for layer in result.layers}
    assert not {name for name in names if 'Lambda' in name}
    assert set(kinds) <= names
    assert result.output_shape == model.output_shape
    assert_same_outputs(model, result, normal(8, 8, 3), rtol=1e-5)


def test_channels_are_sliced_of_images_of_any_size():
    image = keras.Input((None, None, 3))
    result = _replaced(keras.Model(image, image[..., :2]))
    assert result.output_shape == (None, None, None, 2)


def test_a_squeeze_becomes_a_reshape():
    _check(lambda x: tf.squeeze(x, [1, 2]), _layers.Reshape, (1, 1, 3))


def test_integers_that_become_numbers_are_rescaled_by_one():
    image = keras.Input((4, 4, 3), dtype='uint8')
    model = keras.Model(image, tf.cast(image, tf.float32))
    result = _replaced(model)
    assert isinstance(result.layers[-1], _layers.Rescaling)
    assert_same_outputs(model, result, np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3))


@pytest.mark.parametrize(
    'function',
    [
        lambda x: x + np.ones((8, 8, 3), np.float32),
        lambda x: x[..., :1] + _PER_CHANNEL,
        lambda x: x + tf.reduce_mean(x, 0),
        lambda x: x + tf.Variable(1.0),
        lambda x: 2.0 / x,
        lambda x: x / [1.0, 0.0, 1.0],
        lambda x: x**3,
        lambda x: tf.nn.gelu(x, approximate=True),
        lambda x: tf.nn.silu(x, beta=2.0),
        lambda x: tf.nn.softmax(x, axis=1),
        lambda x: tf.concat([x, x], 0),
        lambda x: tf.reshape(x, (-1, 96)),
        lambda x: tf.reshape(x, (tf.shape(x)[0] * 2, -1)),
        lambda x: tf.reshape(x, (tf.shape(x)[1], -1)),
        lambda x: tf.transpose(x),
        lambda x: tf.expand_dims(x, 0),
        lambda x: tf.reduce_mean(x, 1),
        lambda x: tf.reduce_mean(x),
        lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 1]]),
        lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1.0),
        lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], 'REFLECT'),
        lambda x: x[..., ::-1],
        lambda x: x[1:],
        lambda x: tf.cast(x, tf.int32),
        lambda x: tf.image.resize(x, (4, 4), 'bicubic'),
        lambda x: tf.nn.l2_normalize(x, axis=1),
        lambda x: tf.stack([x, x]),
    ],
)
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_what_no_layer_computes_stays(function):
    model = _model(function)
    result = _replaced(model)
    assert type(result.layers[-1]).__name__ == type(model.layers[-1]).__name__
    assert type(result.layers[-1]).__name__.endswith('OpLambda')
    assert_same_outputs(model, result, np.abs(normal(8, 8, 3)) + 0.5)


def test_images_of_no_certain_size():
    model = _model(lambda x: tf.reduce_mean(tf.nn.relu(x - 1)[:, 2:], [1, 2]), (None, None, 3))
    result = _replaced(model)
    kinds = [type(layer).__name__ for layer in result.layers[1:]]
    # How much a cropping leaves out behind depends on the size.
    assert kinds == ['Rescaling', 'ReLU', 'SlicingOpLambda', 'GlobalAveragePooling2D']
    assert_same_outputs(model, result, normal(5, 6, 3))


def test_computation_in_low_precision_stays_in_it():
    image = keras.Input((4, 4, 3), dtype='bfloat16')
    model = keras.Model(image, tf.nn.relu(image * 2 - 1) + image)
    result = _replaced(model)
    assert result.output.dtype == tf.bfloat16
    assert {layer.compute_dtype for layer in result.layers} == {'bfloat16'}


def test_a_shape_that_is_asked_for_keeps_what_it_is_asked_of():
    model = _model(lambda x: tf.reshape(tf.nn.relu(x), (tf.shape(x)[1], -1)))
    kinds = {type(layer).__name__ for layer in _replaced(model).layers}
    assert kinds == {'InputLayer', 'ReLU', 'TFOpLambda', 'SlicingOpLambda'}
