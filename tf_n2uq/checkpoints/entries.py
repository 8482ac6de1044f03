"""The name and the layout of each variable of a network in N2UQ's published code."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import Quantize, QuantizedKernel, RPReLU
from tf_n2uq.quantizers import (
    EntropyPreservingQuantizer,
    LearnableThresholdQuantizer,
    PACTQuantizer,
)

_BLOCK = re.compile(r'(layer\d+|feature)_(\d+)_(.+)')
_RPRELU = re.compile(r'(.*\.)?rprelu(\d+)')
_THRESHOLDS = re.compile(r'(.*\.)?conv(\d+)_thresholds')
_TRANSPOSED: dict[type, tuple[int, ...]] = {
    # The axes of PyTorch's kernels in the order of Keras' kernels. PyTorch's are [out, in, h, w],
    # [channels, 1, h, w] and [out, in].
    keras.layers.Conv2D: (2, 3, 1, 0),
    keras.layers.DepthwiseConv2D: (2, 3, 0, 1),
    keras.layers.Dense: (1, 0),
}
# The published modules hold these constants as parameters. Only these values have a meaning.
_QUANTIZER_CONSTANTS = {'two': 2.0, 'one': 1.0, 'zero': 0.0, 'minusone': -1.0, 'eps': 1e-3}
_KERNEL_CONSTANTS = {'clip_val': 2.0, 'zero': 0.0}


class Part(enum.Enum):
    """A part of a network that a checkpoint may lack as a whole."""

    NETWORK = 'network'
    RPRELU = 'rprelu'
    QUANTIZER = 'quantizer'


@dataclasses.dataclass(frozen=True)
class Entry:
    """One variable under its published name.

    Attributes:
        name: The name in the state dict.
        variable: The variable of the network.
        shape: The shape in the state dict.
        part: The part of the network that the variable belongs to.
        to_keras: A function from the published array, of `shape`, to the variable's value.
        to_published: The function from the variable's value to the published array.
    """

    name: str
    variable: tf.Variable
    shape: tuple[int, ...]
    part: Part
    to_keras: Callable[[np.ndarray], np.ndarray]
    to_published: Callable[[np.ndarray], np.ndarray]


def entries_of(model: keras.Model, quantized_downsample: bool) -> Iterator[Entry]:
    """Lists the variables of a network that a state dict holds.

    Args:
        model: A network of `tf_n2uq.models.build`, float or quantized.
        quantized_downsample: Whether names count a quantizer in front of the downsampling
            convolutions, which adds one to the numbers of the modules behind it.

    Yields:
        The entries, in the order of the layers. 8-bit ranges have no entry, because the published
        networks have none.

    Raises:
        ValueError: A layer has variables and no published name.
    """
    for layer in model.layers:
        name = published_name(layer.name, quantized_downsample)
        if isinstance(layer, RPReLU):
            yield from _rprelu(name, layer)
        elif isinstance(layer, Quantize):
            yield from _quantizer(name, layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield from _normalization(name, layer)
        elif type(_wrapped(layer)) in _TRANSPOSED:
            yield from _kernel(name, _wrapped(layer))
        elif layer.weights:
            raise ValueError(
                f'model: expected a network of tf_n2uq.models.build that N2UQ publishes, a '
                f'ResNet for ImageNet or MobileNetV2, got {model.name!r} with the layer '
                f'{layer.name!r} ({type(layer).__name__}), which has no published name. Save and '
                'load it as .keras.'
            )


def constants_of(model: keras.Model, quantized_downsample: bool) -> dict[str, np.ndarray]:
    """Returns the entries of a state dict that are the same in every checkpoint.

    Args:
        model: As for `entries_of`.
        quantized_downsample: As for `entries_of`.

    Returns:
        `{name: array}`: float32 `[1]`, and `num_batches_tracked`, which counts steps, as int64 0.
    """
    constants: dict[str, np.ndarray] = {}
    for layer in model.layers:
        name = published_name(layer.name, quantized_downsample)
        if isinstance(layer, keras.layers.BatchNormalization):
            constants[f'{name}.num_batches_tracked'] = np.zeros([], np.int64)
        elif _is_thresholds(layer):
            constants.update(_filled(name, _QUANTIZER_CONSTANTS))
        elif _has_published_quantizer(layer):
            constants.update(_filled(name, _KERNEL_CONSTANTS))
    return constants


def published_name(layer_name: str, quantized_downsample: bool) -> str:
    """Returns the published code's name of a layer, without the name of a variable.

    Args:
        layer_name: The name of our layer, such as `quant_layer2_0_downsample` or
            `layer1_0_conv1_thresholds`.
        quantized_downsample: As for `entries_of`.

    Returns:
        The published name, such as `layer2.0.downsample.1` or `layer1.0.quan1`.
    """
    name = layer_name.removeprefix('quant_')
    if match := _BLOCK.fullmatch(name):
        name = '.'.join(match.groups())
    first = 1 if quantized_downsample else 0
    name = re.sub(r'downsample_thresholds$', 'downsample.0', name)
    name = re.sub(r'downsample_bn$', f'downsample.{first + 1}', name)
    name = re.sub(r'downsample$', f'downsample.{first}', name)
    return _THRESHOLDS.sub(r'\1quan\2', name)


def _wrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer.layer if isinstance(layer, QuantizedKernel) else layer


def _is_thresholds(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, Quantize) and isinstance(layer.quantizer, LearnableThresholdQuantizer)


def _has_published_quantizer(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, QuantizedKernel) and any(
        isinstance(quantizer, EntropyPreservingQuantizer)
        for _, quantizer, _ in layer.kernel_quantizers
    )


def _filled(name: str, constants: dict[str, float]) -> dict[str, np.ndarray]:
    return {f'{name}.{leaf}': np.full([1], value, np.float32) for leaf, value in constants.items()}


def _reshaped(
    name: str, variable: tf.Variable, part: Part, published_shape: tuple[int, ...] | None = None
) -> Entry:
    shape = tuple(variable.shape)
    published = published_shape or shape
    return Entry(
        name,
        variable,
        published,
        part,
        lambda array: np.reshape(array, shape),
        lambda array: np.reshape(array, published),
    )


def _transposed(name: str, variable: tf.Variable, order: tuple[int, ...]) -> Entry:
    inverse = tuple(int(axis) for axis in np.argsort(order))
    published = tuple(variable.shape[axis] for axis in inverse)
    return Entry(
        name,
        variable,
        published,
        Part.NETWORK,
        lambda array: np.transpose(array, order),
        lambda array: np.transpose(array, inverse),
    )


def _kernel(name: str, layer: keras.layers.Layer) -> Iterator[Entry]:
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    kernel = layer.depthwise_kernel if depthwise else layer.kernel
    yield _transposed(f'{name}.weight', kernel, _TRANSPOSED[type(layer)])
    if layer.use_bias:
        yield _reshaped(f'{name}.bias', layer.bias, Part.NETWORK)


def _normalization(name: str, layer: keras.layers.BatchNormalization) -> Iterator[Entry]:
    yield _reshaped(f'{name}.weight', layer.gamma, Part.NETWORK)
    yield _reshaped(f'{name}.bias', layer.beta, Part.NETWORK)
    yield _reshaped(f'{name}.running_mean', layer.moving_mean, Part.NETWORK)
    yield _reshaped(f'{name}.running_var', layer.moving_variance, Part.NETWORK)


def _rprelu(name: str, layer: RPReLU) -> Iterator[Entry]:
    match = _RPRELU.fullmatch(name)
    if match is None:
        raise ValueError(
            f'model: expected an RPReLU named as tf_n2uq.models.build names it, got {layer.name!r}.'
            ' Build the network with tf_n2uq.models.build.'
        )
    block, number = match[1] or '', match[2]
    row = (1, layer.slope.shape[0], 1, 1)
    yield _reshaped(f'{block}bias{number}1.bias', layer.bias_in, Part.RPRELU, row)
    yield _reshaped(f'{block}prelu{number}.weight', layer.slope, Part.RPRELU)
    yield _reshaped(f'{block}bias{number}2.bias', layer.bias_out, Part.RPRELU, row)


def _quantizer(name: str, layer: Quantize) -> Iterator[Entry]:
    weights = layer.quantizer_weights
    if isinstance(layer.quantizer, LearnableThresholdQuantizer):
        names = {
            'start': 'start',
            'intervals': 'a',
            'input_scale': 'scale1',
            'output_scale': 'scale2',
        }
    elif isinstance(layer.quantizer, PACTQuantizer):
        names = {'clip_value': 'clip_val'}
    else:
        return
    for ours, published in names.items():
        yield _reshaped(f'{name}.{published}', weights[ours], Part.QUANTIZER)
