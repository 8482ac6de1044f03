"""The configuration of `train_imagenet.py`: frozen, checked, and read from YAML."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import tf_n2uq
from tf_n2uq.ops.unit_levels import KERNEL_LEVELS
from tf_n2uq.training.distribution import PRECISIONS

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
IMAGENET = 'imagenet'

# The keys that are arguments of the methods' schemes; null leaves an argument at its default.
METHOD_OPTIONS = ('levels', 'rescale')
_CHOICES: Mapping[str, Sequence[str]] = {
    'method': [method.name for method in tf_n2uq.methods()],
    'levels': KERNEL_LEVELS,
    'rescale': ('stddev', 'constant'),
    'target': ('teacher', 'labels'),
    'optimizer': ('adam', 'sgd'),
    'schedule': ('linear', 'cosine', 'steps'),
    'precision': PRECISIONS,
}
_AT_LEAST: Mapping[str, float] = {
    'momentum': 0,
    'batch_size': 1,
    'learning_rate_batch_size': 1,
    'epochs': 1,
    'steps_per_epoch': 1,
    'teacher_epochs': 0,
    'threshold_rate': 0,
    'weight_decay': 0,
    'image_size': 1,
    'resize_size': 1,
    'label_offset': 0,
    'classes': 2,
    'calibration_images': 1,
    'tflite_images': 0,
    'seed': 0,
}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One training, from data to file. The defaults are N2UQ's published recipe.

    Attributes:
        dataset: `imagenet`, or a name that `tf_n2uq.data.load` knows, such as `digits`.
        model: The network to quantize, see `tf_n2uq.models.build`.
        bits: The bit-width of kernels and inputs of quantized layers. Several, from the highest to
            the lowest, make one adaptive network, see `tf_n2uq.AdaBitsScheme`.
        teacher: The float network that the quantized one learns from; null for labels.
        quantize_downsample: Whether the convolutions of the shortcuts are quantized too.
        method: The method that quantizes, a name that `tf_n2uq.methods()` lists. All but `n2uq`
            with one bit-width have 8 bits in the layers and tensors that N2UQ's networks leave in
            float.
        levels: The levels of the kernels of `sat`: `modified`, `centered_symmetric` (better at 2
            and 3 bits) or `original`; null: `modified`.
        rescale: The rescaling of the kernels of `sat`: `stddev` for a trained network, `constant`
            for training from scratch; null: `stddev`.
        target: `teacher` for the teacher's probabilities, `labels` for the labels, without a
            teacher.
        width: The factor on the filters of both networks.
        teacher_epochs: The number of epochs that a teacher without given weights is trained for,
            on labels; 0 requires given weights.
        epochs: The number of epochs of the quantized network.
        steps_per_epoch: The number of batches in an epoch; null: all that the data has.
        batch_size: The number of images in a step, of all devices together.
        optimizer: `adam`, or `sgd` with Nesterov momentum.
        momentum: The momentum of `sgd`.
        schedule: The schedule of the learning rate: `linear` or `cosine`, to zero in small steps,
            or `steps`.
        steps_at: The epochs after which `steps` goes on at a tenth.
        learning_rate: The learning rate of the first step at a batch of
            `learning_rate_batch_size`; it is scaled linearly with `batch_size`.
        learning_rate_batch_size: See `learning_rate`.
        threshold_rate: The factor on the learning rate of the variables of quantizers.
        weight_decay: The weight decay. That of `adam` is decoupled, per step and learning rate;
            that of `sgd` is an L2 penalty, see `tf_n2uq.training.L2SGD`.
        decay_depthwise: Whether the kernels of depthwise convolutions decay.
        decay_normalization: Whether scale and offset of batch normalizations, and biases, decay.
        decay_quantizers: Whether the variables of quantizers decay, such as clipping values.
        augment: Whether training images are augmented: by random crops and mirror images
            (ImageNet), or by random shifts (others).
        mirror: Whether images of others than ImageNet are mirrored half of the time.
        input_integers: Whether images of ImageNet are whole levels k/255 instead of normalized, so
            that the network's 8-bit input has each level exactly. Others are never normalized.
        min_area: The smallest random crop, as a fraction of the image.
        image_size: The size of the network's input, in pixels (ImageNet).
        resize_size: The shorter side before the middle is taken, in validation (ImageNet).
        source: The form of ImageNet's files: `folder`, `tfrecords`, `tfds`, or `auto`.
        label_offset: The label of the first class in TFRecords; null: 1, as usual for ImageNet.
        classes: The number of classes in TFRecords; null: 1000.
        calibration_images: The number of training images that start values are measured on.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        sync_batch_norm: Whether batch statistics are those of all devices together.
        monitor: The metric that selects the best epoch; null: `val_accuracy`, or for an adaptive
            network `val_loss`, the sum of all bit-widths. `val_accuracy_4bit` selects by one
            bit-width.
        tflite_images: The number of validation images that the exported file is compared on; 0:
            all.
        seed: The seed of weights, order and augmentation.
    """

    dataset: str
    model: str
    bits: int | tuple[int, ...]
    teacher: str | None = None
    quantize_downsample: bool = True
    method: str = 'n2uq'
    levels: str | None = None
    rescale: str | None = None
    target: str = 'teacher'
    width: float = 1.0
    teacher_epochs: int = 0
    epochs: int = 128
    steps_per_epoch: int | None = None
    batch_size: int = 256
    optimizer: str = 'adam'
    momentum: float = 0.9
    schedule: str = 'linear'
    steps_at: tuple[int, ...] = ()
    learning_rate: float = 1.25e-3
    learning_rate_batch_size: int = 256
    threshold_rate: float = 0.1
    weight_decay: float = 0.0
    decay_depthwise: bool = True
    decay_normalization: bool = True
    decay_quantizers: bool = True
    augment: bool = True
    mirror: bool = False
    input_integers: bool = False
    min_area: float = 0.08
    image_size: int = 224
    resize_size: int = 256
    source: str = 'auto'
    label_offset: int | None = None
    classes: int | None = None
    calibration_images: int = 2048
    precision: str = 'float32'
    sync_batch_norm: bool = False
    monitor: str | None = None
    tflite_images: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: A value has the wrong type or is out of its range.
        """
        for name, expected in typing.get_type_hints(TrainConfig).items():
            _check_type(name, getattr(self, name), expected)
        if self.monitor is None:
            # A recorded configuration says what was monitored.
            object.__setattr__(self, 'monitor', 'val_loss' if self.is_adaptive else 'val_accuracy')
        _check_ranges(self)
        _check_bits(self.bits)
        _check_choices(self)

    @property
    def is_adaptive(self) -> bool:
        """Whether the network runs at several bit-widths."""
        return isinstance(self.bits, tuple)

    @property
    def method_options(self) -> dict[str, Any]:
        """The arguments that the method's scheme gets beside those of every scheme."""
        given = {name: getattr(self, name) for name in METHOD_OPTIONS}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def bits_in_words(self) -> str:
        """The bit-widths, such as `8, 6 and 4 bits`."""
        *first, last = [self.bits] if isinstance(self.bits, int) else self.bits
        return f'{", ".join(map(str, first))} and {last} bits' if first else f'{last} bits'

    @property
    def scaled_learning_rate(self) -> float:
        """The learning rate of the first step."""
        return self.learning_rate * self.batch_size / self.learning_rate_batch_size

    def to_yaml(self) -> str:
        """Writes all values, so that reading them again gives an equal configuration."""
        return yaml.safe_dump(dataclasses.asdict(self), sort_keys=False)


def find_config(name: str) -> Path:
    """Returns the file of a configuration.

    Args:
        name: The path of a YAML file, or the name of one in `configs/`.

    Raises:
        FileNotFoundError: There is no such file; the error names the nearest one in `configs/`.
    """
    for path in (Path(name), CONFIGS / f'{name}.yaml'):
        if path.is_file():
            return path
    known = sorted(path.stem for path in CONFIGS.glob('*.yaml'))
    raise FileNotFoundError(
        f'--config: expected a YAML file or one of {", ".join(known)}; got {name!r}.'
        f'{_nearest(name, known)}'
    )


def read_config(text: str, overrides: Sequence[str] = (), where: str = '--config') -> TrainConfig:
    """Reads a configuration.

    Args:
        text: The configuration in YAML, `key: value`.
        overrides: Replaced values, `key=value` each, the value as in YAML; the last of a key wins.
        where: The name of the text, for errors.

    Raises:
        ValueError: The text is not YAML, a key is not known or is missing, or a value is wrong.
    """
    values = _parse(text, where)
    if not isinstance(values, dict):
        raise ValueError(f'{where}: expected lines of `key: value`, got {text[:60]!r}.')
    _check_keys(values, where)
    for override in overrides:
        key, equals, value = override.partition('=')
        if not equals:
            raise ValueError(f'--set: expected key=value, got {override!r}.')
        _check_keys([key.strip()], '--set')
        values[key.strip()] = _parse(value, f'--set {override}')
    fields = dataclasses.fields(TrainConfig)
    required = [field.name for field in fields if field.default is dataclasses.MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise ValueError(f'{where}: expected the keys {", ".join(missing)}, which are missing.')
    try:
        return TrainConfig(**{name: _as_typed(name, value) for name, value in values.items()})
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error


def differences(one: TrainConfig, other: TrainConfig) -> list[str]:
    """Returns `key: value, other value` for each key in which two configurations differ."""
    pairs = zip(dataclasses.asdict(one).items(), dataclasses.asdict(other).values(), strict=True)
    return [f'{name}: {value!r}, {theirs!r}' for (name, value), theirs in pairs if value != theirs]


def check_resumed(config: TrainConfig, recorded: str | None) -> None:
    """Checks that a run goes on as it began.

    Args:
        config: The configuration that is asked for now.
        recorded: The configuration of the run in YAML, None for a new run.

    Raises:
        ValueError: The two differ.
    """
    if recorded is None:
        return
    changed = differences(read_config(recorded, where='config.yaml'), config)
    if changed:
        raise ValueError(
            '--resume: expected the configuration of the run, got other values (config.yaml, now): '
            f'{"; ".join(changed)}. Leave out --config and --set, or start a new run with '
            '--init_weights and another --out.'
        )


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f'{where}: expected YAML without tags, got {text[:60]!r}: {error}'
        ) from error


def _check_keys(keys: Any, where: str) -> None:
    known = [field.name for field in dataclasses.fields(TrainConfig)]
    for key in keys:
        if key not in known:
            raise ValueError(
                f'{where}: expected a known key, got {key!r}.{_nearest(str(key), known)} '
                f'Known: {", ".join(known)}.'
            )


def _nearest(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f' Did you mean {found[0]!r}?' if found else ''


def _as_typed(name: str, value: Any) -> Any:
    """Reads lists, and `1e-3`, which YAML takes for a word because it has no dot."""
    if isinstance(value, list):
        return tuple(value)
    if typing.get_type_hints(TrainConfig)[name] is not float or isinstance(value, bool):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _check_type(name: str, value: Any, expected: Any) -> None:
    options = typing.get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
    if any(_is_of(value, option) for option in options):
        return
    words = ' or '.join(_words(option) for option in options)
    got = list(value) if isinstance(value, tuple) else value
    raise ValueError(f'{name}: expected {words}, got {got!r} ({type(got).__name__}).')


def _is_of(value: Any, kind: Any) -> bool:
    # A bool is an int to Python, and `true` is no number of epochs.
    if typing.get_origin(kind) is tuple:
        return type(value) is tuple and all(type(each) is int for each in value)
    return type(value) is kind


def _words(kind: Any) -> str:
    if kind is type(None):
        return 'null'
    return 'a list of int' if typing.get_origin(kind) is tuple else kind.__name__


def _check_ranges(config: TrainConfig) -> None:
    for name, least in _AT_LEAST.items():
        value = getattr(config, name)
        if value is not None and value < least:
            raise ValueError(f'{name}: expected at least {least:g}, got {value!r}.')
    for name in ('width', 'learning_rate', 'min_area'):
        if not getattr(config, name) > 0:
            raise ValueError(f'{name}: expected above 0, got {getattr(config, name)!r}.')


def _check_bits(bits: int | tuple[int, ...]) -> None:
    widths = bits if isinstance(bits, tuple) else (bits,)
    for each in widths:
        if each < 2:
            raise ValueError(f'bits: expected at least 2, got {each}.')
    if not widths or list(widths) != sorted(set(widths), reverse=True):
        raise ValueError(
            'bits: expected a number, or a list from the highest to the lowest such as '
            f'[8, 6, 5, 4], got {list(widths)}.'
        )


def _check_method_options(config: TrainConfig) -> None:
    for name in METHOD_OPTIONS:
        value = getattr(config, name)
        if value is not None and name not in tf_n2uq.method(config.method).options:
            able = [method.name for method in tf_n2uq.methods() if name in method.options]
            raise ValueError(
                f'{name}: expected null with the method {config.method!r}, which has no such '
                f'option, got {value!r}. Leave it out, or give method: {" or ".join(able)}'
            )


def _check_choices(config: TrainConfig) -> None:
    for name, known in _CHOICES.items():
        value = getattr(config, name)
        if value not in known and not (name in METHOD_OPTIONS and value is None):
            raise ValueError(f'{name}: expected one of {", ".join(known)}, got {value!r}.')
    _check_method_options(config)
    if config.target == 'teacher' and config.teacher is None:
        raise ValueError(
            'teacher: expected the network whose probabilities are the target, got null. Name one, '
            'or give target: labels'
        )
    if config.target == 'labels' and (config.teacher is not None or config.teacher_epochs):
        raise ValueError(
            'target: expected teacher, as there is a teacher or teacher_epochs, got labels. Leave '
            'these out, or give target: teacher'
        )
    if config.mirror and not config.augment:
        raise ValueError('mirror: expected false without augment, got true. Give augment: true')
    steps_at = config.steps_at
    if (config.schedule == 'steps') != bool(steps_at) or list(steps_at) != sorted(
        epoch for epoch in set(steps_at) if epoch > 0
    ):
        raise ValueError(
            'steps_at: expected rising numbers of epochs with the schedule steps, and none with '
            f'another, got {list(steps_at)} with {config.schedule}. Give such as '
            'schedule: steps and steps_at: [100, 150]'
        )
