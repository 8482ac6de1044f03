"""The picture that `compare_methods.py` draws: accuracy over the size of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from compare_results import FLOAT, Row
from compare_subjects import Subject

from tf_n2uq.training.files import replace_file

matplotlib.use('Agg')

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

_MARKERS = dict(zip(range(2, 9), 'osD^vP*', strict=True))
_GREY = '#5b6b7a'
# Okabe and Ito's colours, which colour-blind readers tell apart, and two instead of the yellow.
_COLORS = (
    '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000', '#882255',
    '#999933',
)  # fmt: skip


def plot_accuracy(rows: Sequence[Row], subjects: Mapping[str, Subject], path: Path) -> None:
    """Draws a point for every method and bit-width, and the float network as a line.

    An adaptive network has the colour of its method, dashed lines and hollow points.

    Args:
        rows: The rows that `rows_of` made.
        subjects: The subjects of the comparison by name. Their order gives the colours.
        path: The PNG file, written under a temporary name first.
    """
    figure, axis = plt.subplots(figsize=(8.4, 4.8), layout='constrained')
    quantized = [row for row in rows if row.method != FLOAT]
    alone = [name for name, subject in subjects.items() if not subject.adaptive]
    handles = []
    for name, subject in subjects.items():
        own = [row for row in quantized if row.method == name]
        if own:
            color = _COLORS[alone.index(subject.alone) % len(_COLORS)]
            _draw_method(axis, own, color, subject.adaptive)
            dashes = '--' if subject.adaptive else '-'
            handles.append(Line2D([], [], color=color, ls=dashes, lw=2, label=subject.title))
    for row in rows:
        if row.method == FLOAT:
            accuracy = 100 * row.mean('tflite_accuracy')
            line = axis.axhline(accuracy, color=_GREY, ls='--', lw=1.2)
            line.set_label(f'float, {row.mean("file_bytes") / 1000:,.0f} kB')
            handles.append(line)
    for bits in sorted({row.bits for row in quantized if row.bits is not None}):
        handles.append(_marker(bits))
    axis.set_xlabel('TFLite file, kB')
    axis.set_ylabel('accuracy of the TFLite file on test images, %')
    axis.grid(color='#e4e9ee')
    axis.set_axisbelow(True)
    axis.margins(0.08)
    axis.set_title('Accuracy over size (mean and standard deviation over the seeds)', fontsize=11)
    figure.legend(handles=handles, loc='outside right upper', frameon=False)
    replace_file(str(path), lambda name: figure.savefig(name, dpi=130), suffix='.png')
    plt.close(figure)


def _draw_method(axis: plt.Axes, rows: Sequence[Row], color: str, adaptive: bool) -> None:
    sizes = [row.mean('file_bytes') / 1000 for row in rows]
    accuracies = [100 * row.mean('tflite_accuracy') for row in rows]
    axis.plot(sizes, accuracies, color=color, ls='--' if adaptive else '-', lw=1, alpha=0.5)
    for row, size, accuracy in zip(rows, sizes, accuracies, strict=True):
        deviation = row.deviation('tflite_accuracy')
        axis.errorbar(
            size,
            accuracy,
            yerr=None if deviation is None else 100 * deviation,
            color=color,
            marker=_MARKERS[row.bits or 8],
            markersize=7,
            markerfacecolor='white' if adaptive else color,
            markeredgecolor=color if adaptive else 'white',
            elinewidth=1.2,
            capsize=3,
        )


def _marker(bits: int) -> Line2D:
    return Line2D([], [], color=_GREY, ls='', marker=_MARKERS[bits], label=f'{bits} bits')
