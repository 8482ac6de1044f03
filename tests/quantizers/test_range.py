from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import RangeQuantizer, is_trained
from tf_n2uq.quantizers.statistics import TensorStatistics


def built(**options):
    layer = Owner(RangeQuantizer(**options))
    layer(tf.ones([2]))
    return layer.quantizer, layer.quantizer_weights


def range_of(weights):
    return [float(weights[name].numpy()) for name in ('min', 'max')]


def test_starts_untrained_and_inference_leaves_it_so():
    quantizer, weights = built()
    for training in (False, None, 0, tf.constant(False)):
        quantizer(tf.constant([1.0, 9.0]), training, weights=weights)
    assert range_of(weights) == [-6, 6]
    assert not is_trained(weights)
    assert not any(v.trainable for v in weights.values())


@pytest.mark.parametrize('mode', ['eager', 'graph', 'xla'])
def test_first_batch_sets_the_range_and_later_ones_move_it(mode):
    quantizer, weights = built(decay=0.9)

    def run(x):
        return quantizer(x, True, weights=weights)

    if mode != 'eager':
        run = tf.function(run, jit_compile=mode == 'xla')
    run(tf.constant([-1.0, 3.0]))
    assert is_trained(weights)
    np.testing.assert_allclose(range_of(weights), [-1, 3], rtol=1e-6)
    run(tf.constant([-2.0, 1.0]))
    np.testing.assert_allclose(range_of(weights), [-1.1, 2.8], rtol=1e-6)


def test_zero_is_always_in_the_range():
    quantizer, weights = built()
    quantizer(tf.constant([2.0, 3.0]), True, weights=weights)
    assert range_of(weights) == [0, 3]
    quantizer, weights = built()
    quantizer(tf.constant([-2.0, -3.0]), True, weights=weights)
    assert weights['min'].numpy() == -3
    assert 0 <= weights['max'].numpy() < 1e-5


@pytest.mark.parametrize('mode', ['eager', 'graph', 'xla'])
@pytest.mark.parametrize('bad', [[np.nan], [1.0, np.nan, 3.0], [np.inf, 0.0], [-np.inf], []])
@pytest.mark.parametrize('trained', [False, True])
def test_batch_with_nan_or_infinity_or_nothing_does_not_touch_the_range(bad, trained, mode):
    quantizer, weights = built()
    if trained:
        quantizer(tf.constant([-1.0, 3.0]), True, weights=weights)

    def run(x):
        return quantizer(x, True, weights=weights)

    if mode != 'eager':
        run = tf.function(run, jit_compile=mode == 'xla')
    before = range_of(weights)
    run(tf.constant(bad, tf.float32))
    assert range_of(weights) == before


def test_tensor_of_zeros_stays_zero_and_does_not_lock_the_range():
    quantizer, weights = built(decay=0.0)
    y = quantizer(tf.zeros([4]), True, weights=weights)
    np.testing.assert_array_equal(y, 0)
    low, high = quantizer.bounds(weights)
    assert low == 0 < high
    y = quantizer(tf.constant([0.0, 1.0]), True, weights=weights)
    np.testing.assert_allclose(y, [0, 1], rtol=1e-6)


def test_a_batch_of_exactly_minus_six_to_six_counts_as_trained():
    quantizer, weights = built()
    quantizer(tf.constant([-6.0, 6.0]), True, weights=weights)
    assert is_trained(weights)
    np.testing.assert_allclose(range_of(weights), [-6, 6], rtol=1e-6)
    calibrated = quantizer.calibrated(TensorStatistics(-6.0, 6.0, np.zeros([1, 1], np.float32)))
    for name, value in calibrated.items():
        weights[name].assign(value)
    assert is_trained(weights)


@pytest.mark.parametrize('bits', [2, 4, 8])
def test_values_are_rounded_to_the_range_in_so_many_levels(bits):
    quantizer, weights = built(bits=bits)
    x = tf.linspace(-1.0, 2.0, 5000)
    y = quantizer(x, True, weights=weights)
    assert len(np.unique(y)) == 2**bits
    low, high = quantizer.bounds(weights)
    assert np.max(np.abs(y - x)) <= (high - low) / (2**bits - 1) * 1.001
    assert 0 in y.numpy()


def test_gradient_passes_inside_the_range_only():
    quantizer, weights = built()
    weights['min'].assign(-1.0)
    weights['max'].assign(2.0)
    x = tf.constant([-3.0, -0.5, 1.5, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x, False, weights=weights)
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 0])


def test_works_under_a_strategy_with_variables_that_replicas_average():
    devices = tf.config.list_logical_devices('CPU')
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices[:1]])
    with strategy.scope():
        quantizer, weights = built()
    strategy.run(tf.function(lambda: quantizer(tf.constant([-1.0, 3.0]), True, weights=weights)))
    assert range_of(weights) == [-1, 3]
    for variable in weights.values():
        assert variable.aggregation == tf.VariableAggregation.MEAN
        assert variable.synchronization == tf.VariableSynchronization.ON_READ


def test_calibration_takes_all_that_was_seen():
    quantizer, _ = built()
    statistics = TensorStatistics(1.0, 3.0, np.zeros([1, 1], np.float32))
    assert {k: float(v) for k, v in quantizer.calibrated(statistics).items()} == {
        'min': 0,
        'max': 3,
    }


@pytest.mark.parametrize('decay', [-0.1, 1.0, float('nan')])
def test_wrong_decay_is_named(decay):
    with pytest.raises(ValueError, match='decay: expected 0 <= decay < 1, got'):
        RangeQuantizer(decay=decay)
