"""Checks of the models that a user hands over to calibration, training or export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tf_keras as keras

from tf_n2uq._compat.keras_models import is_functional
from tf_n2uq._compat.tfmot import QuantizeLayer, QuantizeWrapperV2
from tf_n2uq.graph.keras3_objects import is_of_keras3, keras3_model_found
from tf_n2uq.layers import Quantize, QuantizedKernel


def check_model(model: Any, argument: str = 'model') -> None:
    """Checks that an argument is a built Sequential or Functional tf_keras model.

    Args:
        model: the value of the argument.
        argument: the name of the argument, for the error.

    Raises:
        TypeError: if `model` is not a tf_keras model. For a Keras 3 model, the error names
            `tf_n2uq.from_keras3`.
        ValueError: if `model` is subclassed or not built.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f'{argument}: expected a tf_keras model, got {_describe(model)}')
    is_sequential = isinstance(model, keras.Sequential)
    first = model.layers[0] if is_sequential and model.layers else None
    if not model.built and isinstance(first, keras.Model) and first.built:
        # Keras does not look for the shape in a Sequential model inside of another one.
        model.build(first.input_shape)
    if not is_sequential and not is_functional(model):
        raise ValueError(
            f'{argument}: expected a Sequential or Functional model, got the subclassed '
            f'{type(model).__name__} {model.name!r}. Rebuild it with the functional API, '
            'tf_keras.Model(inputs, outputs).'
        )
    if not model.built or not is_functional(model):
        raise ValueError(
            f'{argument}: expected a built model, got {model.name!r}, whose input shape is not '
            'known. Call model.build(input_shape), or start it with tf_keras.Input.'
        )


def _describe(model: Any) -> str:
    if is_of_keras3(model):
        return keras3_model_found(model)
    return (
        f'{model!r} of type {type(model).__name__}; build it with tf_keras, or load it with '
        'tf_keras.models.load_model.'
    )


def check_quantized_model(model: Any) -> None:
    """Checks that an argument is a model which a scheme of this project has quantized.

    Args:
        model: the value of the argument `model`.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if `model` is subclassed, not built, or holds no quantizer of this project; or
            if layers of models inside of it share a name, by which other layers find them.
    """
    check_model(model)
    layers = list(layers_inside(model))
    by_tfmot = any(isinstance(each, (QuantizeLayer, QuantizeWrapperV2)) for each in layers)
    if by_tfmot and not any(isinstance(layer, Quantize) for layer in layers):
        raise ValueError(
            'model: expected a model that a scheme of this project has quantized, got '
            f"{model.name!r}, which TFMOT's own scheme has quantized. Give quantize_apply a scheme "
            'as in quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(bits=2)): without one, a '
            'QuantizeConfig of this project quantizes kernels and activations only.'
        )
    if not any(isinstance(layer, (Quantize, QuantizedKernel)) for layer in layers):
        raise ValueError(
            f'model: expected a quantized model, got the float model {model.name!r}. Quantize it '
            'with tfmot.quantization.keras.quantize_apply(tfmot.quantization.keras.'
            'quantize_annotate_model(model), scheme=tf_n2uq.N2UQScheme(bits=2)).'
        )
    _check_names(model, layers)


def layers_inside(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the layers of a model and of the models inside of it, each once, without the models.

    Args:
        model: a model, built or not.
    """
    found: set[int] = set()
    stack = list(reversed(model.layers))
    while stack:
        layer = stack.pop()
        if id(layer) in found:
            continue
        found.add(id(layer))
        if isinstance(layer, keras.Model):
            stack.extend(reversed(layer.layers))
        else:
            yield layer


def _check_names(model: keras.Model, layers: list[keras.layers.Layer]) -> None:
    names: set[str] = set()
    for layer in layers:
        if isinstance(layer, Quantize) or layer.weights:
            if layer.name in names:
                raise ValueError(
                    f'model: expected layers of different names in the models inside of '
                    f'{model.name!r}, got several called {layer.name!r}. Give the layers of the '
                    'float models names of their own before quantize_apply.'
                )
            names.add(layer.name)
