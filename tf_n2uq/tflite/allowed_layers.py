"""The classes and functions that the config of an untrusted model may name.

A class is in these lists if making an object of it and connecting it, with whatever arguments a
file gives, runs no code of the file, opens no other file, and takes no more memory and time than
the file's size explains. Some settings of these classes are refused all the same, see
`model_config`.

These layers of Keras are left out on purpose:

- `Lambda`, `DropoutWrapper`, `ResidualWrapper`: they hold Python code.
- `TFOpLambda`, `SlicingOpLambda`, `ClassMethod`, `InstanceMethod`, `InstanceProperty`,
  `TensorFlowOpLayer`: they name any function of TensorFlow, `io.write_file` and `load_op_library`
  among them. Pure functions such as `math.add` are refused too: a file gives them whatever
  arguments JSON can hold, and no function of TensorFlow promises to bear hostile ones.
  `tf_n2uq.annotate` replaces such functions by layers.
- `StringLookup`, `IntegerLookup`, `TextVectorization`: a vocabulary may be the path of a file.
- `Hashing`, `HashedCrossing`, `CategoryEncoding`, `Discretization`, `DenseFeatures`: they prepare
  text and tables, and no integer network has them.
- `LocallyConnected1D` and `2D`, `UpSampling1D` and `3D`, `SpectralNormalization`: they build one
  operation for each position, or as many as a number in the config says.

`OrthogonalRegularizer` is left out because it multiplies a kernel with itself whenever somebody
looks at the losses of a layer, and so makes a matrix with a row and a column for each row of the
kernel.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq import layers, quantizers, schemes
from tf_n2uq._compat.keras_saving import Functional

_LAYERS = (
    *('Activation', 'ELU', 'LeakyReLU', 'PReLU', 'ReLU', 'Softmax', 'ThresholdedReLU'),
    *('Conv1D', 'Conv2D', 'Conv3D', 'Conv1DTranspose', 'Conv2DTranspose', 'Conv3DTranspose'),
    *('DepthwiseConv1D', 'DepthwiseConv2D', 'SeparableConv1D', 'SeparableConv2D'),
    *('Dense', 'EinsumDense', 'Embedding', 'Identity', 'InputLayer', 'Masking'),
    *('AdditiveAttention', 'Attention', 'MultiHeadAttention'),
    *('Add', 'Average', 'Concatenate', 'Dot', 'Maximum', 'Minimum', 'Multiply', 'Subtract'),
    *('BatchNormalization', 'GroupNormalization', 'LayerNormalization', 'UnitNormalization'),
    *('AveragePooling1D', 'AveragePooling2D', 'AveragePooling3D'),
    *('MaxPooling1D', 'MaxPooling2D', 'MaxPooling3D'),
    *('GlobalAveragePooling1D', 'GlobalAveragePooling2D', 'GlobalAveragePooling3D'),
    *('GlobalMaxPooling1D', 'GlobalMaxPooling2D', 'GlobalMaxPooling3D'),
    *('ActivityRegularization', 'AlphaDropout', 'Dropout', 'GaussianDropout', 'GaussianNoise'),
    *('SpatialDropout1D', 'SpatialDropout2D', 'SpatialDropout3D'),
    *('Cropping1D', 'Cropping2D', 'Cropping3D', 'Flatten', 'Permute', 'RepeatVector', 'Reshape'),
    *('UpSampling2D', 'ZeroPadding1D', 'ZeroPadding2D', 'ZeroPadding3D'),
    *('CenterCrop', 'Normalization', 'Rescaling', 'Resizing'),
    *('RandomBrightness', 'RandomContrast', 'RandomCrop', 'RandomFlip', 'RandomHeight'),
    *('RandomRotation', 'RandomTranslation', 'RandomWidth', 'RandomZoom'),
    *('Bidirectional', 'ConvLSTM1D', 'ConvLSTM2D', 'ConvLSTM3D', 'GRU', 'LSTM', 'RNN'),
    *('SimpleRNN', 'GRUCell', 'LSTMCell', 'SimpleRNNCell', 'StackedRNNCells', 'TimeDistributed'),
)
_INITIALIZERS = (
    *('Constant', 'GlorotNormal', 'GlorotUniform', 'HeNormal', 'HeUniform', 'Identity'),
    *('LecunNormal', 'LecunUniform', 'Ones', 'Orthogonal', 'RandomNormal', 'RandomUniform'),
    *('TruncatedNormal', 'VarianceScaling', 'Zeros'),
)
_REGULARIZERS = ('L1', 'L1L2', 'L2')
_CONSTRAINTS = ('MaxNorm', 'MinMaxNorm', 'NonNeg', 'RadialConstraint', 'UnitNorm')
# What TFMOT's own schemes leave in a model.
_TFMOT = (
    *('QuantizeAnnotate', 'QuantizeAwareActivation', 'NoOpActivation', 'QuantizeLayer'),
    *('QuantizeWrapper', 'QuantizeWrapperV2', 'OutputOnlyConfig', 'FixedQuantizeConfig'),
    *('Default8BitQuantizeConfig', 'Default8BitQuantizeConfigRNN', 'NoOpQuantizeConfig'),
    *('Default8BitActivationQuantizeConfig', 'Default8BitConvQuantizeConfig'),
    *('Default8BitConvTransposeQuantizeConfig', 'Default8BitOutputQuantizeConfig'),
    *('DefaultNBitQuantizeConfig', 'DefaultNBitQuantizeConfigRNN'),
    *('DefaultNBitActivationQuantizeConfig', 'DefaultNBitConvQuantizeConfig'),
    *('DefaultNBitConvTransposeQuantizeConfig', 'DefaultNBitOutputQuantizeConfig'),
    *('AllValuesQuantizer', 'FixedQuantizer', 'LastValueQuantizer', 'MovingAverageQuantizer'),
    'NoQuantizer',
)

ACTIVATIONS = frozenset(
    {'elu', 'exponential', 'gelu', 'hard_sigmoid', 'leaky_relu', 'linear', 'log_softmax', 'mish'}
    | {'relu', 'relu6', 'selu', 'sigmoid', 'silu', 'softmax', 'softplus', 'softsign', 'swish'}
    | {'tanh'}
)
# The modules that a config names for an activation.
ACTIVATION_MODULES = frozenset({'builtins', 'keras.activations', 'tf_keras.activations'})
# Arguments of layers that may be a name alone, by the end of the argument's name.
NAMES_OF_ARGUMENTS = {
    'activation': ACTIVATIONS,
    'initializer': frozenset(
        {*_INITIALIZERS, 'constant', 'glorot_normal', 'glorot_uniform', 'he_normal', 'he_uniform'}
        | {'identity', 'lecun_normal', 'lecun_uniform', 'normal', 'one', 'ones', 'orthogonal'}
        | {'random_normal', 'random_uniform', 'truncated_normal', 'uniform'}
        | {'variance_scaling', 'zero', 'zeros'}
    ),
    'regularizer': frozenset({*_REGULARIZERS, 'l1', 'l1_l2', 'l2'}),
    'constraint': frozenset(
        {*_CONSTRAINTS, 'max_norm', 'maxnorm', 'min_max_norm', 'non_neg', 'nonneg'}
        | {'radial_constraint', 'unit_norm', 'unitnorm'}
    ),
}


def registered_classes() -> frozenset[str]:
    """Returns the names of this package's own layers, quantizers and quantize configs.

    A file cannot add to them: only code can register a class, and only a class of the package's
    rooms counts.
    """
    return frozenset(name for name, found in _registered() if inspect.isclass(found))


def registered_functions() -> frozenset[str]:
    """Returns the names of this package's own activation functions, likewise."""
    return frozenset(name for name, found in _registered() if inspect.isfunction(found))


def _registered() -> Iterator[tuple[str, Any]]:
    rooms = tuple(f'{room.__name__}.' for room in (layers, quantizers, schemes))
    for name, found in keras.saving.get_custom_objects().items():
        if name.startswith('tf_n2uq>') and found.__module__.startswith(rooms):
            yield name, found


def allowed_classes() -> dict[str, frozenset[str]]:
    """Returns the other classes: by name, the modules that a config may say they are from."""
    allowed: dict[str, frozenset[str]] = {}
    for cls, public in _classes():
        modules = {cls.__module__, public}
        # A file may call tf_keras `keras`, as Keras does itself.
        modules |= {name.removeprefix('tf_') for name in modules}
        # An initializer and a layer are both called `Identity`.
        allowed[cls.__name__] = allowed.get(cls.__name__, frozenset()) | modules
    return allowed


def _classes() -> Iterator[tuple[type, str]]:
    """Yields the classes, each with the public module in which Keras looks for it."""
    for model in (Functional, keras.Model, keras.Sequential):
        yield model, 'tf_keras'
    for room, names in (
        ('layers', _LAYERS),
        ('initializers', _INITIALIZERS),
        ('regularizers', _REGULARIZERS),
        ('constraints', _CONSTRAINTS),
        ('mixed_precision', ('Policy',)),
    ):
        for name in names:
            yield getattr(getattr(keras, room), name), f'tf_keras.{room}'
    yield keras.layers.experimental.SyncBatchNormalization, 'tf_keras.layers.experimental'
    for scope in tfmot.quantization.keras.quantize_scope().custom_objects:
        for name in _TFMOT:
            yield scope[name], scope[name].__module__
