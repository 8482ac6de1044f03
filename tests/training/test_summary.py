"""Level occupancy, and what TensorBoard's own reader finds in the event files."""

import builtins

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import (
    Distillation,
    N2UQAdam,
    QuantizerSummary,
    level_occupancy,
    occupancy,
    tensorboard_callbacks,
)


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
    with pytest.raises(ValueError, match='no Quantize layer'):
        level_occupancy(dense_model(1), np.zeros((1, 8), np.float32))
    with pytest.raises(ValueError, match='`batch` must hold at least one example'):
        level_occupancy(quantized_model(1), np.zeros((0, 8), np.float32))
    with pytest.raises(ValueError, match='without symbolic inputs'):
        level_occupancy(keras.Sequential([keras.layers.Dense(3)]), np.zeros((1, 8), np.float32))


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={'tensors': 0})
    accumulator.Reload()
    return {
        tag: {event.step: tf.make_ndarray(event.tensor_proto) for event in accumulator.Tensors(tag)}
        for tag in accumulator.Tags()['tensors']
    }


def test_tensorboard_reads_loss_accuracy_and_what_the_quantizers_did(
    dense_model, quantized_model, batches, blobs, tmp_path
):
    points, _ = blobs
    student = quantized_model(1)
    trainer = Distillation(student, dense_model(2))
    trainer.compile(N2UQAdam(0.02))
    callbacks = tensorboard_callbacks(tmp_path, points)
    history = trainer.fit(
        batches, validation_data=batches, epochs=2, callbacks=callbacks, verbose=0
    ).history
    for split, prefix in (('train', ''), ('validation', 'val_')):
        found = events(tmp_path / split)
        for metric in ('loss', 'accuracy'):
            values = [float(found[f'epoch_{metric}'][step]) for step in (0, 1)]
            np.testing.assert_allclose(values, history[prefix + metric], rtol=1e-6)
    found = events(tmp_path / 'quantizers')
    assert set(found['quantizer/input']) == {0, 1}
    last = level_occupancy(student, points)['quantizer']
    scalars = [float(found[f'quantizer/occupancy/{level}'][1]) for level in range(4)]
    np.testing.assert_allclose(scalars, last, rtol=1e-6)
    hidden = student.get_layer('hidden')(points).numpy()
    inputs = found['quantizer/input'][1]  # rows of left edge, right edge, count
    assert inputs[:, 2].sum() == hidden.size
    np.testing.assert_allclose([inputs[0, 0], inputs[-1, 1]], [hidden.min(), hidden.max()], 1e-5)
    thresholds = found['quantizer/thresholds'][1]
    edges = occupancy.thresholds(student.get_layer('quantizer'))
    assert thresholds[:, 2].sum() == 3
    np.testing.assert_allclose([thresholds[0, 0], thresholds[-1, 1]], [edges[0], edges[-1]], 1e-5)
    bars = found['quantizer/levels'][1]
    np.testing.assert_allclose(bars[:, 0], [-0.5, 0.5, 1.5, 2.5])
    np.testing.assert_allclose(bars[:, 2], last * hidden.size, rtol=1e-5)


def test_levels_are_a_histogram_for_tensorboard(quantized_model, batches, blobs, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = quantized_model(1)
    model.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(batches, callbacks=[QuantizerSummary(tmp_path, blobs[0])], verbose=0)
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    plugin = accumulator.SummaryMetadata('quantizer/levels').plugin_data.plugin_name
    assert plugin == 'histograms'


def test_unwritable_log_folder_and_missing_tensorboard_are_named(blobs, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('kept')
    with pytest.raises(OSError, match='`log_dir` must be a folder that can be written'):
        QuantizerSummary(tmp_path / 'file' / 'logs', blobs[0])
    real_import = builtins.__import__

    def without_tensorboard(name, *args, **kwargs):
        if name == 'tensorboard':
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without_tensorboard)
    with pytest.raises(ImportError, match='pip install tensorboard'):
        QuantizerSummary(tmp_path, blobs[0])


def test_float_model_is_refused_at_the_start_of_training(dense_model, batches, blobs, tmp_path):
    model = dense_model(1)
    model.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match='no Quantize layer'):
        model.fit(batches, callbacks=[QuantizerSummary(tmp_path, blobs[0])], verbose=0)
