"""The smallest form of each kernel: INT2, INT4 or int8, as it is or halved.

XNNPACK computes with INT2 and INT4 kernels in FULLY_CONNECTED only. So a convolution becomes
operators that gather its patches, and a FULLY_CONNECTED. A kernel of odd integers may be halved,
with further operators that sum channels. All of these operators take bytes of the file, so for a
small kernel they would cost more than they save. The pass counts, and takes the smallest form.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.levels.planning import LevelPlan
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import Builder
from tf_n2uq.tflite.passes.channel_sums import (
    LevelSums,
    LevelTensors,
    can_be_halved,
    halved,
    is_odd,
    sums_builder,
)
from tf_n2uq.tflite.passes.narrow_types import NARROW_TYPES, NarrowType
from tf_n2uq.tflite.passes.packing import kernel_values, store
from tf_n2uq.tflite.passes.patches import Patches

_OPERATORS = ('CONV_2D', 'FULLY_CONNECTED')
# The bytes that an operator with its output and the shape constants adds to a file, about.
_BYTES_OF_OPERATOR = 190
# The converter computes an integer of a bias in float32. Beyond this size, it may be off by one, so
# that an odd one may stand for an even one.
_EXACT_BIAS = 1 << 22
# XNNPACK demands that a unit of the sum is less than 256 steps of the output.
_GREATEST_REQUANTIZATION = 255.0


def narrow_kernels(model: Any, plans: Sequence[LevelPlan]) -> Any:
    """Stores each kernel in the form that makes the file smallest, for XNNPACK.

    The results stay the same, to the bit. A kernel is halved only if it multiplies levels, for
    which markers stand, and if its bias is even, as the export makes it. Grouped and depthwise
    convolutions keep their int8 kernels, which XNNPACK demands.

    Args:
        model: A `ModelT` with its markers, changed in place.
        plans: Plan i belongs to the marker of slope `marker_alpha(i)`.

    Returns:
        `model`.
    """
    graph = flatbuffer.main_graph(model)
    narrowing = _Narrowing(model, graph, LevelTensors(model, graph, plans))
    instead: dict[int, list[Any]] = {}
    for operator in graph.operators:
        run = narrowing.operators(operator)
        if run is not None:
            instead[id(operator)] = run
    flatbuffer.replace_operators(graph, instead)
    flatbuffer.drop_unused(model)
    return model


@dataclasses.dataclass(frozen=True)
class _Form:
    """A form in which a kernel can be stored.

    Attributes:
        narrow: The type.
        channels: The number of input channels that the kernel gets, with those of zeros or sums.
        sums: The sums of channels, if the kernel is halved.
        bytes: The bytes of the kernel and of the operators that it needs, about.
    """

    narrow: NarrowType
    channels: int
    sums: LevelSums | None
    bytes: int


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A layer whose kernel may get another form.

    Attributes:
        operator: The CONV_2D or FULLY_CONNECTED.
        source: The index of the tensor that the kernel multiplies.
        values: The integers of the kernel, output channels first and input channels last.
        patches: The patches of a convolution; None for a FULLY_CONNECTED.
        may_grow: Whether the kernel may get further input channels, which it may not if other
            layers share it.
    """

    operator: Any
    source: int
    values: np.ndarray
    patches: Patches | None
    may_grow: bool

    @property
    def taps(self) -> int:
        """The number of pixels that the kernel multiplies."""
        return 1 if self.patches is None else self.patches.taps

    @property
    def kernel(self) -> int:
        """The index of the kernel."""
        return int(self.operator.inputs[1])

    @functools.cached_property
    def bias(self) -> int | None:
        """The index of the bias, None without one."""
        inputs = self.operator.inputs
        return int(inputs[2]) if len(inputs) > 2 and inputs[2] >= 0 else None


class _Narrowing:
    """Rewrites layers. Layers that read the same tensor share its sums."""

    def __init__(self, model: Any, graph: Any, levels: LevelTensors) -> None:
        self._model, self._graph, self._levels = model, graph, levels
        self._readers = flatbuffer.consumers(graph)
        self._patches = Builder(model, graph, 'patches')
        self._sums = sums_builder(model, graph)
        self._joined: dict[tuple[Any, ...], int] = {}

    def operators(self, operator: Any) -> list[Any] | None:
        """Returns the operators that take the place of an operator, or None if it stays."""
        if flatbuffer.operator_name(self._model, operator) not in _OPERATORS:
            return None
        narrow = NARROW_TYPES.get(
            flatbuffer.type_name(self._graph.tensors[int(operator.inputs[1])])
        )
        if narrow is not None:
            # Another layer shares the kernel and came first.
            self._set_version(operator, narrow)
            return None
        layer = self._layer(operator)
        if layer is None:
            return None
        form = min(self._forms(layer), key=lambda each: each.bytes, default=None)
        if form is None or form.bytes >= layer.values.size:
            return None
        return self._rewritten(layer, form)

    def _layer(self, operator: Any) -> _Layer | None:
        source, kernel = int(operator.inputs[0]), int(operator.inputs[1])
        values = kernel_values(self._model, self._graph, kernel, self._readers, _OPERATORS)
        # In a grouped convolution, the kernel has fewer channels than the image.
        channels = flatbuffer.shape_of(self._graph.tensors[source])[-1]
        if values is None or channels != values.shape[-1]:
            return None
        readers = [flatbuffer.operator_name(self._model, each) for each in self._readers[kernel]]
        if len(readers) > 1 and 'CONV_2D' in readers:
            return None
        patches = Patches.of(self._graph, operator) if 'CONV_2D' in readers else None
        return _Layer(operator, source, values, patches, may_grow=len(readers) == 1)

    def _forms(self, layer: _Layer) -> Iterator[_Form]:
        *places, channels = layer.values.shape
        gathering = 0 if layer.patches is None else layer.patches.operators
        for narrow in NARROW_TYPES.values():
            multiple = narrow.per_byte // math.gcd(narrow.per_byte, layer.taps)
            sums, operators = None, gathering
            if narrow.holds(layer.values):
                filled = -(-channels // multiple) * multiple
                operators += filled > channels
            else:
                sums = self._sums_of(layer, narrow, multiple)
                if sums is None:
                    continue
                filled = channels + len(sums.columns)
                operators += 2
            if filled == channels or layer.may_grow:
                size = narrow.bytes_of(math.prod(places) * filled) + operators * _BYTES_OF_OPERATOR
                yield _Form(narrow, filled, sums, size + (0 if sums is None else sums.bytes))

    def _sums_of(self, layer: _Layer, narrow: NarrowType, multiple: int) -> LevelSums | None:
        if not can_be_halved(layer.values, narrow) or not self._has_exact_halves(layer):
            return None
        levels = self._levels.levels_of(layer.source)
        if levels is None:
            return None
        return LevelSums.of(levels, layer.values.shape[-1], narrow, multiple)

    def _has_exact_halves(self, layer: _Layer) -> bool:
        """Tells whether the bias of a layer can be halved, and XNNPACK takes the doubled scale."""
        bias = self._bias_of(layer)
        if np.any(bias & 1 & (np.abs(bias.astype(np.int64)) < _EXACT_BIAS)):
            return False
        tensors = self._graph.tensors
        source, output = tensors[layer.source], tensors[int(layer.operator.outputs[0])]
        unit = flatbuffer.scales_of(tensors[layer.kernel]) * flatbuffer.scales_of(source)[0]
        return bool(np.all(2 * unit <= _GREATEST_REQUANTIZATION * flatbuffer.scales_of(output)[0]))

    def _bias_of(self, layer: _Layer) -> np.ndarray:
        if layer.bias is None:
            return np.zeros(len(layer.values), np.int32)
        stored = flatbuffer.buffer_bytes(self._model, self._graph.tensors[layer.bias])
        return np.frombuffer(stored, np.int32)

    def _rewritten(self, layer: _Layer, form: _Form) -> list[Any]:
        run: list[Any] = []
        image = self._widened(run, layer, form)
        if layer.patches is not None:
            image = layer.patches.gather(self._patches, run, image)
        values, bias = layer.values, layer.bias
        if form.sums is not None:
            bias = self._halved_bias(layer, form.sums)
            values = halved(values, form.sums)
        behind = form.channels - values.shape[-1]
        values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, behind)])
        kernel = self._graph.tensors[layer.kernel]
        store(self._model, kernel, values.reshape(len(values), -1), form.narrow)
        if form.sums is not None:
            kernel.quantization.scale = 2 * flatbuffer.scales_of(kernel)
        inputs = [image, layer.kernel] if bias is None else [image, layer.kernel, bias]
        layer.operator.inputs = np.asarray(inputs, np.int32)
        if layer.patches is None:
            self._set_version(layer.operator, form.narrow)
            return [*run, layer.operator]
        self._patches.fully_connected(run, layer.operator, image)
        return run

    def _widened(self, run: list[Any], layer: _Layer, form: _Form) -> int:
        """Returns the input with its padding, and with the channels of zeros or sums behind it."""
        rank = len(flatbuffer.shape_of(self._graph.tensors[layer.source]))
        amounts = [(0, 0)] * rank if layer.patches is None else layer.patches.padding
        if form.sums is None:
            amounts[-1] = (0, form.channels - layer.values.shape[-1])
            return self._patches.pad(run, layer.source, amounts)
        key = (layer.source, tuple(amounts), form.sums)
        if key not in self._joined:
            # Padding comes first: a sum of the levels 0 that it writes is not 0 itself.
            image = self._patches.pad(run, layer.source, amounts)
            self._joined[key] = form.sums.join(self._sums, run, image)
        return self._joined[key]

    def _halved_bias(self, layer: _Layer, sums: LevelSums) -> int:
        """Adds the bias of a layer whose kernel is halved, and returns its index.

        The bias itself stays, because other layers may read it: the converter merges equal
        constants.
        """
        values = np.rint(self._bias_of(layer) / 2).astype(np.int32)
        values += np.where(is_odd(layer.values), sums.offset * layer.taps, 0).astype(np.int32)
        if layer.bias is None:
            source, kernel = self._graph.tensors[layer.source], self._graph.tensors[layer.kernel]
            scales = 2 * flatbuffer.scales_of(kernel) * flatbuffer.scales_of(source)[0]
            return self._sums.scaled(values, schema.TensorType.INT32, scales)
        bias = copy.deepcopy(self._graph.tensors[layer.bias])
        bias.buffer = flatbuffer.add_buffer(self._model, values)
        bias.quantization.scale = 2 * flatbuffer.scales_of(bias)
        self._graph.tensors.append(bias)
        return len(self._graph.tensors) - 1

    def _set_version(self, operator: Any, narrow: NarrowType) -> None:
        builtin = schema.BuiltinOperator.FULLY_CONNECTED
        operator.opcodeIndex = flatbuffer.opcode_index(self._model, builtin, narrow.version)
