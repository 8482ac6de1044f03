"""Comparison of a model of tf_keras with the model of Keras 3 that it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.keras3.entry import TranslationError
from tf_n2uq.keras3.weight_store import array_of

# Of the largest output. Half precision rounds each number to 3 or 4 digits.
_TOLERANCES = {'float32': 1e-5, 'float64': 1e-5}
_HALF = 2e-2
# A deep network with random weights may blow up what is rounded in each of its layers.
_ROUNDINGS = 10
# For an axis of unknown size: the first at which all layers get at least one pixel.
_SIZES = (32, 96, 224)


class CannotRunError(RuntimeError):
    """Keras 3 does not run its own model here, as with the channels first on a CPU."""


def check_agreement(model: keras.Model, keras3_model: Any) -> None:
    """Checks that both models return the same for random inputs.

    Args:
        model: the model of tf_keras.
        keras3_model: its counterpart.

    Raises:
        TranslationError: if an output differs by more than 1e-5 of the largest one (2e-2 where
            layers compute in half precision), and by more than ten times what the network makes of
            one rounding of its inputs. The error names the first layer that differs.
        CannotRunError: if the backend of Keras 3 does not run the model on this machine.
    """
    inputs, expected = _random_inputs(model, keras3_model)
    worst = _difference(_outputs(model(inputs, training=False)), expected)
    tolerance = _tolerance(model)
    if worst > tolerance:
        tolerance = max(tolerance, _ROUNDINGS * _rounding(keras3_model, inputs, expected))
    if worst > tolerance:
        raise TranslationError(
            f'model: expected the outputs of {model.name!r} of Keras 3 within {tolerance} of the '
            f'largest one, got a difference of {worst:.2g}'
            f'{_culprit(model, keras3_model, inputs, tolerance)}; please report this, and build '
            'the layer with tf_keras, or pass verify=False if this difference does not matter.'
        )


def _rounding(keras3_model: Any, inputs: Any, expected: list[np.ndarray]) -> float:
    """Returns by how much the outputs change if each input moves by a unit of its last place."""

    def moved(array: np.ndarray) -> np.ndarray:
        is_floating = np.issubdtype(array.dtype, np.floating)
        return np.nextafter(array, np.inf, dtype=array.dtype) if is_floating else array

    nudged = keras3_model(tf.nest.map_structure(moved, inputs), training=False)
    return _difference(_outputs(nudged), expected)


def _tolerance(model: keras.Model) -> float:
    dtypes = {layer.compute_dtype for layer in model.layers if layer.weights}
    return max((_TOLERANCES.get(dtype, _HALF) for dtype in dtypes), default=1e-5)


def _random_inputs(model: keras.Model, keras3_model: Any) -> tuple[Any, list[np.ndarray]]:
    """Returns inputs in the nest that both models take, and what Keras 3 returns for them."""
    largest = _size_of_smallest_vocabulary(model)
    for size in _SIZES:
        generator = np.random.default_rng(0)

        def random(tensor: Any, size: int = size, generator: Any = generator) -> np.ndarray:
            shape = [size if each is None else each for each in tensor.shape]
            shape[0] = tensor.shape[0] or 2
            dtype = tf.as_dtype(tensor.dtype)
            if dtype.is_floating:
                return generator.normal(size=shape).astype(dtype.as_numpy_dtype)
            return generator.integers(0, 2 if dtype.is_bool else largest, shape).astype(
                dtype.as_numpy_dtype
            )

        inputs = tf.nest.map_structure(random, model.input)
        try:
            outputs = keras3_model(inputs, training=False)
        except Exception as error:  # whatever a backend raises, as for images that are too small
            if size == _SIZES[-1] or None not in _sizes_of(model):
                raise CannotRunError(str(error)) from error
        else:
            return inputs, _outputs(outputs)
    raise AssertionError('unreachable')


def _sizes_of(model: keras.Model) -> list[int | None]:
    """Returns the sizes of all axes of the inputs but the batch."""
    return [size for tensor in model.inputs for size in tensor.shape[1:]]


def _size_of_smallest_vocabulary(model: keras.Model) -> int:
    layers = [each for each in model.submodules if isinstance(each, keras.layers.Embedding)]
    return min((layer.input_dim for layer in layers), default=2)


def _outputs(outputs: Any) -> list[np.ndarray]:
    return [array_of(each) for each in tf.nest.flatten(outputs)]


def _difference(given: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns the largest difference of outputs, in parts of the largest value of each."""
    if [each.shape for each in given] != [each.shape for each in expected]:
        return np.inf
    return max((_of_one(a, b) for a, b in zip(given, expected, strict=True)), default=0.0)


def _of_one(given: np.ndarray, expected: np.ndarray) -> float:
    given, expected = given.astype(np.float64), expected.astype(np.float64)
    if not np.array_equal(np.isnan(given), np.isnan(expected)):
        return np.inf
    # What is infinite in both is equal.
    apart = np.abs(np.where(given == expected, 0.0, given - expected))
    largest = np.nanmax(np.abs(expected), initial=0.0)
    worst = float(np.nanmax(apart, initial=0.0))
    return worst / largest if largest else worst


def _culprit(model: keras.Model, keras3_model: Any, inputs: Any, tolerance: float) -> str:
    """Returns the end of the message, with the first layer whose output differs."""
    parts = getattr(keras3_model, 'operations', keras3_model.layers)
    own = {part.name: part for part in parts}
    try:
        for layer in model.layers:
            other = own.get(layer.name)
            if other is None or isinstance(layer, keras.layers.InputLayer):
                continue
            part = keras.Model(model.input, layer.output)
            other_part = _part(keras3_model, other)
            expected = _outputs(other_part(inputs, training=False))
            if _difference(_outputs(part(inputs, training=False)), expected) > tolerance:
                return f', which begins in layer {layer.name!r} ({type(other).__name__})'
    except (AttributeError, RuntimeError, ValueError):
        pass  # a layer with several calls, or another order of axes
    return ''


def _part(keras3_model: Any, layer: Any) -> Any:
    import keras as keras3

    # A Sequential model has no `input` before its first symbolic call.
    is_chain = isinstance(keras3_model, keras3.Sequential)
    inputs = keras3_model.inputs if is_chain else keras3_model.input
    return keras3.Model(inputs, layer.output)
