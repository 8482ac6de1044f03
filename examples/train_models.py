"""The networks of `train_imagenet.py`, with their weights and devices."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from train_config import TrainConfig

import tf_n2uq
from tf_n2uq.tflite.loading import load_model
from tf_n2uq.training import distribution

_PYTORCH = ('.pth', '.pth.tar', '.pt')
_KERAS = ('.keras', '.h5')
_QUANTIZER = tf_n2uq.layers.Quantize
_ADVICE = "Give a file of that network, or the --config and --set of the file's network."


class Networks:
    """Builds the networks of a configuration.

    A network that is loaded, calibrated and exported is in float32 and on one device. Training has
    a copy of that network, in the precision and on the devices of the training.
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
            return self._student()

    def float_student(self) -> keras.Model:
        """Builds the network before it is quantized, in float32."""
        with distribution.precision('float32'):
            return self._build(self._config.model, None)

    def teacher(self) -> keras.Model:
        """Builds the teacher in float32; the configuration must have one."""
        with distribution.precision('float32'):
            return self._teacher()

    def start_from_float(self, student: keras.Model, source: keras.Model, flag: str) -> None:
        """Gives the student the weights of a float network.

        Args:
            student: The network that `student` built.
            source: The same network before quantization.
            flag: The flag that `source` is from, for errors.

        Raises:
            ValueError: `source` is another network.
        """
        if self._is_published:
            copy_weights(source, student, flag)
            return
        network = self.float_student()
        copy_weights(source, network, flag)
        # Other schemes change the normalizations of a network according to its weights.
        with distribution.precision('float32'):
            student.set_weights(self._quantize(network).get_weights())

    def load_student(self, student: keras.Model, path: str, flag: str) -> bool:
        """Loads a weights file into the student.

        Args:
            student: The network that `student` built.
            path: The file, as for `load_weights`. A quantized network in it must be the same.
            flag: The flag that named the file, for errors.

        Returns:
            Whether the quantizers got values too.

        Raises:
            ImportError: As for `load_weights`.
            OSError: As for `load_weights`.
            ValueError: As for `load_weights`.
        """
        if self._is_published:
            return load_weights(student, path, flag)
        check_weights(path, flag)
        if path.endswith(_PYTORCH):
            source = self.float_student()
            _load_pytorch(source, path, flag)
        else:
            source = load_model(path, flag)
        if _is_quantized(source):
            return copy_weights(source, student, flag)
        self.start_from_float(student, source, flag)
        return False

    def student_to_train(self, student: keras.Model) -> keras.Model:
        """Returns a copy of the student to train."""
        return self._copy(student, self._student, trains=True)

    def teacher_to_train(self, teacher: keras.Model, trains: bool) -> keras.Model:
        """Returns a copy of the teacher to train, or to learn from."""
        return self._copy(teacher, self._teacher, trains)

    @property
    def _is_published(self) -> bool:
        """Whether `models.build` quantizes the network, as the authors of N2UQ do."""
        return self._config.method == 'n2uq' and not self._config.is_adaptive

    def _student(self) -> keras.Model:
        if self._is_published:
            assert isinstance(self._config.bits, int)
            return self._build(self._config.model, self._config.bits)
        return self._quantize(self._build(self._config.model, None))

    def _teacher(self) -> keras.Model:
        assert self._config.teacher is not None
        return self._build(self._config.teacher, None)

    def _quantize(self, network: keras.Model) -> keras.Model:
        annotated = tfmot.quantization.keras.quantize_annotate_model(network)
        return tfmot.quantization.keras.quantize_apply(annotated, scheme=self._scheme())

    def _scheme(self) -> tfmot.quantization.keras.QuantizeScheme:
        config = self._config
        layers = {} if config.quantize_downsample else {r'.*_downsample': None}
        if isinstance(config.bits, tuple):
            return tf_n2uq.AdaBitsScheme(
                config.bits, config.method, layers=layers, **config.method_options
            )
        scheme = tf_n2uq.method(config.method).scheme
        return scheme(config.bits, layers=layers, **config.method_options)

    def _build(self, name: str, bits: int | None) -> keras.Model:
        return tf_n2uq.models.build(
            name,
            bits=bits,
            quantize_downsample=self._config.quantize_downsample,
            input_shape=self._input_shape,
            classes=self._classes,
            width=self._config.width,
        )

    def _copy(
        self, model: keras.Model, build: Callable[[], keras.Model], trains: bool
    ) -> keras.Model:
        precision = self._config.precision
        with distribution.precision(precision):
            # A copy of a model keeps its precision, so that a new model is built for another one.
            if precision != 'float32':
                weights = model.get_weights()
                model = build()
                model.set_weights(weights)
            synchronized = trains and self._config.sync_batch_norm
            return distribution.replicate(model, self._strategy, synchronized)


def load_weights(model: keras.Model, path: str, flag: str) -> bool:
    """Loads a weights file into a network.

    Args:
        model: A network that `Networks` built, in float32.
        path: The file: `.pth`, `.pth.tar` or `.pt` with a published state dict of N2UQ or
            torchvision; `.keras` or `.h5` with the same network, or with the float network of a
            quantized `model`.
        flag: The flag that named the file, for errors.

    Returns:
        Whether the quantizers got values too; if not, they have to be calibrated.

    Raises:
        ImportError: PyTorch is needed and is not installed.
        OSError: There is no such file, or it may not be read.
        ValueError: The file has another ending, is damaged, or holds another network.
    """
    check_weights(path, flag)
    if path.endswith(_PYTORCH):
        return _load_pytorch(model, path, flag)
    return copy_weights(load_model(path, flag), model, flag)


def check_weights(path: str, flag: str) -> None:
    """Checks that there is a file that `load_weights` reads.

    Args:
        path: The path of the file.
        flag: The flag that named the file, for errors.

    Raises:
        OSError: There is no such file, or it may not be read.
        ValueError: The file has another ending.
    """
    if not path.endswith(_PYTORCH + _KERAS) or path.endswith('.weights.h5'):
        raise ValueError(
            f'{flag}: expected a file {", ".join(_PYTORCH + _KERAS)} with a whole network, got '
            f'{path!r}. Give one of these; a .weights.h5 file holds no network.'
        )
    try:
        with open(path, 'rb'):
            pass
    except OSError as error:
        raise type(error)(
            f'{flag}: expected a file with weights, got {path!r}: {error.strerror}. Give the path '
            'of one that is there and may be read.'
        ) from error


def copy_weights(source: keras.Model, target: keras.Model, flag: str) -> bool:
    """Copies weights between networks with layers of the same names.

    Args:
        source: A quantized or float network.
        target: The same network, quantized if `source` is. After an error it is unchanged.
        flag: As for `load_weights`.

    Returns:
        Whether the quantizers of `target` got values.

    Raises:
        ValueError: The networks have different layers, or layers of different shapes; the error
            lists all of them.
    """
    is_quantized = _is_quantized(source)
    theirs = {layer.name: layer for layer in source.layers if layer.weights}
    # The range behind the last layer has the name that this layer has in the float network.
    own = target.layers if is_quantized else _float_layers(target)
    ours = {layer.name: layer for layer in own if layer.weights}
    problems = [
        f'  {name}: expected {_shapes(ours.get(name))}, got {_shapes(theirs.get(name))}'
        for name in {**ours, **theirs}
        if _shapes(ours.get(name)) != _shapes(theirs.get(name))
    ]
    if problems:
        raise ValueError(
            f'{flag}: {_expectation(target)}, got a model {source.name!r} with other layers or '
            f'shapes. {_ADVICE} {len(problems)} layers differ:\n' + '\n'.join(problems)
        )
    for name, layer in ours.items():
        layer.set_weights(theirs[name].get_weights())
    return is_quantized


def _float_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers that a network has without its quantizers."""
    return [_float_layer(layer) for layer in model.layers if not isinstance(layer, _QUANTIZER)]


def _load_pytorch(model: keras.Model, path: str, flag: str) -> bool:
    try:
        report = tf_n2uq.checkpoints.load_pytorch(model, path, strict=False)
    except (ImportError, ValueError) as error:
        raise type(error)(f'{flag}: {str(error).removeprefix("path: ")}') from error
    if problems := report.problems():
        raise ValueError(
            f'{flag}: {_expectation(model)}, got {path!r}, which is of another one. {_ADVICE} Of '
            'the entries\n' + '\n'.join(problems)
        )
    print(f'{flag}: {path}: {report}')
    return not report.uncalibrated


def _expectation(model: keras.Model) -> str:
    kind = 'quantized or float' if _is_quantized(model) else 'float'
    return (
        f'expected {kind} weights of {model.name!r} as the configuration builds it for '
        f'{model.output_shape[-1]} classes'
    )


def _is_quantized(model: keras.Model) -> bool:
    return any(isinstance(layer, _QUANTIZER) for layer in model.layers)


def _shapes(layer: keras.layers.Layer | None) -> str:
    if layer is None:
        return 'no such layer'
    return ', '.join(str([*weight.shape]) for weight in layer.weights)


def _float_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the layer that a quantized layer wraps, and any other layer as it is."""
    return layer.layer if isinstance(layer, tf_n2uq.layers.QuantizedKernel) else layer
