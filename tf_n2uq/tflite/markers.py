"""Markers in a TFLite file, and what takes their place.

TensorFlow's converter knows no comparator and would fold one away. What it does keep is a leaky
ReLU between two quantized tensors, with its slope as it is. So the graph that goes into the
converter has a leaky ReLU of an absurd slope wherever a run of comparators belongs, and the file
that comes out has the comparators put there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from tf_n2uq.tflite import flatbuffer
from tf_n2uq.tflite.comparators import HIGHEST, LOWEST, SPAN, ComparatorPlan

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

    With x of scale s: SUB(x, t), written to a tensor of scale s/255 and zero point -128, saturates
    at both ends and is the comparator [x > t], worth s where it is on. SUB(t, x) is [x < t]. ADDs
    of scale s/stretch count them.

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

    def replace(operator: Any) -> list[Any] | None:
        index = marker_index(model, operator)
        if index is None:
            return None
        if index >= len(plans):
            raise ValueError(f'The file has marker {index}, but `plans` has {len(plans)} entries.')
        seen.append(index)
        return _Lowering(model, graph, operator, plans[index], index).operators()

    flatbuffer.rewrite_operators(graph, replace)
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


class _Lowering:
    """The operators of one marker's comparators."""

    def __init__(
        self, model: Any, graph: Any, marker: Any, plan: ComparatorPlan, index: int
    ) -> None:
        self._model, self._graph, self._plan = model, graph, plan
        self._input, self._output = int(marker.inputs[0]), int(marker.outputs[0])
        tensor, result = graph.tensors[self._input], graph.tensors[self._output]
        _check_marker(tensor, result, plan, index)
        self._name = flatbuffer.text(result.name) or f'levels_{index}'
        self._shape = flatbuffer.shape_of(tensor)
        self._input_scale = float(flatbuffer.scales_of(tensor)[0])
        self._input_zero = flatbuffer.zero_point_of(tensor)
        self._scale = float(flatbuffer.scales_of(result)[0])
        # Operators of version 2 are those that know int8.
        self._add = flatbuffer.opcode_index(model, schema.BuiltinOperator.ADD, 2)
        self._sub = flatbuffer.opcode_index(model, schema.BuiltinOperator.SUB, 2)

    def operators(self) -> list[Any]:
        """SUBs and ADDs in the order of execution; the last one writes the marker's output."""
        never = np.asarray([HIGHEST], np.int8)
        slots = [(threshold, False) for threshold in self._plan.rising]
        slots += [(threshold, True) for threshold in self._plan.falling]
        # A constant function still has to be computed from something.
        slots = slots or [(never, False)]
        base = self._plan.base
        if base is None and len(slots) == 1:
            base = np.zeros(1, np.int8)  # one comparator has not the scale of the output; a sum has
        run: list[Any] = []
        level: int | None = None
        for number, (threshold, below) in enumerate(slots):
            comparator = self._compare(run, number, threshold, below)
            last = number == len(slots) - 1 and base is None
            level = comparator if level is None else self._sum(run, level, comparator, last)
        if base is not None:
            assert level is not None
            constant = self._constant(f'{self._name}/base', base, self._input_scale, 0)
            self._sum(run, level, constant, last=True)
        return run

    def _compare(self, run: list[Any], number: int, threshold: np.ndarray, below: bool) -> int:
        name = f'{self._name}/{"below" if below else "above"}_{number}'
        constant = self._constant(
            f'{name}/threshold', threshold, self._input_scale, self._input_zero
        )
        output = self._tensor(name, self._input_scale / SPAN, LOWEST)
        operands = [constant, self._input] if below else [self._input, constant]
        run.append(_operator(self._sub, 'Sub', operands, output))
        return output

    def _sum(self, run: list[Any], left: int, right: int, last: bool) -> int:
        name = f'{self._name}/sum_{len(run)}'
        output = self._output if last else self._tensor(name, self._scale, LOWEST)
        run.append(_operator(self._add, 'Add', [left, right], output))
        return output

    def _tensor(self, name: str, scale: float, zero_point: int) -> int:
        index = flatbuffer.add_tensor(
            self._graph,
            name,
            self._shape,
            schema.TensorType.INT8,
            scale=scale,
            zero_point=zero_point,
        )
        # A batch of unknown size is written there.
        source = self._graph.tensors[self._input]
        self._graph.tensors[index].shapeSignature = source.shapeSignature
        return index

    def _constant(self, name: str, values: np.ndarray, scale: float, zero_point: int) -> int:
        rank = len(self._shape)
        return flatbuffer.add_tensor(
            self._graph,
            name,
            (1,) * (rank - values.ndim) + values.shape,
            schema.TensorType.INT8,
            scale=scale,
            zero_point=zero_point,
            buffer=flatbuffer.add_buffer(self._model, values.astype(np.int8)),
        )


def _operator(code: int, kind: str, inputs: list[int], output: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs = np.asarray(inputs, np.int32)
    operator.outputs = np.asarray([output], np.int32)
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, f'{kind}Options')
    operator.builtinOptions = getattr(schema, f'{kind}OptionsT')()
    return operator


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
