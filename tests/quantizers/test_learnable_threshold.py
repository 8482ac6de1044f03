from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import LearnableThresholdQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


def built(bits=2):
    layer = Owner(LearnableThresholdQuantizer(bits))
    layer(tf.ones([2]))
    return layer.quantizer, layer.quantizer_weights


@pytest.mark.parametrize('bits', [2, 5, 8])
def test_starts_as_published(bits):
    _, weights = built(bits)
    n = 2**bits - 1
    assert {name: v.shape.as_list() for name, v in weights.items()} == {
        'start': [1],
        'intervals': [n],
        'input_scale': [1],
        'output_scale': [1],
    }
    np.testing.assert_array_equal(weights['start'], [0])
    np.testing.assert_allclose(weights['intervals'], np.full(n, 2 / n), rtol=1e-6)
    np.testing.assert_array_equal(weights['input_scale'], [1])
    np.testing.assert_array_equal(weights['output_scale'], [1])
    assert all(v.trainable for v in weights.values())


def test_starts_as_uniform_quantization_of_zero_to_two():
    quantizer, weights = built(2)
    x = tf.constant([-1.0, 0.3, 0.4, 0.99, 1.01, 1.6, 1.7, 9.0])
    expected = np.clip(np.round(x * 1.5), 0, 3) / 1.5
    np.testing.assert_allclose(quantizer(x, False, weights=weights), expected, rtol=1e-6)


@pytest.mark.parametrize('bits', [2, 4, 6])
def test_training_changes_neither_values_nor_gradients(bits):
    quantizer, weights = built(bits)
    x = tf.constant(np.random.default_rng(0).standard_normal([3, 70]).astype(np.float32))
    results = []
    for training in (True, False, None, tf.constant(True), 1, 0):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = quantizer(x, training, weights=weights)
        results.append([y, *tape.gradient(y, [x, *weights.values()])])
    for result in results[1:]:
        for got, want in zip(result, results[0], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('bits', [2, 4, 5])
def test_plain_tflite_conversion_agrees_and_needs_builtin_operators_only(bits):
    inputs = keras.Input([4, 4, 3])
    model = keras.Model(inputs, Owner(LearnableThresholdQuantizer(bits))(inputs))
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).standard_normal([1, 4, 4, 3]).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
    np.testing.assert_allclose(got, model(x, training=False), rtol=1e-6)


def test_levels_times_step_is_the_output():
    quantizer, weights = built(3)
    weights['output_scale'].assign([0.7])
    x = tf.random.normal([100])
    levels = quantizer.levels(x, weights)
    assert levels.dtype == tf.int32
    expected = quantizer(x, False, weights=weights)
    np.testing.assert_allclose(levels.numpy() * quantizer.step(weights), expected, rtol=1e-6)


@pytest.mark.parametrize('signed', [False, True])
def test_calibration_halves_the_error_of_the_start_values(signed):
    samples = np.random.default_rng(0).normal(0, 7, [4096, 1]).astype(np.float32)
    samples = samples if signed else np.maximum(samples, 0)
    quantizer, weights = built(4)
    statistics = TensorStatistics(float(samples.min()), float(samples.max()), samples)

    def error():
        y = quantizer(samples, False, weights=weights)
        # A signed tensor's lowest level stands for a negative value, which the next bias knows.
        return float(np.var(y - samples))

    before = error()
    for name, value in quantizer.calibrated(statistics).items():
        weights[name].assign(value)
    assert error() < before / 10
    np.testing.assert_allclose(np.sum(weights['intervals']), 2, rtol=1e-5)
