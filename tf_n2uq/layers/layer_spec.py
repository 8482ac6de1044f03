"""The registry of known layers, with one `LayerSpec` for each kind of layer.

The rewrite, calibration, the summary and the export ask this registry and no other. The entries
stand in `tf_n2uq/known_layers/`, one file for each family of layers.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras


class Kind(enum.Enum):
    """The relation between the output and the input of a layer in an integer network."""

    KERNEL = 'multiplies by a kernel'
    NORMALIZATION = 'scales and shifts each channel'
    SUM = 'adds or subtracts tensors'
    PRODUCT = 'multiplies tensors'
    ELEMENTWISE = 'maps each number by itself'
    SOFTMAX = 'makes probabilities'
    SAME_SCALE = 'moves or selects numbers without changing them'
    SAME_RANGE = 'maps each number by itself, to the range that it reads'
    NEW_RANGE = 'computes new numbers'
    QUANTIZE = 'is a quantizer'


# The kinds of layers whose output has the scale of their input.
KEEPING_SCALE = (Kind.SAME_SCALE, Kind.SAME_RANGE)
# The shape of a layer's input, with the batch; a list of shapes for a layer that reads several
# tensors; None where the shape is not known yet.
InputShape: TypeAlias = Any
# The attribute of a kernel, and the axes of the kernel that are output channels.
KernelAxes: TypeAlias = tuple[str, int | tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """The facts about a kind of layer that quantization needs.

    Attributes:
        kind: how the output relates to the input.
        kernels: the layer's kernels, in the order of its weights.
        line: of a NORMALIZATION: returns slope and offset per channel of a built layer at
            inference, two float64 tensors that broadcast to `[channels]`.
        fixed_range: the only range that the layer's integer operator writes in, as its lowest and
            its highest value.
        fuses_as_relu: whether TFLite runs the layer inside of the operator in front of it.
        takes_on_relu: whether the layer's operator may do the work of a ReLU behind it.
        keeps_pixels: whether the layer only pads with zeros, so that a quantizer of the layer's
            output may as well stand in front of the layer.
        refusal: tells why a layer of this configuration has no integer form, as the end of the
            sentence 'layer x …'; returns None for a layer that has one.
        decomposition: replaces the layer by layers that an integer file has operators for; gets
            a `schemes.rewrite.decomposition.Parts` and the step, and returns the `Ref` of the
            result, or None to leave the layer as it is.
        multiply: of a KERNEL: multiplies by integers with TensorFlow operators; gets the layer, its
            input `[1, …, channels]` and a `tflite.network.kernels.IntegerKernel`.
        form: how an integer file computes the layer, a `tflite.network.form.IntegerForm`; None for
            an element-wise layer that can only be a part of thresholds.
    """

    kind: Kind
    kernels: tuple[KernelAxes, ...] = ()
    line: Callable[[keras.layers.Layer], tuple[tf.Tensor, tf.Tensor]] | None = None
    fixed_range: tuple[float, float] | None = None
    fuses_as_relu: bool = False
    takes_on_relu: bool = False
    keeps_pixels: bool = False
    refusal: Callable[[keras.layers.Layer, InputShape], str | None] = lambda layer, shape: None
    decomposition: Callable[[Any, Any], Any] | None = None
    multiply: Callable[[keras.layers.Layer, tf.Tensor, Any], tf.Tensor] | None = None
    form: Any = None


_Entry: TypeAlias = LayerSpec | Callable[[keras.layers.Layer], LayerSpec | None]
_SPECS: dict[type, _Entry] = {}


def register_layer(kind_of_layer: type[keras.layers.Layer], entry: _Entry) -> None:
    """Makes a class of layers known to the schemes and to the export.

    Args:
        kind_of_layer: the class. A subclass of it is another kind, because it may compute something
            else.
        entry: the spec of the class, or a function that returns the spec of one layer, or None for
            a layer that is not known.

    Raises:
        ValueError: if the class is registered already.
    """
    if kind_of_layer in _SPECS:
        raise ValueError(
            f'kind_of_layer: expected a class that is not registered yet, got '
            f'{kind_of_layer.__name__}; change its entry, or register a class of your own.'
        )
    _SPECS[kind_of_layer] = entry


def registered_layers() -> list[type[keras.layers.Layer]]:
    """Returns all classes of layers that are known, in the order of registration."""
    return list(_SPECS)


def spec_of(layer: keras.layers.Layer) -> LayerSpec | None:
    """Returns the spec of a layer, or None for a layer of an unknown kind."""
    entry = _SPECS.get(type(layer))
    return entry if entry is None or isinstance(entry, LayerSpec) else entry(layer)


def refusal_of(layer: keras.layers.Layer, input_shape: InputShape = None) -> str | None:
    """Tells why a layer has no integer form.

    Args:
        layer: any layer.
        input_shape: the shape of the layer's input, as far as it is known.

    Returns:
        The end of the sentence 'layer x …'; None for a layer that has an integer form.
    """
    spec = spec_of(layer)
    if spec is None:
        return f'is a {type(layer).__name__}, which this project does not know'
    if getattr(layer, 'data_format', None) == 'channels_first':
        return "has data_format='channels_first'; expected 'channels_last', which TFLite runs"
    return spec.refusal(layer, input_shape)


def kind_of(layer: keras.layers.Layer, input_shape: InputShape = None) -> Kind | None:
    """Returns the kind of a layer, or None for a layer that has no integer form.

    Args:
        layer: any layer.
        input_shape: the shape of the layer's input, as far as it is known.
    """
    spec = spec_of(layer)
    if spec is None or getattr(layer, 'data_format', None) == 'channels_first':
        return None
    return None if spec.refusal(layer, input_shape) else spec.kind


def is_channel_line(layer: keras.layers.Layer, input_shape: InputShape = None) -> bool:
    """Tells whether a layer multiplies and shifts each channel (of the last axis) by itself.

    Args:
        layer: any layer.
        input_shape: the shape of the layer's input, as far as it is known.
    """
    return kind_of(layer, input_shape) is Kind.NORMALIZATION


def line_of(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the slope and the offset of a line per channel at inference.

    Args:
        layer: a built layer for which `is_channel_line` holds.

    Returns:
        The slope and the offset, two float64 tensors of shape `[channels]` or `[1]`.
    """
    spec = spec_of(layer)
    assert spec is not None
    assert spec.line is not None
    slope, offset = (tf.reshape(part, [-1]) for part in spec.line(layer))
    return slope, offset


def activation_name(activation: object) -> str:
    """Returns the name of a Keras activation function."""
    return getattr(activation, '__name__', type(activation).__name__)


def function_name(layer: keras.layers.Layer) -> str:
    """Returns the name by which a user knows the function of a layer."""
    if type(layer) is keras.layers.Activation:
        return activation_name(layer.activation)
    return type(layer).__name__


def is_last_axis(axis: Any, input_shape: InputShape) -> bool:
    """Tells whether an axis, or a sequence of one axis, is the last one.

    Args:
        axis: an integer or a sequence of integers, counted from either end.
        input_shape: the shape of the layer's input. Where the number of axes is not known, any axis
            above 0 is taken for the last one of an image, a series or a vector.
    """
    axes = list(axis) if hasattr(axis, '__iter__') else [axis]
    known = input_shape is not None and not isinstance(input_shape, list)
    rank = len(input_shape) if known else None
    if len(axes) != 1:
        return False
    return axes[0] == -1 or (axes[0] == rank - 1 if rank is not None else axes[0] > 0)
