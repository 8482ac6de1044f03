import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantize
from tests.tflite.graphs import ALL_INT8, convert, operators, run
from tf_n2uq.layers import RPReLU
from tf_n2uq.tflite.network.kernels import with_distinct_constants
from tf_n2uq.tflite.network.ranges import Range
from tf_n2uq.tflite.network.rectifiers import Rectifier

CHANNELS = 24
SOURCE, RESULT = Range(0.037, 11), Range(0.041, -23)
SLOPES = {
    'convex': (-1.5, 0.99),
    'concave': (1.01, 2.5),
    'mixed': (-1.5, 2.5),
}


def rectifier_layer(slopes, seed=0):
    rng = np.random.default_rng(seed)
    layer = RPReLU()
    layer.build((None, 1, 256, CHANNELS))
    low, high = slopes
    layer.slope.assign(rng.uniform(low, high, CHANNELS))
    layer.bias_in.assign(rng.normal(0.0, 1.0, CHANNELS))
    layer.bias_out.assign(rng.normal(0.0, 1.0, CHANNELS))
    return layer


def export(layer):
    rectifier = Rectifier.of(layer, CHANNELS, RESULT)
    lines = {
        name: line.representable(SOURCE.scale, RESULT.scale)
        for name, line in rectifier.lines.items()
    }
    lines = with_distinct_constants(lines)

    def function(x):
        x = SOURCE.quantize(x)
        return RESULT.quantize(Rectifier(lines, RESULT).apply(x))

    return convert(function, [1, 1, 256, CHANNELS])


def expected(layer):
    numbers = np.broadcast_to(SOURCE.values()[:, None], (256, CHANNELS))
    exact = np.asarray(layer(numbers), np.float64) / RESULT.scale + RESULT.zero_point
    return np.clip(exact, -128, 127)


@pytest.mark.parametrize('reference_kernels', [False, True])
@pytest.mark.parametrize('slopes', SLOPES)
def test_every_int8_value_gets_the_rounded_function(slopes, reference_kernels):
    layer = rectifier_layer(SLOPES[slopes])
    content = export(layer)
    values = np.broadcast_to(ALL_INT8[None, None, :, None], (1, 1, 256, CHANNELS))
    result = run(content, values, reference_kernels)[0, 0]
    # Half a step of rounding, what the integer bias of a line of 127 units loses (0.009), and the
    # second rounding of the reference kernels.
    assert np.max(np.abs(result - expected(layer))) < 0.5 + 0.02


@pytest.mark.parametrize(('slopes', 'count'), [('convex', 4), ('concave', 4), ('mixed', 7)])
def test_only_the_operators_that_the_slopes_need_are_written(slopes, count):
    content = export(rectifier_layer(SLOPES[slopes]))
    assert len(operators(content)) == count
    assert set(operators(content)) <= {'DEPTHWISE_CONV_2D', 'SUB', 'ADD'}
    assert tf_n2uq.tflite.inspect(content).xnnpack_partitions == 1


@pytest.mark.parametrize('shape', [(6, 6, 8), (8,)])
def test_a_prelu_that_a_sum_reads_too_is_exported(shape):
    image = keras.Input((6, 6, 8))
    x = image if len(shape) == 3 else keras.layers.GlobalMaxPooling2D()(image)
    x = keras.layers.Dense(8)(x)
    x = keras.layers.PReLU('he_normal', shared_axes=[1, 2] if len(shape) == 3 else None)(x)
    x = keras.layers.Add()([x, keras.layers.Dense(8)(x)])
    x = keras.layers.Flatten()(x)
    model = quantize(keras.Model(image, keras.layers.Dense(3)(x)), bits=3)
    images = images_for(model, 32)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model)
    inspection = tf_n2uq.tflite.inspect(content)
    assert inspection.integer_only
    assert inspection.xnnpack_partitions == 1
    outputs = model(images, training=False).numpy()
    error = np.abs(tf_n2uq.tflite.predict(content, images) - outputs).mean()
    assert error < 0.01 * np.abs(outputs).max()


def test_a_slope_per_position_is_refused_by_name():
    image = keras.Input((6, 6, 8))
    x = keras.layers.Conv2D(8, 1)(image)
    x = keras.layers.PReLU(name='everywhere_different')(x)
    x = keras.layers.Add()([x, keras.layers.Conv2D(8, 1)(x)])
    model = quantize(keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)), bits=2)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    message = "layer 'everywhere_different', .* got a slope per position"
    with pytest.raises(ValueError, match=message):
        tf_n2uq.tflite.convert(model)
