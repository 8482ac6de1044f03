"""The networks of `train_imagenet.py`: built, filled with weights, and put on devices."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf
import tf_keras as keras
from train_config import TrainConfig

import tf_n2uq
from tf_n2uq.training import distribution

_PYTORCH = ('.pth', '.pth.tar', '.pt')
_KERAS = ('.keras', '.h5')


class Networks:
    """Builds the networks of a configuration.

    What is loaded, calibrated and exported is a float32 network on one device. What is trained is
    its copy, in the precision and on the devices of the training.
    """

    def __init__(
        self,
        config: TrainConfig,
        input_shape: tuple[int, int, int],
        classes: int,
        strategy: tf.distribute.Strategy,
    ) -> None:
        self._config = config
        self._input_shape = input_shape
        self._classes = classes
        self._strategy = strategy

    def student(self) -> keras.Model:
        """Builds the quantized network in float32."""
        with distribution.precision('float32'):
            return self._build(self._config.model, self._config.bits)

    def teacher(self) -> keras.Model:
        """Builds the teacher in float32."""
        with distribution.precision('float32'):
            return self._build(self._config.teacher, None)

    def student_to_train(self, student: keras.Model) -> keras.Model:
        """Returns a copy of the student to train."""
        return self._copy(student, self._config.model, self._config.bits, trains=True)

    def teacher_to_train(self, teacher: keras.Model, trains: bool) -> keras.Model:
        """Returns a copy of the teacher to train, or to learn from."""
        return self._copy(teacher, self._config.teacher, None, trains)

    def _build(self, name: str, bits: int | None) -> keras.Model:
        return tf_n2uq.models.build(
            name,
            bits=bits,
            quantize_downsample=self._config.quantize_downsample,
            input_shape=self._input_shape,
            classes=self._classes,
            width=self._config.width,
        )

    def _copy(self, model: keras.Model, name: str, bits: int | None, trains: bool) -> keras.Model:
        with distribution.precision(self._config.precision):
            template = self._build(name, bits)
            template.set_weights(model.get_weights())
            synchronized = trains and self._config.sync_batch_norm
            return distribution.replicate(template, self._strategy, synchronized)


def load_weights(model: keras.Model, path: str, flag: str) -> bool:
    """Loads a weights file into a network.

    Args:
        model: one of `Networks`, in float32.
        path: `.pth`, `.pth.tar` or `.pt` with a published state dict, of N2UQ or torchvision;
            `.keras` or `.h5` with the same network, or the float network of a quantized `model`.
        flag: which flag named the file, for errors.

    Returns:
        Whether the quantizers got values too; if not, they have to be calibrated.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: PyTorch is needed and not installed.
        ValueError: the file has another ending, is damaged, or holds another network.
    """
    check_weights(path, flag)
    if path.endswith(_PYTORCH):
        report = tf_n2uq.checkpoints.load_pytorch(model, path)
        print(f'{flag}: {path}: {report}')
        return not report.uncalibrated
    return copy_weights(load_keras(path, flag), model, flag)


def check_weights(path: str, flag: str) -> None:
    """Checks that there is a file that `load_weights` reads.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another ending.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{flag}: expected a file with weights, got {path!r}: no such file.'
        )
    if not path.endswith(_PYTORCH + _KERAS) or path.endswith('.weights.h5'):
        raise ValueError(
            f'{flag}: expected a file {", ".join(_PYTORCH + _KERAS)} with a whole network, got '
            f'{path!r}.'
        )


def load_keras(path: str | Path, flag: str) -> keras.Model:
    """Loads a `.keras` or `.h5` file.

    Raises:
        ValueError: it is damaged or no such file.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f'{flag}: expected a model that tf_keras saved, got {str(path)!r}, which cannot be '
            f'read: {error}'
        ) from error


def copy_weights(source: keras.Model, target: keras.Model, flag: str) -> bool:
    """Copies weights between networks with layers of the same names.

    Args:
        source: quantized or float.
        target: the same network; quantized if `source` is.
        flag: as for `load_weights`.

    Returns:
        Whether the quantizers of `target` got values.

    Raises:
        ValueError: `target` has a layer that `source` has not, or of another shape.
    """
    quantizers = (tf_n2uq.layers.Quantize,)
    has_quantizers = any(isinstance(layer, quantizers) for layer in source.layers)
    theirs = {_float_layer(layer).name: layer for layer in source.layers}
    for layer in target.layers:
        if isinstance(layer, quantizers) and not has_quantizers:
            continue
        given = theirs.get(_float_layer(layer).name)
        part = layer if has_quantizers else _float_layer(layer)
        expected = [tuple(weight.shape) for weight in part.weights]
        got = None if given is None else [tuple(weight.shape) for weight in given.weights]
        if expected and got != expected:
            raise ValueError(
                f'{flag}: expected the network {target.name!r}, whose layer {layer.name!r} has '
                f'weights of the shapes {expected}, got {"no such layer" if got is None else got}.'
            )
        if given is not None and expected:
            part.set_weights(given.get_weights())
    return has_quantizers


def _float_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer that a quantized layer wraps; any other as it is."""
    return layer.layer if isinstance(layer, tf_n2uq.layers.QuantizedKernel) else layer
