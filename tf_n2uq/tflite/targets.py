"""The runtimes that files are written for: which passes make a file of what the converter wrote."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tf_n2uq.tflite.levels.comparators import ComparatorPlan
from tf_n2uq.tflite.passes.channel_sums import halve_kernels
from tf_n2uq.tflite.passes.dense import connect_fully
from tf_n2uq.tflite.passes.markers import replace_markers
from tf_n2uq.tflite.passes.packing import MICRO_VERSIONS, XNNPACK_VERSIONS, pack_int4
from tf_n2uq.tflite.passes.patches import unroll_convolutions

# Edits a `ModelT` in place.
Pass: TypeAlias = Callable[[Any], Any]


def xnnpack_passes(plans: Sequence[ComparatorPlan]) -> list[Pass]:
    """Returns the passes that make a file for XNNPACK's kernels.

    Args:
        plans: The comparators to put in the place of markers.
    """
    return [
        connect_fully,
        # Before comparators take the place of markers, which tell what levels there are.
        functools.partial(halve_kernels, plans=plans),
        functools.partial(replace_markers, plans=plans),
        unroll_convolutions,
        functools.partial(pack_int4, versions=XNNPACK_VERSIONS),
    ]


def micro_passes(plans: Sequence[ComparatorPlan]) -> list[Pass]:
    """Returns the passes that make a file for TensorFlow Lite Micro.

    Dense layers stay the 1x1 convolutions that they are for the converter. As FULLY_CONNECTED,
    TensorFlow Lite Micro would refuse their INT4 kernels, and round what comes of int8 ones
    otherwise than LiteRT's reference kernels.

    Args:
        plans: The comparators to put in the place of markers.
    """
    return [
        functools.partial(replace_markers, plans=plans),
        functools.partial(pack_int4, versions=MICRO_VERSIONS),
    ]


TARGETS: dict[str, Callable[[Sequence[ComparatorPlan]], list[Pass]]] = {
    'xnnpack': xnnpack_passes,
    'micro': micro_passes,
}
