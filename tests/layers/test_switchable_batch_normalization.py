"""Batch normalization per bit-width."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import SwitchableBatchNormalization, is_channel_line, line_of

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, (16, 4, 4, 3)).astype(np.float32)


def built(**arguments):
    layer = SwitchableBatchNormalization((8, 4), momentum=0.5, epsilon=1e-3, **arguments)
    layer.build((None, 4, 4, 3))
    return layer


@pytest.mark.parametrize('shared', [False, True])
def test_at_each_bit_width_it_is_a_batch_normalization(shared):
    layer = built(shared_affine=shared)
    alone = keras.layers.BatchNormalization(momentum=0.5, epsilon=1e-3)
    layer.active_bits = 4
    np.testing.assert_allclose(
        layer(IMAGES, training=True), alone(IMAGES, training=True), atol=1e-5
    )
    np.testing.assert_allclose(layer.moving_mean, alone.moving_mean, rtol=1e-6)
    np.testing.assert_allclose(layer(IMAGES), alone(IMAGES), atol=1e-5)
    layer.active_bits = 8
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(3))


@pytest.mark.parametrize(('shared', 'variables'), [(False, 4 * 2), (True, 2 + 2 * 2)])
def test_scale_and_offset_are_shared_if_asked_for(shared, variables):
    layer = built(shared_affine=shared)
    assert len(layer.weights) == variables
    gammas = []
    for layer.active_bits in (8, 4):
        gammas.append(layer.gamma)
    assert (gammas[0] is gammas[1]) == shared
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(IMAGES, training=True) ** 2)
    assert all(gradient is not None for gradient in tape.gradient(total, [layer.gamma, layer.beta]))


@pytest.mark.parametrize('shared', [False, True])
def test_its_line_is_that_of_the_active_bit_width(shared):
    layer = SwitchableBatchNormalization((8, 4), shared_affine=shared, epsilon=1e-3)
    inputs = keras.Input((4, 4, 3))
    keras.Model(inputs, layer(inputs))
    layer.active_bits = 4
    gamma, beta = layer.gamma, layer.beta
    assert gamma is not None
    assert beta is not None
    gamma.assign([1.0, -2.0, 3.0])
    beta.assign([0.5, 0.0, -1.0])
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_variance.assign([4.0, 1.0, 0.25])
    assert is_channel_line(layer)
    slope, offset = line_of(layer)
    np.testing.assert_allclose(IMAGES * slope + offset, layer(IMAGES), rtol=1e-4, atol=1e-4)


def test_a_frozen_layer_keeps_its_statistics():
    layer = built(trainable=False)
    layer(IMAGES, training=True)
    assert layer.trainable_weights == []
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(3))


def test_it_comes_back_from_its_config():
    layer = built(shared_affine=True, active_bits=4, center=False, name='normalized')
    again = SwitchableBatchNormalization.from_config(layer.get_config())
    again.build((None, 4, 4, 3))
    assert again.get_config() == layer.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]
    assert (again.active_bits, again.beta, again.name) == (4, None, 'normalized')


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match='bits: expected at least one'):
        SwitchableBatchNormalization(())
    with pytest.raises(ValueError, match=r'active_bits: expected one of \(8, 4\), got 5'):
        SwitchableBatchNormalization((8, 4), active_bits=5)
    with pytest.raises(ValueError, match=r'shared_affine: expected .* last axis, got axis='):
        SwitchableBatchNormalization((8, 4), shared_affine=True, axis=1).build((None, 3, 4, 4))
