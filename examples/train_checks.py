"""The checks of flags that `train_imagenet.py` makes before it works."""

from __future__ import annotations

import os
from pathlib import Path

from absl import flags
from train_config import TrainConfig, find_config, read_config

from tf_n2uq.training import files

BEST = 'best.keras'
FLAGS = flags.FLAGS

_CONFIG = 'config.yaml'


def configure() -> tuple[str, TrainConfig, Path]:
    """Returns the name of the configuration, the configuration, and the folder of the run.

    Raises:
        OSError: There is no such configuration.
        ValueError: The configuration is wrong, or is not that of the run that goes on.
    """
    recorded = Path(FLAGS.out, _CONFIG) if FLAGS.out is not None else None
    if FLAGS.config is None and recorded is not None and recorded.is_file():
        path, name = recorded, recorded.parent.name
    else:
        path = find_config(FLAGS.config or 'quickstart')
        name = path.stem
    config = read_config(path.read_text(encoding='utf-8'), FLAGS.set, str(path))
    out = Path(FLAGS.out if FLAGS.out is not None else os.path.join('runs', name))
    return name, config, out


def tflite_files(config: TrainConfig) -> dict[int | None, str]:
    """Returns the names of the exported files by bit-width; None stands for the only one."""
    if not isinstance(config.bits, tuple):
        return {None: 'model.tflite'}
    return {bits: f'best_{bits}bit.tflite' for bits in config.bits}


def check_teacher(config: TrainConfig) -> None:
    """Checks that there is something to learn from.

    Raises:
        ValueError: There is no target, or there is a teacher besides the labels.
    """
    if config.target == 'labels':
        if FLAGS.teacher_weights is not None:
            raise ValueError(
                '--teacher_weights: expected none, because this training learns labels, got '
                f'{FLAGS.teacher_weights!r}. Leave it out, or give --set target=teacher --set '
                'teacher=…'
            )
        return
    if FLAGS.teacher_weights is None and not config.teacher_epochs:
        raise ValueError(
            f'--teacher_weights: expected weights of {config.teacher}, whose probabilities are the '
            "target of this training, got none. Give torchvision's .pth file, or a .keras file; "
            'or have the teacher trained on labels first: --set teacher_epochs=90'
        )


def check_export(config: TrainConfig, out: Path) -> None:
    """Checks that there is a model, and that no file of the user is in its way.

    Raises:
        OSError: --out cannot be written.
        ValueError: --out has no model, --out has a .tflite file already, or a teacher is given.
    """
    if FLAGS.teacher_weights is not None:
        raise ValueError(
            '--teacher_weights: expected none with --evaluate or --export, which need no teacher, '
            f'got {FLAGS.teacher_weights!r}. Leave it out.'
        )
    if FLAGS.init_weights is None and not (out / BEST).is_file():
        raise ValueError(
            f'--out: expected the folder of a run with {BEST}, got {str(out)!r}. Give one, or '
            'give a model as --init_weights.'
        )
    there = [name for name in tflite_files(config).values() if (out / name).exists()]
    if FLAGS.export and there and not FLAGS.resume:
        raise ValueError(
            f'--out: expected a folder without {", ".join(there)}, got {str(out)!r}. Pass --resume '
            'to replace what is there, or give another folder.'
        )
    if FLAGS.export:
        files.writable_folder(out, '--out')
