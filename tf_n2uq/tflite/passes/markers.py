"""Markers in a TFLite file, and what takes their place.

TensorFlow's converter knows no comparator and would fold one away. What it does keep is a leaky
ReLU between two quantized tensors, with its slope as it is. So the graph that goes into the
converter has a leaky ReLU of an absurd slope wherever a run of comparators belongs, and the file
that comes out has the comparators put there.
"""

from collections.abc import Sequence
from typing import Any

from tf_n2uq.tflite.levels.comparators import ComparatorPlan
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.lowering import Lowering

# Slopes of real leaky ReLUs are of the order of 1. All of these are exact in float32.
_FIRST_ALPHA = 4096.0
_ALPHA_STEP = 1.0 / 1024.0
_MOST_MARKERS = 1 << 20


def marker_alpha(index: int) -> float:
    """Slope of the leaky ReLU that marks the place of a plan.

    Args:
        index: The plan's number, from 0.

    Returns:
        A slope that no other index has, exact in float32.

    Raises:
        ValueError: `index` is negative or not below 2**20.
    """
    if not 0 <= index < _MOST_MARKERS:
        raise ValueError(f'`index` must be in 0..{_MOST_MARKERS - 1}, got {index}.')
    return _FIRST_ALPHA + index * _ALPHA_STEP


def replace_markers(model: Any, plans: Sequence[ComparatorPlan]) -> Any:
    """Puts each plan's comparators in the place of the marker with its number.

    What these are is said where they are made, see `Lowering`.

    Args:
        model: A `ModelT`, changed in place. Its markers are int8 LEAKY_RELUs whose output has the
            scale of their input divided by the plan's `stretch`, and the plan's `zero_point`.
        plans: Plan i belongs to the marker of slope `marker_alpha(i)`.

    Returns:
        `model`.

    Raises:
        ValueError: A plan has no marker, or several; a marker has no plan; or one is not quantized
            as described above.
    """
    graph = flatbuffer.main_graph(model)
    seen: list[int] = []
    instead: dict[int, list[Any]] = {}
    for operator in graph.operators:
        index = marker_index(model, operator)
        if index is None:
            continue
        if index >= len(plans):
            raise ValueError(f'The file has marker {index}, but `plans` has {len(plans)} entries.')
        seen.append(index)
        source, result = int(operator.inputs[0]), int(operator.outputs[0])
        _check_marker(graph.tensors[source], graph.tensors[result], plans[index], index)
        instead[id(operator)] = Lowering(model, graph, source, result, plans[index]).operators()
    flatbuffer.replace_operators(graph, instead)
    if sorted(seen) != list(range(len(plans))):
        raise ValueError(
            f'Each of the {len(plans)} `plans` must have one marker in the file; the file has the '
            f'markers {sorted(seen)}. The converter has merged or removed a quantizer; make sure '
            "that its input depends on the model's input and its output is used."
        )
    flatbuffer.drop_unused(model)
    return model


def marker_index(model: Any, operator: Any) -> int | None:
    """The number of a marker's plan; None for any other operator."""
    if flatbuffer.operator_name(model, operator) != 'LEAKY_RELU':
        return None
    steps = (operator.builtinOptions.alpha - _FIRST_ALPHA) / _ALPHA_STEP
    return int(steps) if steps >= 0 and steps == int(steps) and steps < _MOST_MARKERS else None


def _check_marker(tensor: Any, result: Any, plan: ComparatorPlan, index: int) -> None:
    for what, each in (('input', tensor), ('output', result)):
        scales = flatbuffer.scales_of(each)
        if flatbuffer.type_name(each) != 'INT8' or len(scales) != 1:
            raise ValueError(
                f'Marker {index} must have an int8 {what} of one scale; got '
                f'{flatbuffer.type_name(each)} with {len(scales)} scales in '
                f'{flatbuffer.text(each.name)!r}. Give the tensors around it a range.'
            )
    scale = float(flatbuffer.scales_of(tensor)[0]) / plan.stretch
    label, zero_point = float(flatbuffer.scales_of(result)[0]), flatbuffer.zero_point_of(result)
    if abs(scale - label) > 1e-5 * scale or zero_point != plan.zero_point:
        raise ValueError(
            f'Marker {index} must write with the scale {scale}, that of its input divided by '
            f'{plan.stretch}, and zero point {plan.zero_point}; got {label} and {zero_point}.'
        )
    shape = flatbuffer.shape_of(tensor)
    rank = len(plan.channel_shape)
    if rank > len(shape) or any(
        size not in (1, given)
        for size, given in zip(plan.channel_shape, shape[len(shape) - rank :], strict=True)
    ):
        raise ValueError(
            f"Plan {index} must be per channel of its marker's tensor, of shape {shape}; its "
            f'channel shape is {plan.channel_shape}.'
        )
