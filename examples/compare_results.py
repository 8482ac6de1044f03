"""The results of `compare_methods.py`: their files, and the tables made of them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

FLOAT = 'float'
METRICS = 'metrics.jsonl'
RESULT = 'result.json'
_HEAD = (
    '',
    'seeds',
    'Keras',
    'TFLite',
    'behind the best',
    'agreement',
    'file, bytes',
    'kernels, bytes',
    'step, ms',
    'step, CPU ms',
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One training, or one bit-width of an adaptive network.

    Attributes:
        seed: The seed of start weights and order.
        method: The name of a subject in `compare_subjects.SUBJECTS`, or FLOAT.
        bits: The bit-width of kernels and inputs; None in float.
        together: All bit-widths of the adaptive network; () for a network of one bit-width.
    """

    seed: int
    method: str
    bits: int | None = None
    together: tuple[int, ...] = ()

    def folder(self, out: Path) -> Path:
        """Returns the folder of the file and the result."""
        name = FLOAT if self.bits is None else f'{self.method}_{self.bits}bit'
        return out / f'seed{self.seed}' / name

    def training_folder(self, out: Path) -> Path:
        """Returns the folder of the training, which all bit-widths of a network share."""
        if not self.together:
            return self.folder(out)
        return (
            out / f'seed{self.seed}' / f'{self.method}_{"_".join(map(str, self.together))}_together'
        )


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a run. Accuracies and agreement are shares of the test images.

    Attributes:
        seed: The seed of the run.
        method: The method of the run.
        bits: The bit-width of the run; None in float.
        keras_accuracy: The accuracy of the model of the best epoch.
        tflite_accuracy: The accuracy of the TFLite file of that model.
        agreement: The share of images for which model and file name the same class.
        file_bytes: The size of the TFLite file.
        kernel_bytes: The size of the kernels in the file.
        step_ms: The median wall time of a training step; None if too few steps were made.
        step_cpu_ms: The median processor time of a training step, all threads together.
        test_examples: The number of test images.
        seconds: The time that the run took, without the part that an interruption cut off.
    """

    seed: int
    method: str
    bits: int | None
    keras_accuracy: float
    tflite_accuracy: float
    agreement: float
    file_bytes: int
    kernel_bytes: int
    step_ms: float | None
    step_cpu_ms: float | None
    test_examples: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Row:
    """The results of one method at one bit-width, one for each seed."""

    method: str
    bits: int | None
    results: Sequence[Result]

    def values(self, name: str) -> list[float]:
        """Returns a figure of all seeds for which it is known."""
        return [value for r in self.results if (value := getattr(r, name)) is not None]

    def mean(self, name: str) -> float:
        """Returns the mean of a figure over the seeds."""
        return statistics.fmean(self.values(name))

    def deviation(self, name: str) -> float | None:
        """Returns the sample standard deviation of a figure over the seeds; None for one seed."""
        return _deviation(self.values(name))

    def points_behind(self, other: Row) -> list[float]:
        """Returns, for each seed of both rows, by how many points the file is behind the other."""
        theirs = {result.seed: result.tflite_accuracy for result in other.results}
        return [
            100 * (theirs[result.seed] - result.tflite_accuracy)
            for result in self.results
            if result.seed in theirs
        ]


def read_result(path: Path) -> Result:
    """Reads the result of a finished run.

    Args:
        path: The file of the result.

    Raises:
        ValueError: The file does not hold a result.
    """
    try:
        return Result(**json.loads(path.read_text(encoding='utf-8')))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: expected the result of a run, got something else ({error}). Remove the '
            'file to have it measured again.'
        ) from error


def read_results(out: Path) -> list[Result]:
    """Reads the results of all finished runs of a folder."""
    return [read_result(path) for path in sorted(out.glob(f'seed*/*/{RESULT}'))]


def rows_of(results: Sequence[Result], methods: Sequence[str]) -> list[Row]:
    """Puts the seeds together, in the order of bits and of `methods`; float comes first."""
    rows: dict[tuple[int, str], list[Result]] = {}
    for result in sorted(results, key=lambda result: result.seed):
        rows.setdefault((result.bits or 0, result.method), []).append(result)
    order = {method: place for place, method in enumerate(methods)}
    keys = sorted(rows, key=lambda key: (key[0], order.get(key[1], len(order)), key[1]))
    return [Row(method, bits or None, rows[bits, method]) for bits, method in keys]


def title_of(method: str, bits: int | None, titles: Mapping[str, str]) -> str:
    """Returns the title of a method at a bit-width, for tables and messages."""
    title = titles.get(method, method)
    return title if bits is None else f'{bits}-bit {title}'


def best_rows(rows: Sequence[Row]) -> dict[int | None, Row]:
    """Returns the best row of each bit-width: the most accurate of those with the most seeds."""
    best: dict[int | None, Row] = {}
    for row in rows:
        known = best.setdefault(row.bits, row)
        if _rank(row) > _rank(known):
            best[row.bits] = row
    return best


def _rank(row: Row) -> tuple[int, float]:
    return len(row.results), row.mean('tflite_accuracy')


def csv_text(results: Sequence[Result]) -> str:
    """Returns a table with a line for every run."""
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(Result)]
    writer = csv.DictWriter(text, names, lineterminator='\n')
    writer.writeheader()
    writer.writerows(
        dataclasses.asdict(result)
        for result in sorted(results, key=lambda r: (r.seed, r.bits or 0, r.method))
    )
    return text.getvalue()


def markdown(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Returns a table with a line for every method and bit-width, and an explanation."""
    best = best_rows(rows)
    cells = (_cells(row, best[row.bits], titles) for row in rows)
    lines = [_HEAD, ('---',) * len(_HEAD), *cells]
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    examples = rows[0].results[0].test_examples
    return (
        f'{table}\n\nMeans over the seeds, ± sample standard deviation; accuracy and agreement of '
        f'file and Keras model on {examples:,} test images.\nBehind the best: points between the '
        'files of a seed, which start from the same float network.\nSteps: medians. What else runs '
        'on the processors makes the wall time longer, and the processor time hardly.\n'
    )


def _cells(row: Row, best: Row, titles: Mapping[str, str]) -> tuple[str, ...]:
    return (
        title_of(row.method, row.bits, titles),
        str(len(row.results)),
        f'{_spread(row.values("keras_accuracy"), 100)} %',
        f'{_spread(row.values("tflite_accuracy"), 100)} %',
        '-' if row is best else _spread(row.points_behind(best)),
        f'{row.mean("agreement"):.2%}',
        f'{row.mean("file_bytes"):,.0f}',
        f'{row.mean("kernel_bytes"):,.0f}',
        _milliseconds(row, 'step_ms'),
        _milliseconds(row, 'step_cpu_ms'),
    )


def _milliseconds(row: Row, name: str) -> str:
    return f'{row.mean(name):.1f}' if row.values(name) else '-'


def _spread(values: Sequence[float], factor: float = 1.0) -> str:
    if not values:
        return '-'
    deviation = _deviation(values)
    spread = '-' if deviation is None else f'{factor * deviation:.2f}'
    return f'{factor * statistics.fmean(values):.2f} ± {spread}'


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
