"""Small real models and data for the training tests."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

CLASSES = 3
FEATURES = 8


@pytest.fixture(autouse=True)
def _float32_policy_afterwards():
    yield
    keras.mixed_precision.set_global_policy('float32')


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three Gaussian blobs in eight dimensions: float32 [192, 8], int64 [192]."""
    random = np.random.default_rng(7)
    labels = random.integers(0, CLASSES, 192)
    centers = random.standard_normal((CLASSES, FEATURES)) * 2
    points = centers[labels] + random.standard_normal((192, FEATURES))
    return points.astype(np.float32), labels


@pytest.fixture
def batches(blobs) -> tf.data.Dataset:
    """The blobs, shuffled anew in every epoch, in batches of 32."""
    return tf.data.Dataset.from_tensor_slices(blobs).shuffle(192, seed=3).batch(32)


@pytest.fixture
def dense_model():
    """Function that builds a small classifier with the given seed."""

    def build(seed: int, units: int = 8, activation: str | None = None):
        keras.utils.set_random_seed(seed)
        return keras.Sequential(
            [
                keras.layers.Input((FEATURES,)),
                keras.layers.Dense(units, name='hidden'),
                keras.layers.BatchNormalization(name='norm'),
                keras.layers.ReLU(),
                keras.layers.Dense(CLASSES, activation=activation, name='logits'),
            ]
        )

    return build


@pytest.fixture
def quantized_model():
    """Function that builds a classifier with one learned activation quantizer."""
    from tf_n2uq.layers.quantize import Quantize
    from tf_n2uq.quantizers import LearnableThresholdQuantizer

    def build(seed: int, bits: int = 2):
        keras.utils.set_random_seed(seed)
        inputs = keras.layers.Input((FEATURES,))
        hidden = keras.layers.Dense(16, name='hidden')(inputs)
        levels = Quantize(LearnableThresholdQuantizer(bits), name='quantizer')(hidden)
        return keras.Model(inputs, keras.layers.Dense(CLASSES, name='logits')(levels))

    return build
