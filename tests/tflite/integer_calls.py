"""Calls of single layers as an integer file would compute them, without a network around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.tflite.network.form import IntegerCall, IntegerForm, Source
from tf_n2uq.tflite.network.ranges import Range

SOURCE, RESULT = Range(0.021, -5), Range(0.034, 9)


def integer_call(
    layer: keras.layers.Layer,
    *input_shapes: tuple[int, ...],
    result: Range | None = RESULT,
    sources: Sequence[Range] = (),
    line: keras.layers.Layer | None = None,
) -> IntegerCall:
    """A call of a layer. Several tensors are read as one list, as merging layers do.

    layer: is built if it is not yet.
    input_shapes: with the batch.
    sources: ranges of the tensors, `SOURCE` for each by default.
    """
    refs = [Ref(f'source_{number}') for number in range(len(input_shapes))]
    shapes = [tuple(shape) for shape in input_shapes]
    if not layer.built:
        layer.build(shapes if len(shapes) > 1 else shapes[0])
    return IntegerCall(
        step=Step(layer.name, layer, (refs if len(refs) > 1 else refs[0],)),
        input_shapes=list(shapes),
        sources=[Source(each, 1.0) for each in (sources or [SOURCE] * len(shapes))],
        result=result,
        line=line,
    )


def numbers(shape: tuple[int, ...], seed: int = 0, within: Range = SOURCE) -> tf.Tensor:
    """Random numbers that an int8 tensor of a range can hold."""
    rng = np.random.default_rng(seed)
    return tf.constant(within.values()[rng.integers(0, 256, shape)])


def run_form(form: IntegerForm, call: IntegerCall, *inputs: tf.Tensor) -> np.ndarray:
    """What a form computes, before it is rounded to the range of the result."""
    return np.asarray(form.run(call, list(inputs), form.kernels(call)))
