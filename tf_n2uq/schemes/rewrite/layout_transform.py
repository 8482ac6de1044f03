"""The rewrite behind every scheme, which puts quantizers into the graph of a model."""

from __future__ import annotations

from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import logging

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq._compat.keras_models import let_clone_forget_calls
from tf_n2uq.graph.added_losses import check_added, regularize
from tf_n2uq.graph.decisions import decide, write_roles
from tf_n2uq.graph.fusing import find_fusing
from tf_n2uq.graph.graph import Graph, Ref, Step, copy_layer
from tf_n2uq.layers import Deployment, Quantize, QuantizedKernel, RPReLU
from tf_n2uq.layers.layer_spec import activation_name, kind_of
from tf_n2uq.schemes.calibration.kernel_start import start_kernels
from tf_n2uq.schemes.rewrite.assignment import Assignment, assign
from tf_n2uq.schemes.rewrite.bit_policy import BitPolicy
from tf_n2uq.schemes.rewrite.decomposition import decompose
from tf_n2uq.schemes.rewrite.output_names import name_outputs
from tf_n2uq.schemes.rewrite.pruned import check_stripped, tell_sparse
from tf_n2uq.schemes.rewrite.range_placement import place_ranges
from tf_n2uq.schemes.rewrite.same_range import assign_offsets, keep_ranges
from tf_n2uq.schemes.rewrite.separable import as_depthwise, causal_padding, separable_parts


class LowBitLayoutTransform(tfmot.quantization.keras.QuantizeLayoutTransform):
    """Rewrites a model in one pass and leaves `quantize_apply` nothing to wrap.

    1. Activations inside layers become layers. A separable convolution becomes two layers, and a
       convolution with a group per channel becomes a depthwise one.
    2. Every layer with a kernel and a low-bit input gets a quantizer in front of it. If a zero
       padding is in front of the layer, the quantizer goes in front of the padding, so that
       level 0 is padded.
    3. Every kernel is quantized.
    4. A layer without an integer operator becomes several layers (see `decomposition`).
    5. Every other tensor gets an 8-bit range (see `range_placement`). RPReLUs write in the range
       that they read (see `same_range`).
    6. The outputs get the names that they have in the float model (see `output_names`).
    7. The decisions are written into the layers (see `graph.decisions`).
    """

    def __init__(self, scheme: BitPolicy) -> None:
        self._scheme = scheme

    def apply(
        self, model: keras.Model, layer_quantize_map: dict[str, Any]
    ) -> tuple[keras.Model, dict[str, Any]]:
        """Rewrites the model; TFMOT calls this method.

        Args:
            model: Sequential or Functional model without annotations.
            layer_quantize_map: `{layer name: {'quantize_config': config or None}}` of the
                annotated layers.

        Returns:
            The rewritten model, and an empty map, as nothing is left for TFMOT to wrap.

        Raises:
            ValueError: if a layer cannot be quantized, or has a config of another package that has
                no form in an integer file. The error names the layer.
        """
        requested = {
            name: entry['quantize_config']
            for name, entry in layer_quantize_map.items()
            if 'quantize_config' in entry
        }
        graph = Graph.from_model(model)
        check_stripped(step.layer for step in graph)
        check_added(graph, graph.added, requested)
        assignment = assign(graph, requested, self._scheme)
        _tell_frozen(graph, assignment)
        quantize_graph(graph, assignment, self._scheme.tensor_bits, self._scheme.deployment)
        name_outputs(graph, model.output_names)
        rewritten = self.finish(graph)
        tell_sparse(rewritten)
        # TFMOT clones the model, and keeps its layers.
        let_clone_forget_calls(rewritten)
        return rewritten, {}

    def finish(self, graph: Graph) -> keras.Model:
        """Makes a model of a graph with its quantizers.

        Args:
            graph: the rewritten graph.

        Returns:
            The model. The quantizers of kernels have start values from the kernels.
        """
        write_roles(graph, decide(graph))
        model = graph.to_model()
        start_kernels(graph)
        return model


def _tell_frozen(graph: Graph, assignment: Assignment) -> None:
    """Warns of kernels that training will not adapt to their few levels."""
    frozen = [name for name in sorted(assignment.configs) if not graph.steps[name].layer.trainable]
    if frozen:
        logging.warning(
            'model: the kernels of %d of %d quantized layers are frozen (trainable=False), %r for '
            'one. Training moves only the quantizers in front of them, which costs accuracy at few '
            'bits. Set trainable = True for the quantized model, and compile it, to train all.',
            len(frozen),
            len(assignment.configs),
            frozen[0],
        )


def quantize_graph(
    graph: Graph,
    assignment: Assignment,
    tensor_bits: int | None,
    deployment: Deployment | None = None,
) -> None:
    """Puts the quantizers into a graph, in place.

    Args:
        graph: the float network.
        assignment: the steps to quantize, and their configs. Steps that splitting makes are added.
        tensor_bits: the bit-width of the tensors between the layers, None for float.
        deployment: the grid of levels and biases in an integer file; None for the default one.
    """
    for name in sorted(assignment.annotated):
        _split_activation(graph, graph.steps[name], assignment)
    for name in sorted(assignment.configs):
        # The first call of a layer splits them all.
        if name in graph.steps:
            _split_separable(graph, graph.steps[name], assignment)
    for name in sorted(assignment.configs):
        _make_depthwise(graph, graph.steps[name])
    steps = [graph.steps[name] for name in assignment.configs]
    for layer in {id(step.layer): step.layer for step in steps}.values():
        calls = graph.calls_of(layer)
        config = assignment.configs[calls[0].name]
        kernel = QuantizedKernel(layer, config, tensor_bits is not None, deployment=deployment)
        for use, step in enumerate(calls):
            _quantize_kernel(graph, step, kernel)
            if use:
                step.kwargs['use'] = use
    if tensor_bits is None:
        return
    decompose(graph, assignment)
    same_range = keep_ranges(graph, assignment)
    place_ranges(graph, assignment, tensor_bits)
    assign_offsets(graph, same_range)
    fusing = find_fusing(graph)
    for step in graph:
        # Such an RPReLU gets a range of its own, and the file rounds its biases.
        alone = isinstance(step.layer, RPReLU) and step.name not in fusing.folded
        if alone and not step.layer.same_range and step.name in assignment.annotated:
            _let_round(step)
    for name in fusing.level_writers:
        graph.steps[name].layer.levels_of_operator = True


def _split_activation(graph: Graph, step: Step, assignment: Assignment) -> None:
    activation = getattr(step.layer, 'activation', None)
    if type(step.layer) is keras.layers.Activation or activation in (
        None,
        keras.activations.linear,
    ):
        return
    calls = graph.calls_of(step.layer)
    regularizer = step.layer.activity_regularizer
    # The penalty is on what the activation returns.
    changes = {'activation': 'linear', **({'activity_regularizer': None} if regularizer else {})}
    bare = copy_layer(step.layer, lambda config: config.update(changes))
    _replace_layer(graph, step, bare)
    for call in calls:
        if isinstance(activation, keras.layers.Layer):
            own = copy_layer(activation)
            rename(own, f'{call.name}_{activation.name}')
        else:
            name = f'{call.name}_{activation_name(activation)}'
            own = keras.layers.Activation(activation, name=name)
        if kind_of(own) is None:
            raise ValueError(
                f'model: layer {step.name!r} has the activation {activation_name(activation)!r}, '
                f'which this scheme cannot quantize; leave the layer in float with '
                f'layers={{{step.name!r}: None}}, or use one of the Keras activations.'
            )
        activated = graph.insert_after(call.output, own)
        assignment.annotated.add(activated.name)
        if regularizer is not None:
            regularize(graph, activated.output, regularizer, call.name)


def _let_round(step: Step) -> None:
    """Makes an RPReLU round its biases as a file does."""
    step.layer = copy_layer(step.layer, lambda config: config.update(integer_bias=True))
    step.restore = [(step.layer, arrays) for _, arrays in step.restore]


def _replace_layer(graph: Graph, step: Step, layer: keras.layers.Layer) -> None:
    """Gives all calls of the layer of a step another layer, with the same weights."""
    for call in graph.calls_of(step.layer):
        call.layer = layer
        call.restore = [(layer, arrays) for _, arrays in call.restore]


def _split_separable(graph: Graph, step: Step, assignment: Assignment) -> None:
    parts = separable_parts(step.layer)
    if parts is None:
        return
    depthwise, pointwise = parts
    for number, call in enumerate(graph.calls_of(step.layer)):
        add = graph.call_again if number else graph.add
        (source,) = call.inputs
        padding = causal_padding(step.layer)
        if padding is not None:
            padded = graph.add(padding, source)
            assignment.annotated.add(padded.name)
            source = padded.output
        first = add(depthwise, source)
        second = add(pointwise, first.output)
        for _, arrays in call.restore:
            first.restore.append((depthwise, arrays[:1]))
            second.restore.append((pointwise, arrays[1:]))
        graph.redirect(call.output, second.output)
        del graph.steps[call.name]
        config = assignment.configs.pop(call.name)
        assignment.annotated.discard(call.name)
        for part in (first, second):
            assignment.annotated.add(part.name)
            assignment.configs[part.name] = config


def _make_depthwise(graph: Graph, step: Step) -> None:
    for _, (kernel, *bias) in step.restore:
        depthwise = as_depthwise(step.layer, kernel)
        if depthwise is not None:
            layer, kernel = depthwise
            _replace_layer(graph, step, layer)
            step.restore = [(layer, [kernel, *bias])]


def _quantize_kernel(graph: Graph, step: Step, kernel: QuantizedKernel) -> None:
    quantizer = kernel.quantize_config.input_quantizer()
    if quantizer is not None:
        reader, source = _behind_own_padding(graph, step)
        thresholds = Quantize(quantizer, kernel.deployment, name=f'{step.name}_thresholds')
        graph.insert_before(reader, source, thresholds)
    # The wrapper's name carries TFMOT's prefix, the step keeps the layer's.
    step.layer = kernel


def _behind_own_padding(graph: Graph, step: Step) -> tuple[Step, Ref]:
    """Returns the step whose input is to be quantized, and this input.

    The step is the given one, or the zero padding in front of it. A padding that other steps read,
    too, is copied first.
    """
    (source,) = step.inputs
    producer = graph.producer(source)
    if not producer.spec.keeps_pixels:
        return step, source
    (padded,) = producer.inputs
    if len(graph.consumers(source)) > 1 or graph.is_output(source):
        copy = graph.insert_before(step, source, copy_layer(producer.layer))
        copy.redirect(source, padded)
        return copy, padded
    return producer, padded
