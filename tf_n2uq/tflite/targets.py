"""The runtimes that files are written for, and the passes that make a file for each of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tf_n2uq.tflite.levels.planning import LevelPlan, Planner, plan_operators, plan_tables
from tf_n2uq.tflite.passes.dense import connect_fully
from tf_n2uq.tflite.passes.free_batch import free_batch
from tf_n2uq.tflite.passes.markers import replace_markers
from tf_n2uq.tflite.passes.narrowing import narrow_kernels
from tf_n2uq.tflite.passes.packing import MICRO_VERSIONS, pack_int4

# A function that edits a `ModelT` in place.
Pass: TypeAlias = Callable[[Any], Any]
# A function that makes the passes for the plans of a network.
PassesOf: TypeAlias = Callable[[Sequence[LevelPlan]], list[Pass]]


def latency_passes(plans: Sequence[LevelPlan]) -> list[Pass]:
    """Returns the passes that make the fastest file for XNNPACK's kernels.

    All kernels stay int8, and convolutions stay convolutions.

    Args:
        plans: What takes the place of the markers, in the order of the markers.
    """
    return [connect_fully, functools.partial(replace_markers, plans=plans), free_batch]


def size_passes(plans: Sequence[LevelPlan]) -> list[Pass]:
    """Returns the passes that make the smallest file for XNNPACK's kernels.

    Args:
        plans: What takes the place of the markers, in the order of the markers.
    """
    return [
        connect_fully,
        # This pass needs the markers, which show the tensors that hold levels.
        functools.partial(narrow_kernels, plans=plans),
        functools.partial(replace_markers, plans=plans),
        free_batch,
    ]


def micro_passes(plans: Sequence[LevelPlan]) -> list[Pass]:
    """Returns the passes that make a file for TensorFlow Lite Micro.

    Dense layers stay 1x1 convolutions, as they are for the converter. In FULLY_CONNECTED,
    TensorFlow Lite Micro refuses INT4 kernels, and it rounds the sums of int8 kernels in another
    way than LiteRT's reference kernels.

    Args:
        plans: What takes the place of the markers, in the order of the markers.
    """
    return [
        functools.partial(replace_markers, plans=plans),
        functools.partial(pack_int4, versions=MICRO_VERSIONS),
    ]


# The passes of each target, by what the file is optimized for. None stands for the target's own
# choice, which is the only one of some targets.
TARGETS: dict[str, dict[str | None, PassesOf]] = {
    'xnnpack': {None: latency_passes, 'latency': latency_passes, 'size': size_passes},
    'micro': {None: micro_passes},
}

# How thresholds are computed for each target.
PLANNERS: dict[str, Planner] = {'xnnpack': plan_tables, 'micro': plan_operators}


def passes_of(target: str, optimize_for: str | None) -> PassesOf:
    """Returns the function that makes the passes for a target.

    Args:
        target: A name in `TARGETS`.
        optimize_for: 'latency' or 'size'; None for the target's own choice.

    Returns:
        A function of the plans of a network.

    Raises:
        ValueError: If the target does not exist, or has no such choice.
    """
    if target not in tuple(TARGETS):
        raise ValueError(f'target: expected {" or ".join(map(repr, TARGETS))}, got {target!r}.')
    choices = TARGETS[target]
    if optimize_for not in tuple(choices):
        advice = (
            'Leave the argument out: there is one form of file for this target.'
            if len(choices) == 1
            else "Take 'latency' unless the size of the file on disk counts."
        )
        raise ValueError(
            f'optimize_for: expected {" or ".join(map(repr, choices))} for target={target!r}, got '
            f'{optimize_for!r}. {advice}'
        )
    return choices[optimize_for]
