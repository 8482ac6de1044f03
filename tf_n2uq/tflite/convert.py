"""From a trained quantized model to an integer TFLite file."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.tflite_converter import modify_model_io_type
from tf_n2uq.graph.checks import check_quantized_model
from tf_n2uq.graph.input_shapes import with_input_shapes
from tf_n2uq.graph.model_ends import input_names
from tf_n2uq.schemes.adaptive.switching import bit_widths, extract
from tf_n2uq.tflite.network.completion import complete
from tf_n2uq.tflite.network.float_steps import float_ends, input_types
from tf_n2uq.tflite.network.integer_network import IntegerNetwork
from tf_n2uq.tflite.network.network_file import write_network
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.output_structure import mark_dictionary
from tf_n2uq.tflite.passes.signature import sign
from tf_n2uq.tflite.reports.acceptance import check_integer_file, warn_of_float_file
from tf_n2uq.tflite.signature_names import float_output_names, returns_dictionary
from tf_n2uq.tflite.targets import PLANNERS, passes_of

_INTERFACE_TYPES = (tf.float32, tf.int8, tf.uint8)
_MOST_VALUES = 2**31 - 1


def convert(
    model: keras.Model,
    *,
    bits: int | None = None,
    representative_dataset: Any | None = None,
    inference_input_type: tf.DType | str = tf.float32,
    inference_output_type: tf.DType | str = tf.float32,
    target: Literal['xnnpack', 'micro'] = 'xnnpack',
    optimize_for: Literal['latency', 'size'] | None = None,
    batch_size: int = 1,
    input_shapes: Any | None = None,
    allow_float: bool = False,
) -> bytes:
    """Converts a quantized model into a TFLite file that computes with integers only.

    Every tensor between input and output is int8 or int32, a kernel may also be int4 or int2, and
    every operator is a built-in one that the target runs. Thresholds that all channels share become
    operators on single numbers, which XNNPACK replaces by a table of 256 values. Others become
    comparators, saturating SUBs whose results are added up. The bias, activation or normalization
    in front of a quantizer is part of either, exactly.

    Args:
        model: a model from `quantize_apply` with a scheme of this project, calibrated or trained.
        bits: which bit-width of an adaptive model (`AdaBitsScheme`) the file is of; None for any
            other model.
        representative_dataset: inputs that show the ranges of tensors that have none from
            training (`tensor_bits=None`, layers left in float): batches as for
            `tf_n2uq.calibrate`, or a function as for `tf.lite.TFLiteConverter`.
        inference_input_type: what the file takes: tf.float32 (quantized by its first operator),
            tf.int8 or tf.uint8; or the name of one of them, such as 'uint8'. Integers that a float
            layer reads, such as the words of an `Embedding`, always have the type of their
            `tf_keras.Input`.
        inference_output_type: what the file returns, likewise.
        target: whose kernels the file is written for. 'xnnpack': phones, PCs, a Raspberry Pi.
            'micro': TensorFlow Lite Micro, for microcontrollers; `micro_arena` tells the memory
            that the file then needs. LiteRT runs either.
        optimize_for: how a file for 'xnnpack' stores its kernels. 'latency': as int8, for the
            fastest kernels of every processor. A file with kernels of few bits is still small in a
            zip, as in the package of an app. 'size': kernels of 2 to 4 bits are INT2 or INT4,
            wherever that makes the file itself smaller. The file runs more slowly, and gives the
            same integers. None stands for 'latency'. A file for 'micro' has one form only, so
            that this argument has to be None.
        batch_size: the number of images that the file takes in one run, >= 1. Each image gives what
            it gives in a file of one image, to the bit.
        input_shapes: the shapes of images in the file, without the batch, for a model that takes
            images of any size: (96, 96, 3) for the only input, a list of shapes in the order of the
            inputs, or a dictionary of shapes by their names. None if the model knows them.
        allow_float: whether layers that no integer operator computes stay float, with conversions
            around them, and whether operators that XNNPACK does not take may be in the middle of
            the network. Float layers compute what they compute in Keras, up to the rounding of
            float32: none of their tensors and weights is quantized. What that concerns is logged
            as a warning, and `inspect` lists it.

    Returns:
        The content of the .tflite file. It has been loaded once, and, for 'xnnpack', is one
        partition of it; probabilities at the end may follow.
        Its signature has the names and the order of the model's inputs and outputs: the keys of
        dictionaries, and else the names of the layers in the float model.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if the model is not quantized, not built or subclassed; an adaptive model comes
            without one of its bit-widths in `bits`, or another model with one; a layer cannot be
            integer or interrupts XNNPACK; a range is neither trained nor given by data; a type or
            target is not supported; an 8-bit input or output is asked for next to a float layer;
            `optimize_for` is no choice of the target; `batch_size` is no number of images; or
            `input_shapes` does not fit the model, or is missing.
    """
    check_quantized_model(model)
    passes = passes_of(target, optimize_for)
    input_type = _interface_type(inference_input_type, 'inference_input_type')
    output_type = _interface_type(inference_output_type, 'inference_output_type')
    model = with_input_shapes(model, input_shapes)
    shapes = _shapes(model, batch_size)
    model = _at_bits(model, bits)
    graph, decisions = complete(model, representative_dataset, allow_float)
    network = IntegerNetwork(
        graph, decisions, planner=PLANNERS[target], halves_kernels=optimize_for == 'size'
    )
    types = input_types(graph, network.floats)
    signature = [
        tf.TensorSpec(shape, dtype, name=name)
        for name, shape, dtype in zip(input_names(model), shapes, types, strict=True)
    ]
    _check_ends(model, types, float_ends(graph, network.floats), input_type, output_type)
    file = write_network(network, graph, signature)
    if (input_type, output_type) != (tf.float32, tf.float32):
        file = _with_types(file, input_type, output_type)
    sign(file, input_names(model), float_output_names(model))
    if returns_dictionary(model):
        mark_dictionary(file)
    for each in passes(network.plans):
        each(file)
    content = flatbuffer.write(file)
    if allow_float:
        warn_of_float_file(file, content, target)
    else:
        check_integer_file(file, content, target)
    return content


def _interface_type(value: Any, name: str) -> tf.DType:
    """Returns the type that a user names, as a type of TensorFlow or NumPy or by its name."""
    try:
        found = tf.as_dtype(value)
    except TypeError:
        found = None
    if found not in _INTERFACE_TYPES:
        raise ValueError(
            f"{name}: expected tf.float32, tf.int8 or tf.uint8, or one of their names, 'float32', "
            f"'int8' or 'uint8', got {value!r}. Give one of these."
        )
    return found


def _at_bits(model: keras.Model, bits: int | None) -> keras.Model:
    widths = bit_widths(model)
    if bits is not None and not widths:
        raise ValueError(
            f'bits: expected None, as model {model.name!r} has one bit-width only, got {bits!r}. '
            'The bit-widths of its layers are what they were quantized to.'
        )
    if widths and bits is None:
        raise ValueError(
            f'bits: expected one of {", ".join(map(str, widths))}, the bit-widths of model '
            f'{model.name!r}, got None. Convert once for each that you need.'
        )
    return model if bits is None else extract(model, bits)


def _shapes(model: keras.Model, batch_size: Any) -> list[tf.TensorShape]:
    """Returns the shapes of the inputs of a file."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(
            'batch_size: expected the number of images that the file takes in one run, a whole '
            f'number of at least 1, got {batch_size!r}. Leave it at 1 unless the images of your '
            'application come in groups of one size.'
        )
    shapes = [tf.TensorShape([int(batch_size), *tensor.shape[1:]]) for tensor in model.inputs]
    for name, shape in zip(input_names(model), shapes, strict=True):
        if not shape.is_fully_defined():
            raise ValueError(
                f'input_shapes: expected the size of images for input {name!r}, whose shape in the '
                f'model is {tuple(shape[1:])}, got None. Give one, such as '
                'input_shapes=(96, 96, 3).'
            )
        if shape.num_elements() > _MOST_VALUES:
            raise ValueError(
                f'batch_size: expected inputs of at most {_MOST_VALUES} values, which TFLite '
                f'counts in int32, got {batch_size}, with which {name!r} has the shape '
                f'{shape}. Take fewer images.'
            )
    return shapes


def _check_ends(
    model: keras.Model,
    types: list[tf.DType],
    next_to_float: tuple[dict[int, str], dict[int, str]],
    input_type: tf.DType,
    output_type: tf.DType,
) -> None:
    """Refuses 8-bit inputs and outputs next to layers that stay in float."""
    readers, makers = next_to_float
    # Integers such as the words of an `Embedding` keep their type, whatever the user asks for.
    readers = {number: name for number, name in readers.items() if types[number].is_floating}
    ends = (
        ('input', 'reads', input_type, input_names(model), readers),
        ('output', 'makes', output_type, float_output_names(model), makers),
    )
    for end, verb, dtype, names, layers in ends:
        if dtype != tf.float32 and layers:
            number, layer = next(iter(layers.items()))
            raise ValueError(
                f'inference_{end}_type: expected tf.float32, as layer {layer!r}, which stays in '
                f'float, {verb} the {end} {names[number]!r}, got tf.{dtype.name}. Leave the '
                'argument out.'
            )


def _with_types(file: Any, input_type: tf.DType, output_type: tf.DType) -> Any:
    """Returns a `ModelT` with other types of its quantized inputs and outputs."""
    content = modify_model_io_type(flatbuffer.write(file), input_type, output_type)
    return flatbuffer.read(bytes(content))
