"""The picture of the thresholds that the quantizers of a network have learned."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import numpy as np
import tf_keras as keras

from tf_n2uq.training.occupancy import QuantizerProbe, thresholds

matplotlib.use('Agg')

import matplotlib.pyplot as plt

_COLUMNS = 3
_BINS = 60
_BARS, _STAIRS = '#b9c6d3', '#b3261e'


def plot_thresholds(model: keras.Model, images: np.ndarray, path: Path) -> None:
    """Draws, for each quantizer, the learned staircase over the histogram of its input.

    Args:
        model: A model that is quantized with learnable thresholds.
        images: A batch of inputs of the model.
        path: The PNG file, which is written under a temporary name first.

    Raises:
        ValueError: The model has no learnable thresholds.
    """
    probe = QuantizerProbe(model)
    readings = probe.read(images)
    rows = math.ceil(len(probe.layers) / _COLUMNS)
    figure, axes = plt.subplots(
        rows, _COLUMNS, figsize=(4.4 * _COLUMNS, 2.9 * rows), squeeze=False, layout='constrained'
    )
    for axis, layer in zip(axes.flat, probe.layers, strict=False):
        values, occupancy = readings[layer.name]
        _draw(axis, values.ravel(), thresholds(layer), occupancy)
        axis.set_title(layer.name.removesuffix('_thresholds'), fontsize=10)
    for axis in axes.flat[len(probe.layers) :]:
        axis.remove()
    bits = int(math.log2(len(next(iter(readings.values()))[1])))
    figure.suptitle(
        f'What enters each quantized layer (bars), and the {bits}-bit level that it becomes '
        '(red; percentages: how many values have that level)'
    )
    figure.supxlabel('value that enters the layer')
    temporary = path.with_name(f'tmp-{path.name}')
    figure.savefig(temporary, dpi=110)
    plt.close(figure)
    temporary.replace(path)


def _draw(axis: plt.Axes, values: np.ndarray, steps: np.ndarray, occupancy: np.ndarray) -> None:
    low, high = _visible_range(values, steps)
    axis.hist(values, bins=_BINS, range=(low, high), color=_BARS, log=True)
    axis.set_xlim(low, high)
    axis.set_ylabel('values (log scale)', color='#5b6b7a', fontsize=8)
    axis.tick_params(labelsize=8)
    stairs = axis.twinx()
    levels = np.arange(len(occupancy))
    edges = np.concatenate([[low], np.clip(np.maximum.accumulate(steps), low, high), [high]])
    stairs.stairs(levels, edges, baseline=None, color=_STAIRS, linewidth=2)
    stairs.set_ylim(-0.3, levels[-1] + 0.6)
    stairs.set_ylabel('level', color=_STAIRS, fontsize=8)
    stairs.tick_params(labelsize=8, colors=_STAIRS)
    if len(levels) <= 8:
        stairs.set_yticks(levels)
        for level, share in zip(levels, occupancy, strict=True):
            middle = (edges[level] + edges[level + 1]) / 2
            stairs.text(middle, level + 0.12, f'{share:.0%}', fontsize=8, ha='center')


def _visible_range(values: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [0.05, 99.95])
    low, high = min(low, steps.min()), max(high, steps.max())
    margin = 0.06 * max(high - low, 1e-6)
    return float(low - margin), float(high + margin)
