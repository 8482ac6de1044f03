"""The way that every report wanted to go: a float model, few bits, an integer file."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq


def quantized(model: Any, images: Any, bits: int = 2) -> keras.Model:
    """Returns a calibrated quantized model."""
    annotated = tf_n2uq.annotate(model)
    scheme = tf_n2uq.N2UQScheme(bits=bits)
    result = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    tf_n2uq.calibrate(result, images, verbose=0)
    return result


def check_file(model: keras.Model, images: Any, **options: Any) -> bytes:
    """Converts a quantized model, and checks that the file computes what Keras does.

    All levels of thresholds are those of Keras. An output may differ by two steps of 8 bits.
    """
    content = tf_n2uq.tflite.convert(model, **options)
    report = tf_n2uq.tflite.compare(model, content, images)
    differing = [each.name for each in report.quantizers if each.xnnpack.differing]
    assert [name for name in differing if 'thresholds' in name] == []
    expected = tf.nest.flatten(model.predict(images, verbose=0))
    got = tf.nest.flatten(tf_n2uq.tflite.predict(content, images))
    assert len(got) == len(expected)
    for ours, keras_output in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, keras_output, atol=2.5 / 255 * _width(keras_output))
    return content


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    """Returns eight random images."""
    return np.random.default_rng(seed).normal(size=(8, *shape)).astype(np.float32)


def _width(values: np.ndarray) -> float:
    return float(max(values.max(), 0) - min(values.min(), 0))
