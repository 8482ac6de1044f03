import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.schemes.calibration.batch_norm import recalibrate_batch_norm

layers = keras.layers


def network():
    return keras.Sequential(
        [
            layers.Rescaling(3.0, 1.0, input_shape=(4,)),
            layers.BatchNormalization(momentum=0.9, name='bn'),
            layers.Dense(2),
        ]
    )


def batches():
    rng = np.random.default_rng(0)
    return [rng.normal(batch, 1 + batch, (16, 4)).astype(np.float32) for batch in range(3)]


def test_statistics_are_the_mean_over_all_batches_whatever_stood_there():
    model = network()
    normalization = model.get_layer('bn')
    normalization.moving_mean.assign(np.full(4, 100.0))
    recalibrate_batch_norm(model, batches(), verbose=0)
    seen = [3 * batch + 1 for batch in batches()]
    mean = np.mean([batch.mean(axis=0) for batch in seen], axis=0)
    variance = np.mean([batch.var(axis=0) for batch in seen], axis=0)
    np.testing.assert_allclose(normalization.moving_mean, mean, rtol=1e-4)
    np.testing.assert_allclose(normalization.moving_variance, variance, rtol=1e-4)


def test_weights_and_momentum_stay():
    model = network()
    before = [weight.numpy() for weight in model.trainable_weights]
    recalibrate_batch_norm(model, batches(), verbose=0)
    for old, new in zip(before, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.get_layer('bn').momentum == 0.9
    assert len(model.get_layer('bn').weights) == 4


def test_datasets_with_labels_are_taken_too():
    first, second = network(), network()
    labelled = tf.data.Dataset.from_tensor_slices((batches()[0], np.zeros(16))).batch(8)
    recalibrate_batch_norm(first, labelled, verbose=0)
    recalibrate_batch_norm(second, [batches()[0][:8], batches()[0][8:]], verbose=0)
    np.testing.assert_allclose(
        first.get_layer('bn').moving_variance, second.get_layer('bn').moving_variance, rtol=1e-6
    )


def test_bad_arguments_are_named_and_leave_the_momentum():
    model = network()
    with pytest.raises(ValueError, match='dataset: expected at least one batch'):
        recalibrate_batch_norm(model, [], verbose=0)
    with pytest.raises(ValueError, match='dataset: expected finite values.* batch 0'):
        recalibrate_batch_norm(model, [np.full((2, 4), np.nan, np.float32)], verbose=0)
    assert model.get_layer('bn').momentum == 0.9
    with pytest.raises(ValueError, match='model: expected batch normalizations'):
        recalibrate_batch_norm(keras.Sequential([layers.Dense(2, input_shape=(4,))]), [])
    with pytest.raises(TypeError, match='model: expected a tf_keras model'):
        recalibrate_batch_norm('model', [])
