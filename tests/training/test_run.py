"""Run folders: what they hold, resuming after a crash, and what is refused."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import Distillation, N2UQAdam, fit, linear_decay, read_metrics


class Crash(keras.callbacks.Callback):
    """Ends the process's training as a crash would, at a given point of an epoch (from 0)."""

    def __init__(self, epoch, at):
        super().__init__()
        self._epoch = epoch
        self._at = at
        self._in_epoch = False

    def on_epoch_begin(self, epoch, logs=None):
        self._in_epoch = epoch == self._epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._in_epoch and self._at == 'batch' and batch == 1:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if self._in_epoch and self._at == 'end':
            raise KeyboardInterrupt


@pytest.fixture
def trainer(dense_model):
    """Function that builds the same trainer each time, as each process of a run does."""

    def build(units=8, optimizer_class=N2UQAdam):
        teacher = dense_model(2, units=16)
        student = dense_model(1, units=units)
        trainer = Distillation(student, teacher)
        if optimizer_class is N2UQAdam:
            optimizer = N2UQAdam(linear_decay(0.05, 24), multipliers={'gamma': 0.1})
        else:
            optimizer = optimizer_class(0.05)
        trainer.compile(optimizer)
        return trainer

    return build


@pytest.fixture
def make_batches(blobs):
    """Function that builds the same shuffled and noisy dataset each time."""

    def build():
        noise = tf.data.Dataset.random(seed=5, rerandomize_each_iteration=True)
        data = tf.data.Dataset.from_tensor_slices(blobs).shuffle(192, seed=3)
        data = tf.data.Dataset.zip((data, noise))
        return data.map(
            lambda example, seed: (
                example[0] + 0.1 * tf.random.stateless_normal([8], [seed, 0]),
                example[1],
            )
        ).batch(32)

    return build


def test_run_folder_holds_metrics_best_model_and_backup(trainer, make_batches, tmp_path):
    model = trainer()
    run_dir = tmp_path / 'runs' / 'first'
    rows = fit(model, make_batches(), make_batches(), epochs=3, run_dir=run_dir, verbose=0)
    assert sorted(os.listdir(run_dir)) == ['backup', 'best.json', 'best.keras', 'metrics.jsonl']
    assert [row['epoch'] for row in rows] == [1, 2, 3]
    assert set(rows[0]) == {
        'epoch', 'learning_rate', 'loss', 'accuracy', 'val_loss', 'val_accuracy'
    }  # fmt: skip
    # The rate of each epoch's last step, 6 steps in each: 1 - 5/24, 1 - 11/24, 1 - 17/24.
    rates = [row['learning_rate'] for row in rows]
    np.testing.assert_allclose(rates, 0.05 * np.array([19, 13, 7]) / 24, rtol=1e-5)
    assert rows == read_metrics(run_dir / 'metrics.jsonl')
    record = json.loads((run_dir / 'best.json').read_text())
    assert record['value'] == max(row['val_accuracy'] for row in rows)
    best = keras.models.load_model(run_dir / 'best.keras')
    assert [tuple(w.shape) for w in best.weights] == [tuple(w.shape) for w in model.student.weights]


@pytest.mark.parametrize(('epoch', 'at'), [(0, 'batch'), (2, 'batch'), (3, 'end')])
def test_crashed_and_resumed_run_ends_where_the_straight_run_ends(
    trainer, make_batches, blobs, tmp_path, epoch, at
):
    validation = tf.data.Dataset.from_tensor_slices(blobs).batch(64)
    straight = trainer()
    options = {'validation': validation, 'epochs': 4, 'verbose': 0}
    expected = fit(straight, make_batches(), **options, run_dir=tmp_path / 'straight')
    crashed = tmp_path / 'crashed'
    with pytest.raises(KeyboardInterrupt):
        fit(trainer(), make_batches(), **options, run_dir=crashed, callbacks=[Crash(epoch, at)])
    assert len(read_metrics(crashed / 'metrics.jsonl')) == epoch
    resumed = trainer()
    rows = fit(resumed, make_batches(), **options, run_dir=crashed, resume=True)
    assert rows == expected
    for one, other in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(straight.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    records = [
        json.loads((tmp_path / run / 'best.json').read_text()) for run in ('straight', 'crashed')
    ]
    assert records[0] == records[1]


def test_crash_between_metrics_and_backup_costs_one_epoch(
    trainer, make_batches, tmp_path, monkeypatch
):
    options = {'epochs': 3, 'run_dir': tmp_path, 'verbose': 0}
    save = tf.train.CheckpointManager.save

    def save_or_crash(manager, checkpoint_number):
        if checkpoint_number == 2:
            raise KeyboardInterrupt
        return save(manager, checkpoint_number=checkpoint_number)

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.CheckpointManager, 'save', save_or_crash)
        with pytest.raises(KeyboardInterrupt):
            fit(trainer(), make_batches(), **options)
    assert len(read_metrics(tmp_path / 'metrics.jsonl')) == 2
    rows = fit(trainer(), make_batches(), **options, resume=True)
    assert [row['epoch'] for row in rows] == [1, 2, 3]


def test_mixed_precision_run_resumes_with_its_loss_scale(trainer, make_batches, tmp_path):
    keras.mixed_precision.set_global_policy('mixed_float16')

    def train(run_dir, **options):
        model = trainer()
        assert isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
        fit(model, make_batches(), epochs=3, verbose=0, run_dir=run_dir, **options)
        return model

    straight = train(tmp_path / 'straight')
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / 'crashed', callbacks=[Crash(2, 'batch')])
    resumed = train(tmp_path / 'crashed', resume=True)
    assert float(resumed.optimizer.loss_scale) == float(straight.optimizer.loss_scale)
    assert int(resumed.optimizer.dynamic_counter) == int(straight.optimizer.dynamic_counter)
    for one, other in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_finished_run_goes_on_to_more_epochs_and_is_left_alone_without(
    trainer, make_batches, tmp_path
):
    options = {'run_dir': tmp_path, 'verbose': 0}
    fit(trainer(), make_batches(), epochs=2, **options)
    model = trainer()
    rows = fit(model, make_batches(), epochs=2, **options, resume=True)
    assert [row['epoch'] for row in rows] == [1, 2]
    assert int(model.optimizer.iterations) == 12
    rows = fit(trainer(), make_batches(), epochs=3, **options, resume=True)
    assert [row['epoch'] for row in rows] == [1, 2, 3]


def test_plain_compiled_model_trains_and_resumes(dense_model, batches, tmp_path):
    def model():
        model = dense_model(1)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=['accuracy'])
        return model

    first = fit(model(), batches, batches, epochs=1, run_dir=tmp_path, verbose=0)
    rows = fit(model(), batches, batches, epochs=3, run_dir=tmp_path, resume=True, verbose=0)
    assert rows[0] == first[0]
    assert rows[2]['val_accuracy'] > first[0]['accuracy']
    best = keras.models.load_model(tmp_path / 'best.keras')
    accuracy = best.evaluate(batches, verbose=0)[1]
    assert accuracy == pytest.approx(max(row['val_accuracy'] for row in rows))


def test_best_model_can_be_weights_only(trainer, make_batches, tmp_path):
    model = trainer()
    fit(model, make_batches(), epochs=1, run_dir=tmp_path, best='best.weights.h5', verbose=0)
    copy = trainer().student
    copy.load_weights(str(tmp_path / 'best.weights.h5'))
    # The only epoch is the best one.
    for one, other in zip(model.student.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_users_word_decides_which_epoch_is_best(trainer, make_batches, tmp_path):
    class Gap(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs['gap'] = [0.5, 0.25, 0.75][epoch]

    options = {'epochs': 3, 'run_dir': tmp_path, 'callbacks': [Gap()], 'verbose': 0}
    with pytest.raises(ValueError, match="mode: expected 'max' or 'min' for the metric 'gap'"):
        fit(trainer(), make_batches(), monitor='gap', **options)
    fit(trainer(), make_batches(), monitor='gap', mode='min', **options)
    record = json.loads((tmp_path / 'best.json').read_text())
    assert (record['epoch'], record['value'], record['mode']) == (2, 0.25, 'min')


def test_folder_with_a_run_is_refused_and_left_as_it_was(trainer, make_batches, tmp_path):
    fit(trainer(), make_batches(), epochs=1, run_dir=tmp_path, verbose=0)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    with pytest.raises(
        ValueError, match=r'run_dir: expected a folder without a run, .*resume=True'
    ):
        fit(trainer(), make_batches(), epochs=1, run_dir=tmp_path, verbose=0)
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


def test_best_model_without_a_run_is_not_overwritten(trainer, make_batches, tmp_path):
    (tmp_path / 'best.keras').write_text('of somebody')
    with pytest.raises(
        ValueError, match=r'run_dir: expected a folder without a run, .* holds one \(best\.keras\)'
    ):
        fit(trainer(), make_batches(), epochs=1, run_dir=tmp_path, verbose=0)


def test_folder_without_a_run_cannot_be_resumed(trainer, make_batches, tmp_path):
    with pytest.raises(ValueError, match=r'run_dir: expected a folder with a run to resume'):
        fit(trainer(), make_batches(), epochs=1, run_dir=tmp_path, resume=True, verbose=0)


def test_folder_below_a_regular_file_is_refused_before_training(trainer, make_batches, tmp_path):
    (tmp_path / 'file').write_text('kept')
    model = trainer()
    before = model.student.get_weights()
    with pytest.raises(OSError, match='run_dir: expected a folder that can be written'):
        fit(model, make_batches(), epochs=1, run_dir=tmp_path / 'file' / 'run', verbose=0)
    for one, other in zip(before, model.student.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    'other', [{'units': 9}, {'optimizer_class': keras.optimizers.SGD}], ids=['model', 'optimizer']
)
def test_checkpoint_of_another_model_or_optimizer_is_refused(
    trainer, make_batches, tmp_path, other
):
    fit(trainer(), make_batches(), epochs=1, run_dir=tmp_path, verbose=0)
    with pytest.raises(
        ValueError, match=r'model: expected the model and optimizer of the checkpoint in'
    ):
        fit(trainer(**other), make_batches(), epochs=2, run_dir=tmp_path, resume=True, verbose=0)


@pytest.mark.parametrize(
    ('options', 'error', 'words'),
    [
        ({'epochs': 0}, ValueError, 'epochs: expected'),
        ({'epochs': 1.5}, TypeError, 'epochs: expected'),
        ({'train': np.zeros((4, 8))}, TypeError, 'train: expected a tf.data.Dataset'),
        ({'validation': [1]}, TypeError, 'validation: expected a tf.data.Dataset'),
        ({'run_dir': None}, TypeError, 'run_dir: expected the path of a folder'),
        ({'best': 'best'}, ValueError, 'path: expected a file that ends in'),
        ({'model': None}, TypeError, 'model: expected a tf_keras model'),
        (
            {'model': keras.Sequential([keras.layers.Dense(1)])},
            ValueError,
            'model: expected a model that is built',
        ),
    ],
)
def test_bad_arguments_are_named(trainer, make_batches, tmp_path, options, error, words):
    good = {'model': trainer(), 'train': make_batches(), 'epochs': 1, 'run_dir': tmp_path}
    with pytest.raises(error, match=words):
        fit(**{**good, **options}, verbose=0)


def test_uncompiled_legacy_compiled_and_empty_are_refused(dense_model, make_batches, tmp_path):
    model = dense_model(1)
    options = {'epochs': 1, 'run_dir': tmp_path}
    with pytest.raises(ValueError, match='model: expected a model that is compiled'):
        fit(model, make_batches(), **options)
    model.compile(keras.optimizers.legacy.SGD(), 'mse')
    with pytest.raises(ValueError, match='got the legacy SGD'):
        fit(model, make_batches(), **options)
    model.compile('sgd', 'mse')
    with pytest.raises(ValueError, match='train: expected at least one batch'):
        fit(model, tf.data.Dataset.range(0), **options)
