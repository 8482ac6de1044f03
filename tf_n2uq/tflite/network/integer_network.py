"""The integer network as a TensorFlow function that the TFLite converter takes as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.layer_kinds import Kind, kind_of
from tf_n2uq.layers import BorderScale, ChannelMean, InverseDeviation, QuantizedKernel
from tf_n2uq.quantizers.stretch import level_stretch
from tf_n2uq.schemes.rewrite.range_placement import fused_into, is_thresholds
from tf_n2uq.tflite.levels.comparators import ComparatorPlan, plan_comparators
from tf_n2uq.tflite.network.kernels import IntegerKernel, told_apart
from tf_n2uq.tflite.network.level_tables import LevelTable, table_of
from tf_n2uq.tflite.network.lookup import Lookup
from tf_n2uq.tflite.network.operators import apply_kernel, concatenate, run_line
from tf_n2uq.tflite.network.ranges import Range, range_after, read_ranges
from tf_n2uq.tflite.network.rectifiers import Rectifier, needs_rectifier
from tf_n2uq.tflite.network.standalone import (
    border_factors,
    clipped,
    standalone_kernel,
    stands_alone,
)
from tf_n2uq.tflite.network.upsampling import bilinear_kernel, interpolate, repeat
from tf_n2uq.tflite.passes.markers import marker_alpha

# Below 1e-6 the converter takes a range for an empty one, and puts another in its place.
_SMALLEST_WIDTH = 2e-6
_Tensors = dict[Ref, tf.Tensor]
_AVERAGES = (keras.layers.AveragePooling1D, keras.layers.AveragePooling2D)
_NEAREST = (keras.layers.UpSampling1D, keras.layers.UpSampling2D)


class IntegerNetwork:
    """Runs a quantized graph with the operators that the integer file shall have.

    Every tensor ends in a `fake_quant` of the range it has in the file; kernels lie on their
    integer grids; each quantizer is a marker that a pass over the file turns into comparators.

    Attributes:
        plans: comparators per marker, by number.
    """

    def __init__(self, graph: Graph) -> None:
        """Prepares the export.

        Args:
            graph: a quantized graph in which every tensor has a range, layers built and with
                their weights.

        Raises:
            ValueError: if a quantizer or layer cannot become integer, naming it.
        """
        self._graph = graph
        self._order = graph.in_order()
        # Read here, in eager mode: inside the converted function variables have no values yet.
        self._ranges = read_ranges(graph)
        self._tables = {
            step.name: table_of(graph, step, self._ranges)
            for step in self._order
            if is_thresholds(step)
        }
        self.plans: list[ComparatorPlan] = [
            plan_comparators(table.levels, table.steps, _most_stretch(table))
            for table in self._tables.values()
        ]
        self._rectifiers = {
            step.name: Rectifier.of(step.layer, self._range_behind(step))
            for step in self._order
            if needs_rectifier(graph, step)
        }
        self._lookups = {
            step.name: self._lookup_of(step)
            for step in self._order
            if isinstance(step.layer, InverseDeviation)
        }
        self._kernels = self._integer_kernels()

    def __call__(self, *inputs: tf.Tensor) -> Any:
        """Runs the network on float inputs of batch size one."""
        tensors: _Tensors = dict(zip(self._graph.inputs, inputs, strict=True))
        needed = self._needed()
        for step in self._order:
            if step.name in needed and step.output not in tensors:
                # Tensors of the file get names by which users know their layers.
                with tf.name_scope(step.name):
                    tensors[step.output] = self._run(step, tensors)
        return tf.nest.map_structure(lambda ref: tensors[ref], self._graph.outputs)

    def _needed(self) -> set[str]:
        """Names of the steps that the outputs depend on once chains are folded away."""
        names: set[str] = set()
        stack = [self._graph.producer(ref) for ref in tf.nest.flatten(self._graph.outputs)]
        while stack:
            step = stack.pop()
            if step.name not in names:
                names.add(step.name)
                stack.extend(self._graph.producer(ref) for ref in self._inputs_of(step))
        return names

    def _inputs_of(self, step: Step) -> list[Ref]:
        return [self._tables[step.name].source] if step.name in self._tables else step.inputs

    def _run(self, step: Step, tensors: _Tensors) -> tf.Tensor:
        inputs = [tensors[ref] for ref in self._inputs_of(step)]
        if step.name in self._tables:
            return self._mark(step, inputs[0])
        if step.name in self._ranges:
            return self._ranges[step.name].quantize(inputs[0])
        if step.name in self._kernels:
            kernel = self._kernels[step.name]
            if isinstance(step.layer, keras.layers.UpSampling2D):
                return interpolate(inputs[0], kernel, step.layer.size)
            outputs = apply_kernel(step.layer, inputs[0], kernel)
            outputs = clipped(step.layer, outputs)
            picked = _picks_pixels(step.layer)
            return self._input_range(step.inputs[0])[0].quantize(outputs) if picked else outputs
        if step.name in self._rectifiers:
            return self._rectifiers[step.name].apply(
                lambda line: run_line(inputs[0], self._kernels[f'{step.name}/{line}'])
            )
        if step.name in self._lookups:
            return self._lookups[step.name].apply(
                inputs[0], lambda part: self._kernels[f'{step.name}/{part}']
            )
        if kind_of(step.layer) is Kind.NORMALIZATION:
            return inputs[0]  # part of the kernel before it
        return self._run_operator(step, inputs, tensors)

    def _run_operator(self, step: Step, inputs: list[tf.Tensor], tensors: _Tensors) -> tf.Tensor:
        layer = step.layer
        if isinstance(layer, keras.layers.Concatenate):
            return concatenate(self._in_one_range(step, inputs), layer.axis)
        if isinstance(layer, BorderScale):
            return inputs[0] * border_factors(layer)
        if isinstance(layer, _NEAREST):
            return repeat(inputs[0], layer.size)
        if isinstance(layer, keras.layers.AveragePooling1D):
            return layer.call(*self._in_one_range(step, inputs))
        return _run_layer(step, tensors)

    def _mark(self, step: Step, inputs: tf.Tensor) -> tf.Tensor:
        index = list(self._tables).index(step.name)
        plan, scale = self.plans[index], self._tables[step.name].range.scale
        marked = tf.raw_ops.LeakyRelu(features=inputs, alpha=marker_alpha(index))
        return Range(scale / plan.stretch, plan.zero_point).quantize(marked)

    def _in_one_range(self, step: Step, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        """The inputs of a layer in the range of its output, which is the only one it knows.

        The converter would give them that range for whoever else reads them too. Not by QUANTIZE,
        which XNNPACK computes with a factor of 8 bits.
        """
        result = self._range_behind(step)
        return [
            result.quantize(run_line(part, self._kernels[f'{step.name}/{index}']))
            for index, part in enumerate(inputs)
        ]

    def _range_behind(self, step: Step) -> Range:
        return self._ranges[range_after(self._graph, step).name]

    def _integer_kernels(self) -> dict[str, IntegerKernel]:
        """All kernels of the file, by the name of their step; lines also by their own."""
        kernels: dict[str, IntegerKernel] = {}
        needed = self._needed()
        for step in (step for step in self._order if step.name in needed):
            for name, (ref, kernel) in self._kernels_of(step).items():
                source = self._input_range(ref)[0]
                result = source if _picks_pixels(step.layer) else self._range_behind(step)
                kernels[name] = kernel.representable(source.scale, result.scale)
        for name, lookup in self._lookups.items():
            kernels |= {f'{name}/{part}': kernel for part, kernel in lookup.kernels.items()}
        return told_apart(kernels)

    def _kernels_of(self, step: Step) -> dict[str, tuple[Ref, IntegerKernel]]:
        """What a step multiplies by, and which of its inputs, by the kernel's name."""
        if step.name in self._rectifiers:
            lines = self._rectifiers[step.name].lines
            return {f'{step.name}/{name}': (step.inputs[0], line) for name, line in lines.items()}
        kernel = self._kernel_of(step)
        if kernel is not None:
            return {step.name: (step.inputs[0], kernel)}
        # Their operators write in the scale that they read.
        if isinstance(step.layer, (keras.layers.Concatenate, keras.layers.AveragePooling1D)):
            return {
                f'{step.name}/{index}': (ref, _identity(self._graph.producer(ref).layer))
                for index, ref in enumerate(step.inputs)
            }
        return {}

    def _kernel_of(self, step: Step) -> IntegerKernel | None:
        """A kernel with the normalization behind it; a normalization or average as a kernel."""
        if isinstance(step.layer, QuantizedKernel):
            kernel = IntegerKernel.of(step.layer, self._input_range(step.inputs[0])[1])
            for reader in self._graph.consumers(step.output):
                if kind_of(reader.layer) is Kind.NORMALIZATION and fused_into(self._graph, reader):
                    kernel = kernel.normalized(reader.layer)
            return kernel
        if kind_of(step.layer) is Kind.NORMALIZATION and not fused_into(self._graph, step):
            return IntegerKernel.of_channel_line(step.layer)
        if _averages_full_windows(step.layer):
            return IntegerKernel.of_average(step.layer)
        if _interpolates(step.layer):
            return bilinear_kernel(step.layer.output_shape[-1], step.layer.size)
        if isinstance(step.layer, ChannelMean):
            return IntegerKernel.of_channel_mean(step.layer.input_shape[-1])
        if stands_alone(self._graph, step):
            return standalone_kernel(step.layer)
        return _identity(step.layer) if _picks_pixels(step.layer) else None

    def _lookup_of(self, step: Step) -> Lookup:
        source, result = self._input_range(step.inputs[0])[0], self._range_behind(step)
        numbers = np.asarray(step.layer(tf.constant(source.values())), np.float64)
        table = np.rint(numbers / result.scale) + result.zero_point
        return Lookup.of(np.clip(table, -128, 127), source, result)

    def _input_range(self, ref: Ref) -> tuple[Range, float]:
        """Returns the range of a tensor in the file, and Keras' number for one of it."""
        producer = self._graph.producer(ref)
        while kind_of(producer.layer) is Kind.SAME_SCALE and producer.inputs:
            producer = self._graph.producer(producer.inputs[0])
        table = self._tables.get(producer.name)
        if table is not None:
            # Comparators add up to levels that are worth one step of the scale they compare in.
            plan = self.plans[list(self._tables).index(producer.name)]
            levels = Range(table.range.scale / plan.stretch, plan.zero_point)
            return levels, table.step / table.range.scale
        return self._ranges[producer.name], 1.0


def _most_stretch(table: LevelTable) -> int:
    """What a level may count for, so that the range of the levels is not too small to convert.

    Only tensors that hardly hold anything come near that, behind dead channels or in a network
    that has not been trained.
    """
    widest = max(1, int(255 * table.range.scale / _SMALLEST_WIDTH))
    return min(widest, level_stretch(table.steps))


def _averages_full_windows(layer: keras.layers.Layer) -> bool:
    if type(layer) not in _AVERAGES:
        return False
    sizes = zip(layer.input_shape[1:-1], layer.pool_size, layer.strides, strict=True)
    return layer.padding == 'valid' or all(
        size % stride == 0 and window == stride for size, window, stride in sizes
    )


def _interpolates(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == 'bilinear'


def _picks_pixels(layer: keras.layers.Layer) -> bool:
    """Tells a maximum over windows of one pixel, which XNNPACK takes for a mistake."""
    return type(layer) is keras.layers.MaxPooling2D and layer.pool_size == (1, 1)


def _identity(layer: keras.layers.Layer) -> IntegerKernel:
    channels = layer.output_shape[-1]
    return IntegerKernel.of_line(np.ones(channels), np.zeros(channels))


def _run_layer(step: Step, tensors: _Tensors) -> tf.Tensor:
    args, kwargs = tf.nest.map_structure(
        lambda leaf: tensors[leaf] if isinstance(leaf, Ref) else leaf, (step.args, step.kwargs)
    )
    kwargs.pop('training', None)
    # `call`: Flatten and Reshape would look at the batch size of the Keras input otherwise.
    return step.layer.call(*args, **kwargs)
