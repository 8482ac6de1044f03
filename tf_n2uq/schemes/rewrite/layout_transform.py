"""The graph rewrite behind every scheme: where quantizers go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq.graph.graph import Graph, Ref, Step, copy_layer
from tf_n2uq.graph.layer_kinds import activation_name, kind_of
from tf_n2uq.layers import Quantize, QuantizedKernel, RPReLU
from tf_n2uq.schemes.calibration.kernel_start import start_kernels
from tf_n2uq.schemes.rewrite.assignment import Assignment, assign
from tf_n2uq.schemes.rewrite.decomposition import decompose
from tf_n2uq.schemes.rewrite.range_placement import folds_into_thresholds, place_ranges
from tf_n2uq.schemes.rewrite.separable import as_depthwise, separable_parts

if TYPE_CHECKING:
    from tf_n2uq.schemes.methods.scheme import LowBitScheme


class LowBitLayoutTransform(tfmot.quantization.keras.QuantizeLayoutTransform):
    """Rewrites a model in one pass and leaves `quantize_apply` nothing to wrap.

    1. Activations inside layers become layers; a separable convolution becomes two, one with a
       group per channel a depthwise one.
    2. Every kernel layer with low-bit inputs gets a quantizer in front of it, before the zero
       padding if there is one: then it is level 0 that is padded.
    3. Every kernel is quantized.
    4. Layers without an integer operator become several (see `decomposition`).
    5. Every other tensor gets an 8-bit range (see `ranges`).
    """

    def __init__(self, scheme: LowBitScheme) -> None:
        self._scheme = scheme

    def apply(
        self, model: keras.Model, layer_quantize_map: dict[str, Any]
    ) -> tuple[keras.Model, dict[str, Any]]:
        """Rewrites the model, as TFMOT asks a layout transform to.

        Args:
            model: Sequential or Functional model without annotations.
            layer_quantize_map: `{layer name: {'quantize_config': config or None}}` of the
                annotated layers.

        Returns:
            The rewritten model, and the part of the map that is left for TFMOT: layers that
            came with a config of somebody else's.

        Raises:
            ValueError: if a layer cannot be quantized, naming it.
        """
        requested = {
            name: entry['quantize_config']
            for name, entry in layer_quantize_map.items()
            if 'quantize_config' in entry
        }
        graph = Graph.from_model(model)
        assignment = assign(graph, requested, self._scheme)
        left = {
            name: entry
            for name, entry in layer_quantize_map.items()
            if requested.get(name) is not None and name not in assignment.configs
        }
        quantize_graph(graph, assignment, self._scheme.tensor_bits)
        return self.finish(graph), left

    def finish(self, graph: Graph) -> keras.Model:
        """Makes the model of a graph whose quantizers are in place.

        Args:
            graph: the rewritten graph.

        Returns:
            The model, with kernels' quantizers at their start values.
        """
        model = graph.to_model()
        start_kernels(model)
        return model


def quantize_graph(graph: Graph, assignment: Assignment, tensor_bits: int | None) -> None:
    """Puts the quantizers into a graph, in place.

    Args:
        graph: the float network.
        assignment: which steps, and how; extended by the steps that splitting makes.
        tensor_bits: bit-width of the tensors between the layers, None for float.
    """
    for name in sorted(assignment.annotated):
        _split_activation(graph, graph.steps[name], assignment)
    for name in sorted(assignment.configs):
        _split_separable(graph, graph.steps[name], assignment)
    for name in sorted(assignment.configs):
        _make_depthwise(graph.steps[name])
    for name, config in list(assignment.configs.items()):
        _quantize_kernel(graph, graph.steps[name], config, integer_bias=tensor_bits is not None)
    if tensor_bits is not None:
        decompose(graph, assignment)
        place_ranges(graph, assignment, tensor_bits)
        for step in graph:
            if step.name in assignment.annotated:
                _round_rprelu(graph, step)


def _split_activation(graph: Graph, step: Step, assignment: Assignment) -> None:
    activation = getattr(step.layer, 'activation', None)
    if type(step.layer) is keras.layers.Activation or activation in (
        None,
        keras.activations.linear,
    ):
        return
    if isinstance(activation, keras.layers.Layer):
        own = copy_layer(activation)
        rename(own, f'{step.name}_{activation.name}')
    else:
        own = keras.layers.Activation(activation, name=f'{step.name}_{activation_name(activation)}')
    if kind_of(own) is None:
        raise ValueError(
            f'model: layer {step.name!r} has the activation {activation_name(activation)!r}, '
            f'which this scheme cannot quantize; leave the layer in float with '
            f'layers={{{step.name!r}: None}}, or use one of the Keras activations.'
        )
    _replace_layer(step, copy_layer(step.layer, lambda config: config.update(activation='linear')))
    assignment.annotated.add(graph.insert_after(step.output, own).name)


def _round_rprelu(graph: Graph, step: Step) -> None:
    """Lets an RPReLU that the file computes, not a quantizer's comparators, round as the file."""
    if isinstance(step.layer, RPReLU) and not folds_into_thresholds(graph, step):
        rounded = copy_layer(step.layer, lambda config: config.update(integer_bias=True))
        _replace_layer(step, rounded)


def _replace_layer(step: Step, layer: keras.layers.Layer) -> None:
    step.layer = layer
    step.restore = [(layer, arrays) for _, arrays in step.restore]


def _split_separable(graph: Graph, step: Step, assignment: Assignment) -> None:
    parts = separable_parts(step.layer)
    if parts is None:
        return
    depthwise, pointwise = parts
    (source,) = step.inputs
    first = graph.add(depthwise, source)
    second = graph.insert_after(first.output, pointwise)
    for _, arrays in step.restore:
        first.restore.append((depthwise, arrays[:1]))
        second.restore.append((pointwise, arrays[1:]))
    graph.redirect(step.output, second.output)
    del graph.steps[step.name]
    config = assignment.configs.pop(step.name)
    assignment.annotated.discard(step.name)
    for part in (first, second):
        assignment.annotated.add(part.name)
        assignment.configs[part.name] = config


def _make_depthwise(step: Step) -> None:
    for _, (kernel, *bias) in step.restore:
        depthwise = as_depthwise(step.layer, kernel)
        if depthwise is not None:
            step.layer, kernel = depthwise
            step.restore = [(step.layer, [kernel, *bias])]


def _quantize_kernel(graph: Graph, step: Step, config: Any, integer_bias: bool) -> None:
    quantizer = config.input_quantizer()
    if quantizer is not None:
        reader, source = _behind_own_padding(graph, step)
        thresholds = Quantize(quantizer, name=f'{step.name}_thresholds')
        graph.insert_before(reader, source, thresholds)
    # The wrapper's name carries TFMOT's prefix, the step keeps the layer's.
    step.layer = QuantizedKernel(step.layer, config, integer_bias)


def _behind_own_padding(graph: Graph, step: Step) -> tuple[Step, Ref]:
    """Returns the step whose input is to be quantized, with that input.

    That is the layer itself, or the zero padding in front of it; a padding that has other
    readers too is doubled first.
    """
    (source,) = step.inputs
    producer = graph.producer(source)
    if type(producer.layer) not in (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D):
        return step, source
    (padded,) = producer.inputs
    if len(graph.consumers(source)) > 1 or graph.is_output(source):
        copy = graph.insert_before(step, source, copy_layer(producer.layer))
        copy.redirect(source, padded)
        return copy, padded
    return producer, padded
