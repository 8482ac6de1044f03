"""Every layer that the schemes know, in networks of several, from Keras to the file."""

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.tflite import compare, convert, inspect

_layers = keras.layers
IMAGE, SEQUENCE = (12, 12, 4), (24, 4)


def convolution(filters=6, **options):
    return _layers.Conv2D(filters, 3, padding='same', **options)


def activations(x):
    functions = [
        _layers.Activation('swish'),
        _layers.Activation('gelu'),
        _layers.Activation('sigmoid'),
        _layers.Activation('tanh'),
        _layers.Activation('hard_sigmoid'),
        _layers.Activation('leaky_relu'),
        tf_n2uq.layers.HardSigmoid(),
        tf_n2uq.layers.HardSwish(),
        _layers.LeakyReLU(0.1),
        _layers.ReLU(negative_slope=0.4),
        _layers.ReLU(1.5),
    ]
    rectified = [_layers.ReLU()(_layers.MaxPooling2D(3, 1, padding='same')(x))]
    # The converter would compute what two of them have in common once.
    parts = [function(convolution(4)(x)) for function in functions]
    return _layers.Concatenate()([x, *rectified, *parts])


def activations_in_front_of_quantizers(x):
    for function in ('elu', 'selu', 'softplus', 'gelu', 'mish', 'hard_sigmoid', 'swish'):
        x = convolution()(_layers.Activation(function)(x))
    return convolution()(tf_n2uq.layers.HardSwish()(x))


def normalizations(x):
    parts = [
        _layers.LayerNormalization()(x),
        _layers.LayerNormalization(center=False, epsilon=1e-6)(x),
        _layers.LayerNormalization(center=False, scale=False)(x),
        _layers.Rescaling(0.5, 1.0)(x),
        _layers.Rescaling([0.5, -1.0, 1.0, 2.0, -0.25, 1.0])(x),
        _layers.Normalization(mean=0.3, variance=2.0)(x),
        tf_n2uq.layers.ChannelScale()(x),
    ]
    x = _layers.Concatenate()([convolution(4)(part) for part in parts])
    return _layers.LayerNormalization()(_layers.Dense(12)(x))


def sums_and_products(x):
    a, b = convolution()(x), convolution(activation='relu')(x)
    return _layers.Concatenate()(
        [
            _layers.Add()([x, a, b]),
            _layers.Average()([b, x, a]),
            _layers.Multiply()([x, a, b]),
            _layers.Subtract()([a, x]),
        ]
    )


def squeeze_and_excitation(x):
    pooled = _layers.GlobalAveragePooling2D(keepdims=True)(x)
    inner = _layers.Conv2D(3, 1, activation='swish')(pooled)
    gate = _layers.Conv2D(6, 1, activation='sigmoid')(inner)
    return convolution(activation='swish')(_layers.Multiply()([x, gate]))


def inverted_bottleneck(x):
    y = _layers.DepthwiseConv2D(5, padding='same')(x)
    y = _layers.LayerNormalization(epsilon=1e-6)(y)
    y = _layers.Activation('gelu')(_layers.Dense(12)(y))
    return _layers.Add()([x, tf_n2uq.layers.ChannelScale()(_layers.Dense(6)(y))])


def groups(x):
    x = _layers.Conv2D(12, 3, groups=6, padding='same', activation='swish')(x)
    x = _layers.BatchNormalization()(_layers.Conv2D(12, 3, strides=2, groups=3)(x))
    return _layers.Conv2D(8, 1, groups=4)(_layers.ReLU()(x))


def windows(x):
    a = _layers.AveragePooling2D(3, 1, padding='same')(x)
    b = _layers.UpSampling2D(2)(_layers.AveragePooling2D(3, 2, padding='same')(x))
    c = _layers.UpSampling2D((3, 2), interpolation='bilinear')(_layers.MaxPooling2D((3, 2))(x))
    d = _layers.ZeroPadding2D(2)(_layers.Cropping2D(2)(x))
    joined = _layers.Concatenate()([a, b, c, d])
    return convolution()(_layers.Permute((2, 1, 3))(_layers.GaussianNoise(0.1)(joined)))


def transposed(x):
    x = _layers.Conv2DTranspose(6, 3, strides=2, padding='same')(x)
    x = convolution(strides=2)(x)
    x = _layers.Conv2DTranspose(5, 4, strides=2, padding='same', use_bias=False)(x)
    x = _layers.ReLU()(_layers.BatchNormalization()(x))
    x = _layers.Conv2DTranspose(6, 2, strides=3, padding='valid')(_layers.MaxPooling2D(4)(x))
    return _layers.Conv2DTranspose(6, 3, padding='valid')(x)


def along_one_axis(x):
    x = _layers.Conv1D(8, 3, strides=2, padding='same', activation='relu')(x)
    x = _layers.Conv1D(8, 3, dilation_rate=2, padding='causal')(x)
    x = _layers.DepthwiseConv1D(3, padding='same', activation='swish')(x)
    x = _layers.LayerNormalization()(_layers.ZeroPadding1D(2)(x))
    x = _layers.SeparableConv1D(8, 3)(_layers.MaxPooling1D(2)(x))
    x = _layers.UpSampling1D(3)(_layers.SpatialDropout1D(0.1)(x))
    x = _layers.AveragePooling1D(2)(_layers.Cropping1D(1)(_layers.Activation('gelu')(x)))
    return _layers.Conv1D(8, 2)(x)


PATTERNS = [
    (activations, IMAGE),
    (activations_in_front_of_quantizers, IMAGE),
    (normalizations, IMAGE),
    (sums_and_products, IMAGE),
    (squeeze_and_excitation, IMAGE),
    (inverted_bottleneck, IMAGE),
    (groups, IMAGE),
    (windows, IMAGE),
    (transposed, IMAGE),
    (along_one_axis, SEQUENCE),
]


def network(pattern, shape):
    inputs = keras.Input(shape)
    if len(shape) == 3:
        x = pattern(_layers.BatchNormalization()(convolution()(inputs)))
        x = _layers.GlobalAveragePooling2D()(x)
    else:
        x = pattern(_layers.BatchNormalization()(_layers.Conv1D(6, 3)(inputs)))
        x = _layers.Concatenate()(
            [_layers.GlobalAveragePooling1D()(x), _layers.GlobalMaxPooling1D()(x)]
        )
    return keras.Model(inputs, _layers.Dense(4)(x))


def shaken(model, seed=0):
    """Statistics and offsets as after training, with negative slopes."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, _layers.BatchNormalization):
            size = layer.gamma.shape
            layer.gamma.assign(rng.uniform(0.5, 1.5, size) * np.resize([1, -1], size))
            layer.beta.assign(rng.normal(0.0, 0.5, size))
            layer.moving_variance.assign(rng.uniform(0.5, 2.0, size))
        elif isinstance(layer, (_layers.LayerNormalization, tf_n2uq.layers.ChannelScale)):
            for variable in layer.weights:
                variable.assign_add(rng.normal(0.0, 0.3, variable.shape))
    return model


def quantized(model, bits):
    keras_api = tfmot.quantization.keras
    return keras_api.quantize_apply(
        keras_api.quantize_annotate_model(model), scheme=tf_n2uq.N2UQScheme(bits)
    )


@pytest.mark.parametrize('bits', [2, 4])
@pytest.mark.parametrize(
    ('pattern', 'shape'), PATTERNS, ids=lambda each: getattr(each, '__name__', '')
)
def test_the_file_is_one_integer_partition_that_computes_what_keras_does(pattern, shape, bits):
    keras.utils.set_random_seed(2)
    model = quantized(shaken(network(pattern, shape)), bits)
    data = np.random.default_rng(1).normal(0.0, 1.0, (40, *shape)).astype(np.float32)
    tf_n2uq.calibrate(model, data, verbose=0)
    content = convert(model)
    found = inspect(content)
    assert found.integer_only
    assert found.xnnpack_partitions == 1
    assert not found.undelegated
    compared = compare(model, content, data[:8])
    assert not compared.not_compared
    # Products and averages may be ties, which Keras and the file round to different sides.
    assert compared.xnnpack.mean_difference <= 0.5
    for each in compared.quantizers:
        # One tie in front of a quantizer is one level behind it.
        assert each.xnnpack.differing <= max(2, 0.02 * each.values), each
