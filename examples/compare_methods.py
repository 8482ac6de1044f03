"""Quantization methods side by side on your data: accuracy, size of the TFLite file, step time.

    python examples/compare_methods.py                            # scikit-learn's digits
    python examples/compare_methods.py --dataset fashion_mnist --methods n2uq,lsq --bits 2

For each seed one float network is trained. Every method at every bit-width starts from the weights
of that network, and sees the same batches for as many epochs. The same command goes on where an
interrupted one ended; with more methods, bits or seeds it adds their runs. docs/comparison.md tells
more.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging
from compare_data import load
from compare_plot import plot_accuracy
from compare_results import (
    FLOAT,
    RESULT,
    Result,
    Run,
    csv_text,
    markdown,
    read_results,
    rows_of,
    title_of,
)
from compare_subjects import SUBJECTS, TITLES
from compare_training import Settings, Trainer

import tf_n2uq
from tf_n2uq.training.files import replace_text, writable_folder

FLAGS = flags.FLAGS
flags.DEFINE_list(
    'methods',
    [method.name for method in tf_n2uq.methods()],
    f'Some of {", ".join(SUBJECTS)}, with commas.',
)
flags.DEFINE_list('bits', ['2', '3', '4'], 'Bit-widths, 2 to 8, with commas.')
flags.DEFINE_list('seeds', ['0', '1', '2'], 'Seeds of weights and order, with commas.')
flags.DEFINE_string(
    'dataset', 'digits', 'digits, fashion_mnist, mnist, idx, or tfds:NAME for a TFDS data set.'
)
flags.DEFINE_string('data_dir', None, 'Folder of the data set, where it needs one.')
flags.DEFINE_string('model', None, 'Network; by default resnet8 for digits, else resnet20.')
flags.DEFINE_float('width', None, 'Factor on its filters; by default 1 for digits, else 0.5.')
flags.DEFINE_integer(
    'epochs', None, 'Epochs at low bits; by default 60 for digits, else 12.', lower_bound=1
)
flags.DEFINE_integer(
    'float_epochs', None, 'Epochs in float; by default 40 for digits, else 5.', lower_bound=1
)
flags.DEFINE_integer('batch_size', None, 'By default 32 for digits, else 128.', lower_bound=1)
flags.DEFINE_float('learning_rate', 2.5e-3, 'Start of the linear decay, float and low bits.')
flags.DEFINE_float(
    'quantizer_rate', 0.1, 'Factor on it for what quantizers learn.', lower_bound=0.0
)
flags.DEFINE_bool('distill', True, "Learn from the float network's probabilities, not the labels.")
flags.DEFINE_integer(
    'train_examples', None, 'How many training images to use; by default all.', lower_bound=1
)
flags.DEFINE_string('out', 'runs/compare', 'Folder for runs, tables and the picture.')

_SETTINGS = 'settings.json'
_DIGITS = dict(
    model='resnet8', width=1.0, epochs=60, float_epochs=40, batch_size=32, augment='shift'
)
_LARGER = dict(model='resnet20', width=0.5, epochs=12, float_epochs=5, batch_size=128, augment=None)


def settings_from_flags() -> Settings:
    """Returns the settings: the defaults of the data set, replaced by the flags that were given.

    Raises:
        ValueError: The learning rate is not above zero.
    """
    if not FLAGS.learning_rate > 0:
        raise ValueError(
            f'--learning_rate: expected more than 0, got {FLAGS.learning_rate}. Give a number such '
            'as 2.5e-3.'
        )
    values = dict(_DIGITS if FLAGS.dataset == 'digits' else _LARGER)
    for field in dataclasses.fields(Settings):
        if field.name in FLAGS and FLAGS[field.name].value is not None:
            values[field.name] = FLAGS[field.name].value
    folder = None if FLAGS.data_dir is None else str(Path(FLAGS.data_dir).resolve())
    optional = {'train_examples': FLAGS.train_examples, 'quantizer_rate': FLAGS.quantizer_rate}
    return Settings(**{**values, **optional, 'data_dir': folder})


def numbers(flag: str, low: int, high: int) -> list[int]:
    """Returns the integers of a flag.

    Args:
        flag: The name of the flag.
        low: The smallest integer that is allowed.
        high: The largest integer that is allowed.

    Raises:
        ValueError: The flag has no value, has one twice, or has one that is not an integer in that
            range.
    """
    values = []
    for text in distinct(flag, FLAGS[flag].value):
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(
                f'--{flag}: expected integers of {low} to {high}, got {text!r}. Give integers in '
                'that range, with commas.'
            )
        values.append(value)
    return [int(value) for value in distinct(flag, values)]


def distinct(flag: str, values: Sequence[str | int]) -> Sequence[str | int]:
    """Returns the values of a flag.

    Args:
        flag: The name of the flag.
        values: The values that the flag was given.

    Raises:
        ValueError: The flag has no value, or has one twice.
    """
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated or not values:
        got = f'{", ".join(repeated)} more than once' if repeated else 'nothing'
        raise ValueError(
            f'--{flag}: expected values with commas, each once, got {got}. Give each value once.'
        )
    return values


def runs_from_flags() -> list[Run]:
    """Returns the runs, in an order that makes an interrupted comparison useful.

    Raises:
        ValueError: A method, bit-width or seed is not known, or is given twice.
    """
    methods = [str(method) for method in distinct('methods', FLAGS.methods)]
    for method in methods:
        if method not in SUBJECTS:
            raise ValueError(
                f'--methods: expected some of {", ".join(SUBJECTS)}, got {method!r}. Give some of '
                'these, with commas.'
            )
    all_bits = sorted(numbers('bits', 2, 8))
    widest_first = tuple(reversed(all_bits))
    runs = []
    for seed in numbers('seeds', 0, 2**31 - 1):
        runs.append(Run(seed, FLOAT))
        runs += [
            Run(seed, method, bits, widest_first if SUBJECTS[method].adaptive else ())
            for bits in all_bits
            for method in methods
        ]
    return runs


def check_together(runs: Sequence[Run], out: Path) -> None:
    """Checks that adaptive networks have the bit-widths that they were trained at.

    Args:
        runs: The runs that are asked for.
        out: The folder of the comparison.

    Raises:
        ValueError: The folder holds an adaptive network with other bit-widths.
    """
    for run in (run for run in runs if run.together):
        expected = run.training_folder(out)
        for folder in expected.parent.glob(f'{run.method}_*_together'):
            together = folder.name.removeprefix(f'{run.method}_').removesuffix('_together')
            # Another method may have a name that begins alike.
            if folder != expected and re.fullmatch(r'\d(_\d)*', together):
                raise ValueError(
                    f'--bits: expected {together.replace("_", ",")}, which {run.method} was '
                    f'trained at together in {str(out)!r}, got {FLAGS.bits}. Give those, leave '
                    f'{run.method} out, or give another folder.'
                )


def check_settings(out: Path, settings: Settings) -> None:
    """Records the settings of a comparison, or checks that they are those of the folder.

    Args:
        out: The folder of the comparison.
        settings: The settings that are asked for.

    Raises:
        ValueError: The folder holds something else, or a comparison with other settings.
    """
    path, given = out / _SETTINGS, dataclasses.asdict(settings)
    if not path.exists():
        if any(not entry.name.startswith('.') for entry in out.iterdir()):
            raise ValueError(
                f'--out: expected an empty folder or one of a comparison, got {str(out)!r} with '
                'other files in it. Give another folder.'
            )
        replace_text(str(path), json.dumps(given, indent=2) + '\n')
        return
    recorded = json.loads(path.read_text(encoding='utf-8'))
    names = [name for name in {**recorded, **given} if recorded.get(name) != given.get(name)]
    if names:
        differences = ', '.join(
            f'{name} was {recorded.get(name)!r} and is {given.get(name)!r}' for name in names
        )
        raise ValueError(
            f'--out: expected the settings of the comparison in {str(out)!r}, got others: '
            f'{differences}. Give those settings again, or another folder.'
        )


def report(out: Path) -> str:
    """Writes the tables and the picture of all finished runs of a folder; returns the table."""
    results = read_results(out)
    rows = rows_of(results, list(TITLES))
    table = markdown(rows, TITLES)
    replace_text(str(out / 'results.csv'), csv_text(results))
    replace_text(str(out / 'table.md'), table)
    plot_accuracy(rows, SUBJECTS, out / 'accuracy_over_size.png')
    return table


def time_left(left: Sequence[Run], done: Sequence[Result]) -> str:
    """Estimates from the finished runs how long the other runs take."""
    seconds = 0.0
    for is_float in (True, False):
        ahead = sum((run.bits is None) == is_float for run in left)
        known = [r.seconds for r in done if (r.bits is None) == is_float]
        if ahead and not known:
            return 'time left not known yet'
        seconds += ahead * statistics.fmean(known) if ahead else 0.0
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f'about {hours} h {minutes:02} min left' if hours else f'about {minutes} min left'


def prepare() -> tuple[Trainer, list[Run]]:
    """Checks flags and results folder, and loads the data.

    Raises:
        ImportError: The data set needs a package that is not installed.
        OSError: The folder cannot be written, or files of the data set are missing.
        ValueError: A flag is wrong, the data set is not known or is broken, or the folder holds
            something else.
    """
    runs, settings = runs_from_flags(), settings_from_flags()
    data = load(settings.dataset, settings.data_dir, settings.train_examples)
    out = Path(writable_folder(FLAGS.out, '--out'))
    trainer = Trainer(data, settings, out)
    check_settings(out, settings)
    check_together(runs, out)
    # A damaged result ends the program now and not after a training.
    read_results(out)
    return trainer, runs


def compare(trainer: Trainer, runs: Sequence[Run]) -> None:
    """Does the runs that are not finished, and writes a report after each."""
    out = trainer.out
    left = [run for run in runs if not (run.folder(out) / RESULT).exists()]
    print(f'{len(runs) - len(left)} of {len(runs)} runs are finished.', flush=True)
    while left:
        run = left[0]
        print(
            f'\n=== run {len(runs) - len(left) + 1} of {len(runs)}: seed {run.seed}, '
            f'{title_of(run.method, run.bits, TITLES)}; {time_left(left, read_results(out))}',
            flush=True,
        )
        result = trainer.run(run)
        print(
            f'Keras {result.keras_accuracy:.2%}, TFLite {result.tflite_accuracy:.2%}, '
            f'{result.file_bytes:,} bytes, {result.seconds:.0f} s'
        )
        left.pop(0)
        report(out)
    print(f'\n{report(out)}\nWritten to {out}{os.sep}: table.md, results.csv, picture and runs.')


def main(argv: list[str]) -> None:
    """Runs the comparison."""
    if len(argv) > 1:
        raise app.UsageError(f'unknown arguments: {" ".join(argv[1:])}')
    try:
        trainer, runs = prepare()
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(f'compare_methods: {error}') from error
    compare(trainer, runs)


if __name__ == '__main__':
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    logging.set_verbosity(logging.WARNING)
    app.run(main)
