"""The way back: the float weights of a trained network for the Keras 3 model it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tf_keras as keras
from absl import logging

from tf_n2uq._compat.keras_models import all_layers
from tf_n2uq._compat.tfmot import QuantizeAnnotate
from tf_n2uq.graph.flat_names import flat_names
from tf_n2uq.graph.keras3_objects import is_of_keras3
from tf_n2uq.keras3.network import NetworkBuilder, Pair
from tf_n2uq.keras3.sources import entry_of
from tf_n2uq.keras3.weight_store import LiveWeights, inner_layers
from tf_n2uq.layers import ChannelAffine, Quantize, QuantizedKernel, SwitchableBatchNormalization

_FloatLayers = Mapping[str, keras.layers.Layer]


def to_keras3_weights(
    model: keras.Model,
    keras3_model: Any,
    *,
    custom_objects: Mapping[str, Callable[..., Any]] | None = None,
) -> None:
    """Gives a Keras 3 model the float weights that a network has after training, in place.

    The network is one that `from_keras3` or `annotate` has made of the Keras 3 model, quantized or
    not. Its kernels are taken as training keeps them, in float and not rounded to levels, and batch
    normalizations with their statistics. So the Keras 3 model computes what the network would
    compute without its quantizers. Thresholds and ranges have no place in Keras 3.

    Args:
        model: the network of tf_keras.
        keras3_model: the model of Keras 3, on any backend.
        custom_objects: as for `from_keras3`.

    Raises:
        TypeError: if `model` is not a tf_keras model, or `keras3_model` is not one of Keras 3.
        ValueError: if a layer of the Keras 3 model has weights of which the network has none, or of
            another shape; the Keras 3 model has not changed then. Or if the network runs at
            several bit-widths: `tf_n2uq.extract` makes one of a single width.
    """
    _check_arguments(model, keras3_model)
    builder = NetworkBuilder(dict(custom_objects or {}))
    twin = builder.model(entry_of(keras3_model), LiveWeights(keras3_model))
    names, own = flat_names(twin), _float_layers(model)
    used: set[str] = set()
    for pair in builder.pairs:
        if pair.layer.weights:
            pair.layer.set_weights(_arrays(pair, names[id(pair.layer)], own, used))
    for pair in builder.pairs:
        assert isinstance(pair.store, LiveWeights)
        _give_back(pair.layer, pair.store)
    left = sorted(name for name, layer in own.items() if layer.weights and name not in used)
    if left:
        logging.warning(
            'model: these layers of %r have weights, but the Keras 3 model has no such layers: %s.',
            model.name,
            ', '.join(left),
        )


def _check_arguments(model: Any, keras3_model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            f'model: expected a tf_keras model, got {model!r} of type {type(model).__name__}; give '
            'the network that was made of the Keras 3 model.'
        )
    if not is_of_keras3(keras3_model) or not hasattr(keras3_model, 'layers'):
        raise TypeError(
            f'keras3_model: expected a model of Keras 3, got {keras3_model!r} of type '
            f'{type(keras3_model).__name__}; give the model that from_keras3 was called with.'
        )


def _float_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns the layers of a network by their names before quantization."""
    found: dict[str, keras.layers.Layer] = {}
    for layer in all_layers(model):
        if isinstance(layer, SwitchableBatchNormalization):
            raise ValueError(
                f'model: expected a network of one bit-width, got {model.name!r}, whose layer '
                f'{layer.name!r} has statistics for several; give tf_n2uq.extract(model, bits).'
            )
        if isinstance(layer, (QuantizedKernel, QuantizeAnnotate)):
            layer = layer.layer
        if not isinstance(layer, (keras.Model, Quantize)):
            found.setdefault(layer.name, layer)
    return found


def _arrays(pair: Pair, name: str, own: _FloatLayers, used: set[str]) -> list[np.ndarray]:
    """Returns the weights for a layer, in the order of its own variables."""
    expected = [tuple(variable.shape) for variable in pair.layer.weights]
    separable = (f'{name}_depthwise', f'{name}_pointwise')
    # A range at the end takes the name of the last layer, which gets `quant_` in front.
    for parts in ((name,), (f'quant_{name}',), separable, (f'{name}_affine',)):
        layers = [own[part] for part in parts if part in own]
        if len(layers) < len(parts):
            continue
        arrays = [array for layer in layers for array in _weights_of(layer, pair.layer)]
        # A convolution with a group per channel has become a depthwise one.
        if [array.size for array in arrays] == [int(np.prod(shape)) for shape in expected]:
            used.update(parts)
            return [array.reshape(shape) for array, shape in zip(arrays, expected, strict=True)]
    raise pair.entry.refusal(
        f'has weights of the shapes {expected}, which the network does not have under the name '
        f'{name!r}',
        'give a network that from_keras3 or annotate has made of this model',
    )


def _weights_of(layer: keras.layers.Layer, target: keras.layers.Layer) -> list[np.ndarray]:
    arrays = layer.get_weights()
    if isinstance(layer, ChannelAffine) and not isinstance(target, ChannelAffine):
        # A normalization was taken apart, which may have no scale or no offset.
        wanted = (target.scale, target.center)
        return [array for array, is_wanted in zip(arrays, wanted, strict=True) if is_wanted]
    return arrays


def _give_back(layer: Any, store: LiveWeights) -> None:
    variables: dict[str, Any] = {}
    layer.save_own_variables(variables)
    if variables:
        store.owner.load_own_variables({key: np.asarray(each) for key, each in variables.items()})
    for inner, inner_store in inner_layers(layer, store):
        if isinstance(inner_store, LiveWeights):
            _give_back(inner, inner_store)
