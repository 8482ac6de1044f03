"""Averages over windows and over whole images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.layers import BorderScale
from tf_n2uq.layers.layer_spec import Kind, LayerSpec, register_layer
from tf_n2uq.schemes.rewrite.decomposition import Parts
from tf_n2uq.tflite.network.averages import AverageForm, WholeAverageForm
from tf_n2uq.tflite.network.border import multiply_border
from tf_n2uq.tflite.network.form import AsInKeras, FunctionForm
from tf_n2uq.tflite.network.kernel_forms import average_image, average_series
from tf_n2uq.tflite.network.line_form import InOneRangeForm

_LAYERS = keras.layers
_WHOLE = LayerSpec(Kind.NEW_RANGE, form=WholeAverageForm())
# With a factor of 3/2, each second value would lie in the middle between two steps, and chance
# would round it.
_OFF_TIES = 1 + 2.0**-16


def _with_border(parts: Parts, step: Step) -> Ref | None:
    """Averages the zeros beyond the border as well, and scales these averages up again.

    A layer whose windows all lie in the image stays as it is.
    """
    layer, (source,) = step.layer, step.inputs
    if layer.padding != 'same':
        return None
    padding, (rows, columns) = _borders(step)
    if not any((factors != 1).any() for factors in (rows, columns)):
        return None
    padded = parts.add(_LAYERS.ZeroPadding2D(padding), 'padding', source)
    pool = _LAYERS.AveragePooling2D(layer.pool_size, layer.strides)
    average = parts.add(pool, 'average', padded)
    return parts.add(BorderScale(rows.tolist(), columns.tolist()), 'border', average)


def _borders(step: Step) -> tuple[list[tuple[int, int]], list[np.ndarray]]:
    """Returns the padding of padding='same', and the factors that make up for it.

    Returns:
        For rows and for columns, how many zeros stand before and behind the image; and for each
        output, the size of its window divided by the size of the part in the image.
    """
    layer = step.layer
    padding, factors = [], []
    for size, window, stride in zip(
        step.input_shape[1:3], layer.pool_size, layer.strides, strict=True
    ):
        count = -(-size // stride)
        total = max((count - 1) * stride + window - size, 0)
        before = total // 2
        starts = np.arange(count) * stride - before
        inside = np.minimum(starts + window, size) - np.maximum(starts, 0)
        padding.append((before, total - before))
        factors.append(np.where(inside < window, window / inside * _OFF_TIES, 1.0))
    return padding, factors


def _averaged(layer: keras.layers.Layer, parts: list[tf.Tensor]) -> tf.Tensor:
    return layer.call(*parts)


register_layer(
    _LAYERS.AveragePooling1D,
    LayerSpec(Kind.NEW_RANGE, form=AverageForm(average_series, InOneRangeForm(_averaged))),
)
register_layer(
    _LAYERS.AveragePooling2D,
    LayerSpec(
        Kind.NEW_RANGE,
        decomposition=_with_border,
        form=AverageForm(average_image, AsInKeras()),
    ),
)
register_layer(_LAYERS.GlobalAveragePooling1D, _WHOLE)
register_layer(_LAYERS.GlobalAveragePooling2D, _WHOLE)
register_layer(BorderScale, LayerSpec(Kind.NEW_RANGE, form=FunctionForm(multiply_border)))
