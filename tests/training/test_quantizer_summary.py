"""TensorBoard's own reader finds loss, accuracy, values and levels in the event files."""

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
    with pytest.raises(OSError, match='log_dir: expected a folder that can be written'):
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
    with pytest.raises(ValueError, match='model: expected a Quantize layer'):
        model.fit(batches, callbacks=[QuantizerSummary(tmp_path, blobs[0])], verbose=0)
