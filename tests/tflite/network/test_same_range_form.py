import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import RPReLU
from tf_n2uq.tflite import compare, inspect
from tf_n2uq.tflite.network.form import IntegerCall, Source
from tf_n2uq.tflite.network.level_tables import LevelTable
from tf_n2uq.tflite.network.ranges import Range
from tf_n2uq.tflite.network.same_range_form import SameRangeRectifier, fold_left

CHANNELS = 16
RANGE = Range(0.037, 11)
SLOPES = {'convex': (-1.0, 0.99), 'concave': (1.01, 2.5), 'mixed': (-1.5, 2.5)}
layers = keras.layers


def rectifier_layer(slopes, seed=0):
    rng = np.random.default_rng(seed)
    layer = RPReLU(same_range=True)
    layer.build((None, 1, 1, CHANNELS))
    layer.slope.assign(rng.uniform(*slopes, CHANNELS))  # type: ignore[call-overload]
    layer.bias_in.assign(rng.normal(0.0, 0.5, CHANNELS))
    layer.bias_out.assign(rng.normal(0.0, 0.5, CHANNELS))
    return layer


def call_of(layer, moved):
    graph = Graph.of_layers(keras.Sequential([keras.Input((1, 1, CHANNELS)), layer]))
    (step,) = (step for step in graph if step.layer is layer)
    offset = np.asarray(layer.shift(), np.float64) if moved else np.zeros([])
    shape = (None, 1, 1, CHANNELS)
    return IntegerCall(step, [shape], [Source(RANGE, 1.0)], None, offset_in=offset)


@pytest.mark.parametrize('moved', [True, False])
@pytest.mark.parametrize('slopes', SLOPES.values(), ids=SLOPES)
def test_codes_are_the_rounded_function(slopes, moved):
    layer = rectifier_layer(slopes)
    call = call_of(layer, moved)
    numbers = RANGE.values()[:, None] - call.offset_in
    plain = RPReLU()
    plain.build((None, CHANNELS))
    plain.set_weights(layer.get_weights())
    exact = np.asarray(plain(numbers.astype(np.float32)), np.float64) / RANGE.scale
    got = SameRangeRectifier.of(call).codes(with_left=True) - RANGE.zero_point
    # Left and right of the knee, rounding moves a result by half a step at most. Where the function
    # adds steps, these are rounded too. Sums saturate before steps are added. The left part is a
    # few hundredths of a step off, so that it is on no tie.
    inside = np.abs(exact) < 80
    assert np.abs(got - exact)[inside].max() <= (0.58 if moved else 1.08)


def test_right_of_the_knee_the_offset_tensor_passes_unchanged():
    call = call_of(rectifier_layer(SLOPES['convex']), moved=True)
    rectifier = SameRangeRectifier.of(call)
    assert not rectifier.adds_steps
    codes = rectifier.codes(with_left=False)
    np.testing.assert_array_equal(
        codes, np.broadcast_to(np.arange(-128, 128)[:, None], codes.shape)
    )


def table(thresholds):
    levels = np.searchsorted(np.asarray(thresholds), np.arange(-128, 128), side='right')
    levels = np.broadcast_to(levels[:, None], (256, CHANNELS)).reshape(256, 1, 1, CHANNELS)
    return {'thresholds': LevelTable(None, RANGE, levels, 1.0, 3, 84)}


def test_a_left_part_below_all_thresholds_is_left_out():
    call = call_of(rectifier_layer((0.1, 0.5)), moved=True)
    tables = table([90, 100, 110])
    assert fold_left(call, tables) == tables


def test_a_left_part_that_is_the_same_in_all_channels_becomes_a_part_of_the_table():
    layer = rectifier_layer((0.25, 0.25))
    layer.bias_out.assign(np.full(CHANNELS, 0.4))
    folded = fold_left(call_of(layer, moved=True), table([-40, 20, 60]))
    levels = folded['thresholds'].levels.reshape(256, -1)  # type: ignore[index]
    assert (levels == levels[:, :1]).all()
    # With a slope of 1/4, the level below the knee begins further left.
    assert np.argmax(levels[:, 0] > 0) < 128 - 40


def test_a_left_part_of_each_channel_is_computed():
    assert fold_left(call_of(rectifier_layer(SLOPES['convex']), True), table([-40, 20, 60])) is None
    unmoved = call_of(rectifier_layer((0.25, 0.25)), False)
    assert fold_left(unmoved, table([-40, 20, 60])) is None


def residual_network(slopes, bits):
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(CHANNELS, 3, padding='same', name='stem')(image)
    for name in 'ab':
        y = RPReLU()(x)
        y = layers.BatchNormalization()(layers.Conv2D(CHANNELS, 3, padding='same')(y))
        y = layers.DepthwiseConv2D(3, padding='same')(RPReLU()(y))
        x = RPReLU()(layers.Add(name=f'{name}_add')([y, x]))
    y = layers.Conv2D(CHANNELS, 3)(RPReLU()(x))
    y = layers.Add()([y, layers.Conv2D(CHANNELS, 3)(RPReLU()(x))])
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(y)))
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, RPReLU):
            layer.bias_in.assign(rng.normal(0, 0.3, CHANNELS))
            layer.bias_out.assign(rng.normal(0, 0.3, CHANNELS))
            layer.slope.assign(rng.uniform(*slopes, CHANNELS))  # type: ignore[call-overload]
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    scheme = tf_n2uq.N2UQScheme(bits=bits)
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    images = rng.normal(size=(24, 12, 12, 3)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    return model, images


@pytest.mark.parametrize('slopes', SLOPES.values(), ids=SLOPES)
def test_a_file_computes_what_keras_computes(slopes):
    model, images = residual_network(slopes, 4)
    report = compare(model, tf_n2uq.tflite.convert(model), images[:8])
    # A tie between two int8 values may be rounded the other way, as everywhere.
    differing = {
        q.name: q.xnnpack.differing / q.values for q in report.quantizers if q.xnnpack.differing
    }
    assert max(differing.values(), default=0.0) <= 1e-3, differing
    assert report.xnnpack.agreement == 1.0


def test_calibrated_rprelus_cost_no_operator():
    image = keras.Input((8, 8, 3))
    x = RPReLU()(layers.Conv2D(8, 3)(image))
    x = layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(x)))
    annotated = tfmot.quantization.keras.quantize_annotate_model(keras.Model(image, x))
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(bits=2))
    tf_n2uq.calibrate(model, np.random.default_rng(0).normal(size=(16, 8, 8, 3)), verbose=0)
    assert 'DEPTHWISE_CONV_2D' not in inspect(tf_n2uq.tflite.convert(model)).operators


def test_shared_rprelus_cost_no_operator_whatever_they_have_learned():
    image = keras.Input((8, 8, 3))
    x = RPReLU(shared=True, name='shared')(layers.Conv2D(8, 3)(image))
    x = layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(x)))
    annotated = tfmot.quantization.keras.quantize_annotate_model(keras.Model(image, x))
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(bits=4))
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    rng = np.random.default_rng(1)
    for weight in model.get_layer('shared').weights:
        weight.assign(rng.normal(0.2, 0.1, weight.shape))
    content = tf_n2uq.tflite.convert(model)
    assert 'DEPTHWISE_CONV_2D' not in inspect(content).operators
    report = compare(model, content, images[:8])
    assert report.xnnpack.agreement == 1.0


def test_the_export_reads_the_same_lines_as_keras():
    model, _ = residual_network((0.1, 0.6), 2)
    layer = next(layer for layer in model.layers if isinstance(layer, RPReLU))
    scale = tf.cast(layer.input_scale(), tf.float64)
    lines = layer.same_range_lines(scale, tf.zeros([], tf.float64), tf.zeros([], tf.float64))
    assert np.all(np.abs(lines.steps_error) <= 0.5 * scale * (1 + 1e-9))
    np.testing.assert_array_equal(lines.steps, np.rint(lines.steps))
