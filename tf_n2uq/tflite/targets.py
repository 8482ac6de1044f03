"""The runtimes that files are written for, and the passes that make a file for each of them."""

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

# A function that edits a `ModelT` in place.
Pass: TypeAlias = Callable[[Any], Any]


def xnnpack_passes(plans: Sequence[ComparatorPlan]) -> list[Pass]:
    """Returns the passes that make a file for XNNPACK's kernels.

    Args:
        plans: The comparators that take the place of the markers, in the order of the markers.
    """
    return [
        connect_fully,
        # This pass needs the markers, which show the tensors that hold levels.
        functools.partial(halve_kernels, plans=plans),
        functools.partial(replace_markers, plans=plans),
        unroll_convolutions,
        functools.partial(pack_int4, versions=XNNPACK_VERSIONS),
    ]


def micro_passes(plans: Sequence[ComparatorPlan]) -> list[Pass]:
    """Returns the passes that make a file for TensorFlow Lite Micro.

    Dense layers stay 1x1 convolutions, as they are for the converter. In FULLY_CONNECTED,
    TensorFlow Lite Micro refuses INT4 kernels, and it rounds the sums of int8 kernels in another
    way than LiteRT's reference kernels.

    Args:
        plans: The comparators that take the place of the markers, in the order of the markers.
    """
    return [
        functools.partial(replace_markers, plans=plans),
        functools.partial(pack_int4, versions=MICRO_VERSIONS),
    ]


TARGETS: dict[str, Callable[[Sequence[ComparatorPlan]], list[Pass]]] = {
    'xnnpack': xnnpack_passes,
    'micro': micro_passes,
}
