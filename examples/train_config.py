"""What `train_imagenet.py` trains: one frozen, checked configuration, read from YAML."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tf_n2uq.training.distribution import PRECISIONS

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
IMAGENET = 'imagenet'

_AT_LEAST: Mapping[str, float] = {
    'bits': 2,
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
        model: network to quantize, see `tf_n2uq.models.build`.
        bits: of kernels and inputs of its quantized layers.
        teacher: float network that it learns from.
        quantize_downsample: whether the convolutions of the shortcuts are quantized too.
        width: factor on the filters of both networks.
        teacher_epochs: 0: the teacher's weights are given. Above: without them it is trained on
            labels first, for so many epochs.
        epochs: of distillation.
        steps_per_epoch: batches in an epoch; null: all that the data has.
        batch_size: images in a step, of all devices together.
        learning_rate: start of the linear decay at a batch of `learning_rate_batch_size`; it is
            scaled linearly with `batch_size`.
        learning_rate_batch_size: see `learning_rate`.
        threshold_rate: factor on the learning rate of thresholds and scales.
        weight_decay: decoupled, per step and learning rate.
        augment: random crops and mirror images (ImageNet), or random shifts (others).
        min_area: smallest random crop, as a fraction of the image.
        image_size: what the network sees, in pixels (ImageNet).
        resize_size: shorter side before the middle is taken, in validation (ImageNet).
        source: form of ImageNet's files: `folder`, `tfrecords`, `tfds`, or `auto`.
        label_offset: the first class's label in TFRecords; null: 1, as usual for ImageNet.
        classes: number of classes in TFRecords; null: 1000.
        calibration_images: training images that start values are measured on.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        sync_batch_norm: whether batch statistics are those of all devices together.
        monitor: metric that selects the best epoch.
        tflite_images: validation images that the exported file is compared on; 0: all.
        seed: of weights, order and augmentation.
    """

    dataset: str
    model: str
    bits: int
    teacher: str
    quantize_downsample: bool = True
    width: float = 1.0
    teacher_epochs: int = 0
    epochs: int = 128
    steps_per_epoch: int | None = None
    batch_size: int = 256
    learning_rate: float = 1.25e-3
    learning_rate_batch_size: int = 256
    threshold_rate: float = 0.1
    weight_decay: float = 0.0
    augment: bool = True
    min_area: float = 0.08
    image_size: int = 224
    resize_size: int = 256
    source: str = 'auto'
    label_offset: int | None = None
    classes: int | None = None
    calibration_images: int = 2048
    precision: str = 'float32'
    sync_batch_norm: bool = False
    monitor: str = 'val_accuracy'
    tflite_images: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: a value has the wrong type or is out of its range.
        """
        for name, expected in typing.get_type_hints(TrainConfig).items():
            _check_type(name, getattr(self, name), expected)
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f'{name}: expected at least {least:g}, got {value!r}.')
        for name in ('width', 'learning_rate', 'min_area'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name}: expected above 0, got {getattr(self, name)!r}.')
        if self.precision not in PRECISIONS:
            raise ValueError(
                f'precision: expected one of {", ".join(PRECISIONS)}, got {self.precision!r}.'
            )

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
        name: path of a YAML file, or the name of one in `configs/`.

    Raises:
        FileNotFoundError: there is no such file; the error names the nearest one in `configs/`.
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
        text: YAML, `key: value`.
        overrides: `key=value` each, the value as in YAML; the last one of a key wins.
        where: what the text is called, for errors.

    Raises:
        ValueError: the text is not YAML, a key is not known or missing, or a value is wrong.
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
        return TrainConfig(**{name: _as_float(name, value) for name, value in values.items()})
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error


def differences(one: TrainConfig, other: TrainConfig) -> list[str]:
    """Returns `key: value of one, value of other` for each key in which they differ."""
    pairs = zip(dataclasses.asdict(one).items(), dataclasses.asdict(other).values(), strict=True)
    return [f'{name}: {value!r}, {theirs!r}' for (name, value), theirs in pairs if value != theirs]


def check_resumed(config: TrainConfig, recorded: str | None) -> None:
    """Checks that a run goes on as it began.

    Args:
        config: what is asked for now.
        recorded: YAML of the run, None for a new one.

    Raises:
        ValueError: they differ.
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


def _as_float(name: str, value: Any) -> Any:
    """Reads `1e-3`, which YAML takes for a word since it has no dot."""
    if typing.get_type_hints(TrainConfig)[name] is not float or isinstance(value, bool):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _check_type(name: str, value: Any, expected: Any) -> None:
    options = typing.get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
    # A bool is an int to Python, and `true` is no number of epochs.
    if type(value) not in options:
        words = ' or '.join('null' if kind is type(None) else kind.__name__ for kind in options)
        raise ValueError(f'{name}: expected {words}, got {value!r} ({type(value).__name__}).')
