"""Networks by name, in float or quantized."""

from __future__ import annotations

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.models.resnet_small import small_resnet
from tf_n2uq.schemes import N2UQScheme

_DEPTHS = {'resnet8': 8, 'resnet20': 20}


def build(
    name: str,
    bits: int | None = None,
    quantize_downsample: bool = True,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: float = 1.0,
) -> keras.Model:
    """Builds a network with fresh weights.

    Args:
        name: `resnet20` (for images around 32×32), or `resnet8`, its smaller sibling.
        bits: None for the float network; 2..8 for the network after `quantize_apply` with
            `N2UQScheme(bits)`.
        quantize_downsample: whether the 1×1 convolutions of the shortcuts are quantized to
            `bits` too; otherwise they stay in float. Read only if `bits` is given.
        input_shape: `(height, width, channels)`.
        classes: number of logits.
        width: factor on the number of filters, > 0; 0.5 is half width.

    Returns:
        A model from float32 images `[batch, height, width, channels]` to logits
        `[batch, classes]`.

    Raises:
        ValueError: if the name is not known, or an argument is out of its range.
    """
    if name not in _DEPTHS:
        raise ValueError(f'name: expected one of {", ".join(_DEPTHS)}, got {name!r}.')
    if len(input_shape) != 3 or not all(size and size > 0 for size in input_shape):
        raise ValueError(
            f'input_shape: expected (height, width, channels) > 0, got {input_shape!r}.'
        )
    if classes < 1:
        raise ValueError(f'classes: expected a number of classes ≥ 1, got {classes!r}.')
    if not width > 0:
        raise ValueError(f'width: expected a factor > 0, got {width!r}.')
    model = small_resnet(_DEPTHS[name], width, input_shape, classes, name)
    if bits is None:
        return model
    layers = {} if quantize_downsample else {r'.*_downsample': None}
    scheme = N2UQScheme(bits=bits, layers=layers)
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    return tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
