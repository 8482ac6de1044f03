"""The file that TensorFlow's converter makes of an integer network, and of its float layers.

The converter makes int8 operators of float operators that stand between quantized tensors, and
gives fixed ranges to float sigmoids, whether somebody has asked for that or not. Such operators
round where Keras does not. So the converter never sees integer steps and float steps together: it
makes a file of each, and both are joined.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_n2uq._compat.tflite_converter import ConverterError
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.tflite.network.integer_network import IntegerNetwork
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.joining import FilePart, join


def write_network(network: IntegerNetwork, graph: Graph, signature: list[tf.TensorSpec]) -> Any:
    """Makes a file of a network.

    Args:
        network: the network.
        graph: the graph of the network.
        signature: the shapes, types and names of the inputs, with the batch.

    Returns:
        A `ModelT` with markers in place of thresholds. Its inputs and outputs are float, except
        integers that float layers read.

    Raises:
        ValueError: if a tensor between float and integer layers has no known size, or no built-in
            operator of TFLite computes a float layer. The message names the layer.
    """
    if not network.floats:
        return _run_converter(network, signature, [tf.lite.Optimize.DEFAULT])
    specs = _traced_specs(network, graph, signature)
    integer_steps = [step for step in network.steps if step.name not in network.floats]
    float_steps = [step for step in network.steps if step.name in network.floats]
    integers = _Part(network, graph, integer_steps, float_steps)
    floats = _Part(network, graph, float_steps, integer_steps)
    return join(
        _file_of(integers, specs, [tf.lite.Optimize.DEFAULT]),
        _file_of(floats, specs, []),
        inputs=graph.inputs,
        outputs=tf.nest.flatten(graph.outputs),
    )


# How the converter names a TensorFlow operator that no operator of TFLite computes.
_WITHOUT_OPERATOR = re.compile(r"'(tf\.\w+)' op is neither")


class _Part:
    """Steps of a network that become a file of their own.

    Attributes:
        inputs: the tensors that the steps read and do not make.
        outputs: the tensors that they make, and that other steps read or the model returns.
        layers: the names of the layers, for errors.
    """

    def __init__(
        self, network: IntegerNetwork, graph: Graph, steps: list[Step], others: list[Step]
    ) -> None:
        self._network, self._steps = network, [step for step in steps if step.inputs]
        self.layers = [f'{step.name} ({type(step.layer).__name__})' for step in self._steps]
        names = {step.name for step in self._steps}
        read = [ref for step in self._steps for ref in network.inputs_of(step)]
        self.inputs = list(dict.fromkeys(ref for ref in read if ref.step not in names))
        self._ends = tf.nest.flatten(graph.outputs)
        wanted = [ref for step in others for ref in network.inputs_of(step)] + self._ends
        self.outputs = list(dict.fromkeys(ref for ref in wanted if ref.step in names))

    def __call__(self, *inputs: tf.Tensor) -> list[tf.Tensor]:
        tensors = dict(zip(self.inputs, inputs, strict=True))
        for step in self._steps:
            self._network.run(step, tensors)
        # A layer that returns what it reads would leave a file without an operator.
        return [tf.identity(tensors[ref]) for ref in self.outputs]

    def name_borders(self, model: Any) -> None:
        """Names the tensors that the other part reads by the layers that make them.

        Args:
            model: the file of this part, changed in place.
        """
        main = flatbuffer.main_graph(model)
        for ref, index in zip(self.outputs, main.outputs, strict=True):
            if ref not in self._ends:
                main.tensors[index].name = f'{ref.step}/float_{ref.index}'.encode()


def _traced_specs(
    network: IntegerNetwork, graph: Graph, signature: list[tf.TensorSpec]
) -> dict[Ref, tf.TensorSpec]:
    """Returns shapes and types of all tensors, with the batch of the file."""
    found: dict[Ref, tf.TensorSpec] = {}

    def trace(*inputs: tf.Tensor) -> None:
        tensors = dict(zip(graph.inputs, inputs, strict=True))
        for step in network.steps:
            if step.inputs:
                network.run(step, tensors)
        found.update({ref: tf.TensorSpec(each.shape, each.dtype) for ref, each in tensors.items()})

    tf.function(trace, autograph=False).get_concrete_function(*signature)
    return found


def _file_of(part: _Part, specs: dict[Ref, tf.TensorSpec], optimizations: list[Any]) -> FilePart:
    for ref in part.inputs:
        if not specs[ref].shape.is_fully_defined():
            raise ValueError(
                f'model: expected a tensor of known size behind layer {ref.step!r}, next to which '
                f'layers stay in float, got the shape {specs[ref].shape}. Let the layer return a '
                'tensor of one size, such as by a tf_keras.layers.Reshape behind it.'
            )
    try:
        model = _run_converter(part, [specs[ref] for ref in part.inputs], optimizations)
    except ConverterError as error:
        missing = sorted(set(_WITHOUT_OPERATOR.findall(str(error))))
        if not missing:
            raise
        raise ValueError(
            f'model: expected float layers that built-in operators of TFLite compute, got '
            f'{", ".join(missing)} in one of {", ".join(part.layers)}. Write the layer with other '
            'functions.'
        ) from error
    part.name_borders(model)
    return FilePart(model, part.inputs, part.outputs)


def _run_converter(function: Any, signature: Sequence[tf.TensorSpec], optimizations: list) -> Any:
    """Returns what the converter makes of a function, a `ModelT`."""
    concrete = tf.function(function, autograph=False).get_concrete_function(*signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.optimizations = optimizations
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # The way over a SavedModel takes twice as long, and gives the same but for the signature.
    converter.experimental_lower_to_saved_model = False
    with warnings.catch_warnings():
        # The ranges of inputs are in the network already.
        warnings.filterwarnings('ignore', 'Statistics for quantized inputs were expected')
        return flatbuffer.read(converter.convert())
