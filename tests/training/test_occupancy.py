"""The fraction of values on each level, counted by hand beside it."""

import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.training import level_occupancy, occupancy


def set_quantizer(model, start, intervals, input_scale):
    weights = model.get_layer('quantizer').quantizer_weights
    weights['start'].assign([start])
    weights['intervals'].assign(intervals)
    weights['input_scale'].assign([input_scale])


def hand_counted(values, edges):
    """Fractions below the first threshold, between each two, above the last."""
    counts = [
        np.mean((values > low) & (values <= high))
        for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True)
    ]
    return np.array(counts)


def test_occupancy_equals_counting_between_thresholds(quantized_model, blobs):
    points, _ = blobs
    model = quantized_model(1)
    set_quantizer(model, -1.0, [0.5, 1.0, 2.0], 0.5)
    # d = -1, -0.5, 0.5, 2.5; thresholds at half of each interval, divided by the input scale.
    edges = [-1.5, 0.0, 3.0]
    np.testing.assert_allclose(occupancy.thresholds(model.get_layer('quantizer')), edges)
    hidden = model.get_layer('hidden')(points).numpy()
    found = level_occupancy(model, points)
    assert list(found) == ['quantizer']
    assert found['quantizer'].shape == (4,)
    assert found['quantizer'].dtype == np.float32
    np.testing.assert_allclose(found['quantizer'], hand_counted(hidden, edges), atol=1e-6)
    assert found['quantizer'].sum() == pytest.approx(1)
    assert np.all(found['quantizer'] > 0)


@pytest.mark.parametrize('bits', [2, 3, 4])
def test_occupancy_has_one_entry_per_level_even_if_empty(quantized_model, blobs, bits):
    model = quantized_model(1, bits=bits)
    set_quantizer(model, 1e6, np.ones(2**bits - 1), 1.0)
    expected = np.eye(2**bits)[0]
    np.testing.assert_array_equal(level_occupancy(model, blobs[0])['quantizer'], expected)


def test_intervals_below_the_floor_count_as_the_floor(quantized_model):
    model = quantized_model(1)
    set_quantizer(model, 0.0, [0.0, -1.0, 1.0], 1.0)
    found = occupancy.thresholds(model.get_layer('quantizer'))
    np.testing.assert_allclose(found, [0.0005, 0.0015, 0.502], rtol=1e-5)


def test_model_is_neither_changed_nor_trained_by_being_looked_at(quantized_model, blobs):
    model = quantized_model(1)
    before = model.get_weights()
    layers = [layer.name for layer in model.layers]
    level_occupancy(model, blobs[0])
    assert [layer.name for layer in model.layers] == layers
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_model_without_learned_quantizers_and_empty_batch_are_refused(dense_model, quantized_model):
    with pytest.raises(ValueError, match='model: expected a Quantize layer'):
        level_occupancy(dense_model(1), np.zeros((1, 8), np.float32))
    with pytest.raises(ValueError, match='batch: expected at least one example'):
        level_occupancy(quantized_model(1), np.zeros((0, 8), np.float32))
    with pytest.raises(ValueError, match='without symbolic inputs'):
        level_occupancy(keras.Sequential([keras.layers.Dense(3)]), np.zeros((1, 8), np.float32))


def test_a_probe_reads_the_variables_as_they_are_now(quantized_model, blobs):
    model = quantized_model(1)
    probe = occupancy.QuantizerProbe(model)
    set_quantizer(model, -1e6, np.ones(3), 1.0)
    values, lowest = probe.read(blobs[0])['quantizer']
    np.testing.assert_array_equal(values, model.get_layer('hidden')(blobs[0]))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(lowest, [0, 0, 0, 1])
    set_quantizer(model, 1e6, np.ones(3), 1.0)
    np.testing.assert_array_equal(probe.read(blobs[0])['quantizer'][1], [1, 0, 0, 0])
