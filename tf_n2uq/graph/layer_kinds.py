"""What a layer does to numbers, as far as quantization cares."""

from __future__ import annotations

import enum

import tf_keras as keras

from tf_n2uq.layers import (
    BorderScale,
    ChannelMean,
    HardSigmoid,
    HardSwish,
    InverseDeviation,
    Quantize,
    QuantizedKernel,
    RPReLU,
    is_channel_line,
)


class Kind(enum.Enum):
    """How a layer's output relates to its input in an integer network."""

    KERNEL = 'multiplies by a kernel'
    NORMALIZATION = 'scales and shifts each channel'
    SUM = 'adds or subtracts tensors'
    PRODUCT = 'multiplies tensors'
    ELEMENTWISE = 'maps each number by itself'
    SOFTMAX = 'makes probabilities'
    SAME_SCALE = 'moves or selects numbers without changing them'
    NEW_RANGE = 'computes new numbers'
    QUANTIZE = 'is a quantizer'


_LAYERS = keras.layers
_KINDS: dict[type, Kind] = {
    **dict.fromkeys(
        (
            _LAYERS.Conv1D,
            _LAYERS.Conv2D,
            _LAYERS.Conv2DTranspose,
            _LAYERS.DepthwiseConv1D,
            _LAYERS.DepthwiseConv2D,
            _LAYERS.SeparableConv1D,
            _LAYERS.SeparableConv2D,
            _LAYERS.Dense,
            QuantizedKernel,
        ),
        Kind.KERNEL,
    ),
    **dict.fromkeys((_LAYERS.Add, _LAYERS.Subtract), Kind.SUM),
    _LAYERS.Multiply: Kind.PRODUCT,
    **dict.fromkeys(
        (
            _LAYERS.ReLU,
            _LAYERS.LeakyReLU,
            _LAYERS.PReLU,
            _LAYERS.ELU,
            RPReLU,
            HardSigmoid,
            HardSwish,
        ),
        Kind.ELEMENTWISE,
    ),
    _LAYERS.Softmax: Kind.SOFTMAX,
    **dict.fromkeys(
        (
            _LAYERS.InputLayer,
            _LAYERS.MaxPooling1D,
            _LAYERS.MaxPooling2D,
            _LAYERS.GlobalMaxPooling1D,
            _LAYERS.GlobalMaxPooling2D,
            _LAYERS.Flatten,
            _LAYERS.Reshape,
            _LAYERS.Permute,
            _LAYERS.ZeroPadding1D,
            _LAYERS.ZeroPadding2D,
            _LAYERS.Cropping1D,
            _LAYERS.Cropping2D,
            _LAYERS.UpSampling1D,
            _LAYERS.Dropout,
            _LAYERS.SpatialDropout1D,
            _LAYERS.SpatialDropout2D,
            _LAYERS.GaussianDropout,
            _LAYERS.GaussianNoise,
        ),
        Kind.SAME_SCALE,
    ),
    **dict.fromkeys(
        (
            _LAYERS.AveragePooling1D,
            _LAYERS.AveragePooling2D,
            _LAYERS.GlobalAveragePooling1D,
            _LAYERS.GlobalAveragePooling2D,
            _LAYERS.Concatenate,
            _LAYERS.Average,
            _LAYERS.LayerNormalization,
            BorderScale,
            ChannelMean,
            InverseDeviation,
        ),
        Kind.NEW_RANGE,
    ),
    Quantize: Kind.QUANTIZE,
}
_UP_SAMPLING = {'nearest': Kind.SAME_SCALE, 'bilinear': Kind.NEW_RANGE}
_ELEMENTWISE_ACTIVATIONS = (
    'relu',
    'relu6',
    'leaky_relu',
    'elu',
    'selu',
    'softplus',
    'softsign',
    'swish',
    'silu',
    'gelu',
    'mish',
    'hard_sigmoid',
    'exponential',
    'sigmoid',
    'tanh',
)


def kind_of(layer: keras.layers.Layer) -> Kind | None:
    """Returns the kind of a layer, or None for a layer that the schemes do not know.

    Classes are looked up exactly: a user's subclass may compute something else.
    """
    if is_channel_line(layer):
        return Kind.NORMALIZATION
    if type(layer) is _LAYERS.UpSampling2D:
        return _UP_SAMPLING.get(layer.interpolation)
    if type(layer) is not _LAYERS.Activation:
        return _KINDS.get(type(layer))
    name = activation_name(layer.activation)
    if name == 'linear':
        return Kind.SAME_SCALE
    if name == 'softmax':
        return Kind.SOFTMAX
    return Kind.ELEMENTWISE if name in _ELEMENTWISE_ACTIVATIONS else None


def activation_name(activation: object) -> str:
    """Returns the name of a Keras activation function."""
    return getattr(activation, '__name__', type(activation).__name__)


def fuses_as_relu(layer: keras.layers.Layer) -> bool:
    """Tells whether TFLite runs the layer inside the operator before it (ReLU and ReLU6)."""
    if type(layer) is _LAYERS.ReLU:
        plain = not layer.negative_slope and not layer.threshold
        return plain and layer.max_value in (None, 6.0)
    return type(layer) is _LAYERS.Activation and activation_name(layer.activation) in (
        'relu',
        'relu6',
    )


def function_name(layer: keras.layers.Layer) -> str:
    """Returns the name of the function that an element-wise layer computes, as Keras calls it.

    A layer that is not a named function of Keras', as `PReLU`, goes by its class name.
    """
    if type(layer) is _LAYERS.Activation:
        name = activation_name(layer.activation)
        return 'swish' if name == 'silu' else name
    names = {HardSigmoid: 'hard_sigmoid_6', HardSwish: 'hard_swish', _LAYERS.Softmax: 'softmax'}
    return names.get(type(layer), type(layer).__name__)
