"""The best epoch's model stays on disk, whatever happens after it."""

import json
import os

import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.training import BestCheckpoint, Distillation


def epochs_end(callback, model, values, first_epoch=0, monitor='val_accuracy'):
    """Ends one epoch per value; the model's first bias is set to the value before."""
    callback.set_model(model)
    student = model.student if isinstance(model, Distillation) else model
    bias = student.get_layer('hidden').bias
    for epoch, value in enumerate(values, start=first_epoch):
        bias.assign(np.full(bias.shape, value))
        callback.on_epoch_end(epoch, {monitor: np.float32(value)})


def saved_value(path):
    return float(keras.models.load_model(path).get_layer('hidden').bias[0])


@pytest.mark.parametrize('name', ['best.keras', 'best.h5'])
def test_best_of_all_epochs_is_on_disk_with_its_record(dense_model, tmp_path, name):
    path = tmp_path / name
    epochs_end(BestCheckpoint(path), dense_model(1), [0.25, 0.75, 0.5, float('nan'), 0.75])
    assert saved_value(path) == 0.75
    record = json.loads((tmp_path / 'best.json').read_text())
    assert record == {'monitor': 'val_accuracy', 'mode': 'max', 'value': 0.75, 'epoch': 2}
    assert sorted(os.listdir(tmp_path)) == sorted(['best.json', name])


def test_of_a_loss_the_lowest_is_best(dense_model, tmp_path):
    path = tmp_path / 'best.keras'
    callback = BestCheckpoint(path, monitor='val_loss')
    epochs_end(callback, dense_model(1), [0.75, 0.25, 0.5], monitor='val_loss')
    assert saved_value(path) == 0.25


def test_of_a_distillation_only_the_students_weights_are_saved(dense_model, tmp_path):
    student = dense_model(1)
    trainer = Distillation(student, dense_model(2, units=13))
    epochs_end(BestCheckpoint(tmp_path / 'best.weights.h5'), trainer, [0.5])
    copy = dense_model(3)
    copy.load_weights(str(tmp_path / 'best.weights.h5'))
    for one, other in zip(student.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_better_model_of_an_earlier_process_is_kept(dense_model, tmp_path):
    path = tmp_path / 'best.keras'
    epochs_end(BestCheckpoint(path), dense_model(1), [0.25, 0.75])
    later = BestCheckpoint(path)
    assert later.best == 0.75
    epochs_end(later, dense_model(2), [0.5], first_epoch=2)
    assert saved_value(path) == 0.75
    epochs_end(later, dense_model(2), [0.875], first_epoch=3)
    assert saved_value(path) == 0.875


def test_record_of_a_model_that_is_gone_does_not_hold_back_a_new_one(dense_model, tmp_path):
    path = tmp_path / 'best.keras'
    epochs_end(BestCheckpoint(path), dense_model(1), [0.75])
    path.unlink()
    epochs_end(BestCheckpoint(path), dense_model(1), [0.5])
    assert saved_value(path) == 0.5


def test_metric_that_is_not_there_is_named_with_those_that_are(dense_model, tmp_path):
    callback = BestCheckpoint(tmp_path / 'best.keras')
    with pytest.raises(
        ValueError, match=r"monitor: expected one of the metrics \['loss'\], got 'val_accuracy'"
    ):
        epochs_end(callback, dense_model(1), [0.5], monitor='loss')


@pytest.mark.parametrize('text', ['', '{', '[]', '{"monitor": "val_accuracy"}'])
def test_broken_record_is_an_error(tmp_path, text):
    (tmp_path / 'best.json').write_text(text)
    with pytest.raises(ValueError, match='path: expected the record of a best checkpoint'):
        BestCheckpoint(tmp_path / 'best.keras')


def test_record_of_another_metric_is_an_error(dense_model, tmp_path):
    path = tmp_path / 'best.keras'
    epochs_end(BestCheckpoint(path), dense_model(1), [0.75])
    with pytest.raises(ValueError, match='Monitor the same metric'):
        BestCheckpoint(path, monitor='val_loss')


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match='path: expected a file that ends in'):
        BestCheckpoint(tmp_path / 'best')
    with pytest.raises(ValueError, match='path: expected a file in a folder that exists'):
        BestCheckpoint(tmp_path / 'none' / 'best.keras')
    with pytest.raises(ValueError, match="mode: expected 'max', 'min' or None, got 'most'"):
        BestCheckpoint(tmp_path / 'best.keras', mode='most')


def test_metric_whose_name_does_not_tell_needs_a_mode(dense_model, tmp_path):
    path = tmp_path / 'best.keras'
    with pytest.raises(ValueError, match="mode: expected 'max' or 'min' for the metric 'val_gap'"):
        BestCheckpoint(path, monitor='val_gap')
    callback = BestCheckpoint(path, monitor='val_gap', mode='min')
    epochs_end(callback, dense_model(1), [0.75, 0.25, 0.5], monitor='val_gap')
    assert saved_value(path) == 0.25
