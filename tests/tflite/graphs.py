"""Small graphs as the export writes them, converted by the real converter."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_n2uq.tflite.levels.planning import LevelPlan
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.markers import marker_alpha
from tf_n2uq.tflite.running.interpreter import make_interpreter
from tf_n2uq.tflite.targets import size_passes

ALL_INT8 = np.arange(-128, 128).astype(np.int8)


def fake_quant(x: tf.Tensor, scale: float, zero_point: int = 0) -> tf.Tensor:
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    return tf.quantization.fake_quant_with_min_max_vars(x, low, high)


def kernel_fake_quant(kernel: np.ndarray, scale: np.ndarray) -> tf.Tensor:
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(
        tf.constant(kernel, tf.float32),
        tf.constant(-127 * scale, tf.float32),
        tf.constant(127 * scale, tf.float32),
        8,
        narrow_range=True,
    )


def marked(
    x: tf.Tensor,
    index: int,
    scale: float,
    zero_point: int = 0,
    plan: LevelPlan | None = None,
) -> tf.Tensor:
    """A marker for `plan`, or one that nothing will take the place of."""
    x = fake_quant(x, scale, zero_point)
    x = tf.raw_ops.LeakyRelu(features=x, alpha=marker_alpha(index))
    if plan is None:
        return fake_quant(x, scale)
    return fake_quant(x, scale / plan.stretch, plan.zero_point)


def convert(
    function: Callable[[tf.Tensor], tf.Tensor],
    shape: list[int],
    interface: tf.DType = tf.int8,
) -> bytes:
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = interface
    return converter.convert()


def lower(content: bytes, plans: list[LevelPlan]) -> bytes:
    """All passes of a conversion for XNNPACK that optimizes for size."""
    model = flatbuffer.read(content)
    for each in size_passes(plans):
        each(model)
    return flatbuffer.write(model)


def run(content: bytes, x: np.ndarray, reference_kernels: bool = False) -> np.ndarray:
    interpreter = make_interpreter(content, 1, reference_kernels)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]['index'])


def operators(content: bytes) -> list[str]:
    model = flatbuffer.read(content)
    return [
        flatbuffer.operator_name(model, operator)
        for operator in flatbuffer.main_graph(model).operators
    ]


def kernels(content: bytes) -> list[tuple[str, np.ndarray]]:
    """Type and, for int8, the values of every kernel, in the order of execution."""
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    found = []
    for operator in graph.operators:
        if flatbuffer.operator_name(model, operator) not in (
            'CONV_2D',
            'DEPTHWISE_CONV_2D',
            'FULLY_CONNECTED',
        ):
            continue
        tensor = graph.tensors[operator.inputs[1]]
        values = np.frombuffer(flatbuffer.buffer_bytes(model, tensor), np.int8)
        kind = flatbuffer.type_name(tensor)
        found.append((kind, values.reshape(tensor.shape) if kind == 'INT8' else values))
    return found


def staircase(
    rng: np.random.Generator, levels: int, channel_shape: tuple[int, ...], kind: str = 'monotone'
) -> np.ndarray:
    """A random table [256, *channel_shape] as learned thresholds behind a bias and a PReLU make it.

    kind: 'monotone', 'slopes' (both signs of slopes on either side of zero), or 'shared' (the same
    thresholds for all channels).
    """
    shape = (1,) * len(channel_shape) if kind == 'shared' else channel_shape
    thresholds = np.sort(rng.uniform(-140.0, 140.0, (levels, *shape)), axis=0)
    q = np.arange(-128, 128, dtype=np.float64).reshape(256, *(1,) * len(channel_shape))
    x = q + (0 if kind == 'shared' else rng.normal(0.0, 20.0, channel_shape))
    if kind == 'slopes':
        slope = rng.uniform(-2.0, 2.0, channel_shape)
        x = np.where(x > 0, x, slope * x) * rng.choice([-1.0, 1.0], channel_shape)
    table = (x[None] > thresholds[:, None]).sum(axis=0)
    return np.broadcast_to(table, (256, *channel_shape)).astype(np.int32)


def learned(rng: np.random.Generator, levels: int, channels: int, spread: float) -> np.ndarray:
    """A table [256, 1, 1, channels] as thresholds make it behind an RPReLU per channel.

    spread: of the logarithm of the intervals between thresholds; 0: all are equal.
    """
    x = np.arange(-128, 128)[:, np.newaxis] + rng.normal(5.0, 15.0, channels)
    slope = rng.normal(0.25, 0.1, channels)
    x = np.where(x > 0, x, slope * x) + rng.normal(0.0, 5.0, channels)
    thresholds = np.cumsum(100 / levels * np.exp(spread * rng.normal(size=levels)))
    return (x[:, np.newaxis, np.newaxis, :, np.newaxis] > thresholds).sum(axis=-1)


def intervals(
    rng: np.random.Generator, levels: int, span: float, spread: float = 0.3, least: int = 2
) -> np.ndarray:
    """A random column [256] of thresholds that span a number of int8 values.

    spread: of the logarithm of the intervals between thresholds; 0: all are equal.
    least: the least number of values from one threshold to the next.
    """
    while True:
        places = np.cumsum(np.r_[0.0, np.exp(spread * rng.normal(size=levels - 1))])
        places *= span / max(places[-1], 1.0)
        thresholds = np.ceil(places + rng.uniform(-127.0, 127.0 - span))
        if (np.diff(thresholds) >= least).all():
            return (np.arange(-128, 128)[:, np.newaxis] >= thresholds).sum(axis=1)
