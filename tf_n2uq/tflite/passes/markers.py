"""Markers: operators that keep the places of thresholds in a TFLite file.

TensorFlow's converter knows no comparator and would fold one away. But it keeps a leaky ReLU
between two quantized tensors, together with its slope. So the graph that goes into the converter
has a leaky ReLU with an impossible slope wherever thresholds belong, and a pass over the file puts
the operators of a plan in the place of each of these markers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tf_n2uq.tflite.levels.comparators import ComparatorPlan
from tf_n2uq.tflite.levels.planning import LevelPlan
from tf_n2uq.tflite.levels.table_chain import ChainPlan
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.level_run import LevelRun
from tf_n2uq.tflite.passes.lowering import Lowering
from tf_n2uq.tflite.passes.table_lowering import TableLowering

# Slopes of real leaky ReLUs are about 1. All slopes of markers are exact in float32.
_FIRST_ALPHA = 4096.0
_ALPHA_STEP = 1.0 / 1024.0
_MOST_MARKERS = 1 << 20

# What writes the operators of each kind of plan.
_LOWERINGS: dict[type, Callable[..., LevelRun]] = {
    ComparatorPlan: Lowering,
    ChainPlan: TableLowering,
}


def marker_alpha(index: int) -> float:
    """Returns the slope of the leaky ReLU that marks the place of a plan.

    Args:
        index: The plan's number, from 0.

    Returns:
        A slope that no other number has, exact in float32.

    Raises:
        ValueError: If `index` is negative or not below 2**20.
    """
    if not 0 <= index < _MOST_MARKERS:
        raise ValueError(
            f'index: expected a number in 0..{_MOST_MARKERS - 1}, got {index}. A network can have '
            f'{_MOST_MARKERS} quantizers at most.'
        )
    return _FIRST_ALPHA + index * _ALPHA_STEP


def replace_markers(model: Any, plans: Sequence[LevelPlan]) -> Any:
    """Puts the operators of each plan in the place of the marker with its number.

    `Lowering` describes those of comparators, and `TableLowering` those of chains.

    Args:
        model: A `ModelT`, changed in place. Its markers are int8 LEAKY_RELUs. The output of a
            marker has the scale of its input divided by the plan's `stretch`, and the plan's
            `zero_point`.
        plans: Plan i belongs to the marker of slope `marker_alpha(i)`.

    Returns:
        `model`.

    Raises:
        ValueError: If a plan has no marker or several, a marker has no plan, or a marker is not
            quantized as described above.
    """
    graph = flatbuffer.main_graph(model)
    seen: list[int] = []
    instead: dict[int, list[Any]] = {}
    for operator in graph.operators:
        index = marker_index(model, operator)
        if index is None:
            continue
        if index >= len(plans):
            raise ValueError(
                f'plans: expected a plan for marker {index} of the file, got {len(plans)} plans. '
                'Give all plans of the network, in their order.'
            )
        seen.append(index)
        source, result = int(operator.inputs[0]), int(operator.outputs[0])
        _check_marker(graph.tensors[source], graph.tensors[result], plans[index], index)
        lowering = _LOWERINGS[type(plans[index])](model, graph, source, result, plans[index])
        instead[id(operator)] = lowering.written()
    flatbuffer.replace_operators(graph, instead)
    if sorted(seen) != list(range(len(plans))):
        raise ValueError(
            f'model: expected one marker for each of the {len(plans)} plans, got the markers '
            f'{sorted(seen)}. The converter has merged or removed a quantizer: make sure that the '
            "input of each quantizer depends on the model's input and that its output is used."
        )
    flatbuffer.drop_unused(model)
    return model


def marker_index(model: Any, operator: Any) -> int | None:
    """Returns the number of a marker's plan, or None for an operator that is no marker."""
    if flatbuffer.operator_name(model, operator) != 'LEAKY_RELU':
        return None
    steps = (operator.builtinOptions.alpha - _FIRST_ALPHA) / _ALPHA_STEP
    return int(steps) if steps >= 0 and steps == int(steps) and steps < _MOST_MARKERS else None


def _check_marker(tensor: Any, result: Any, plan: LevelPlan, index: int) -> None:
    for end, each in (('input', tensor), ('output', result)):
        scales = flatbuffer.scales_of(each)
        if flatbuffer.type_name(each) != 'INT8' or len(scales) != 1:
            raise ValueError(
                f'model: expected an int8 {end} with one scale for marker {index}, got '
                f'{flatbuffer.type_name(each)} with {len(scales)} scales in '
                f'{flatbuffer.text(each.name)!r}. Give a range to the tensors around the marker.'
            )
    scale = float(flatbuffer.scales_of(tensor)[0]) / plan.stretch
    label, zero_point = float(flatbuffer.scales_of(result)[0]), flatbuffer.zero_point_of(result)
    if abs(scale - label) > 1e-5 * scale or zero_point != plan.zero_point:
        raise ValueError(
            f'model: expected marker {index} to write with the scale {scale}, which is that of its '
            f'input divided by {plan.stretch}, and with the zero point {plan.zero_point}, got '
            f'{label} and {zero_point}. Give the tensor behind the marker this range.'
        )
    shape = flatbuffer.shape_of(tensor)
    rank = len(plan.channel_shape)
    if rank > len(shape) or any(
        size not in (1, given)
        for size, given in zip(plan.channel_shape, shape[len(shape) - rank :], strict=True)
    ):
        raise ValueError(
            f'plans: expected a channel shape in plan {index} that fits the shape {shape} of the '
            f"marker's tensor, got {plan.channel_shape}. Give the plan of this tensor."
        )
