import math

import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import MetricsLog, Progress, input_speed, read_metrics
from tf_n2uq.training.progress import duration


def _train(dense_model, batches, callbacks, epochs=2):
    model = dense_model(1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile('sgd', loss, metrics=['accuracy'])
    model.fit(batches, epochs=epochs, verbose=0, callbacks=callbacks)


def test_images_per_second_are_logged_and_shown(dense_model, batches, tmp_path, capsys):
    path = tmp_path / 'metrics.jsonl'
    _train(dense_model, batches, [Progress(32), MetricsLog(path)])
    rows = read_metrics(path)
    assert all(row['images_per_second'] > 0 for row in rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('epoch 1/2: loss ')
    assert 'images_per_second' in lines[0]
    assert lines[1].endswith('; 0 s left')


def test_invisible_progress_logs_and_prints_nothing(dense_model, batches, tmp_path, capsys):
    path = tmp_path / 'metrics.jsonl'
    _train(dense_model, batches, [Progress(32, visible=False), MetricsLog(path)])
    output = capsys.readouterr()
    assert output.out == output.err == ''
    assert read_metrics(path)[0]['images_per_second'] > 0


def test_one_step_has_no_rate(dense_model, batches, tmp_path):
    path = tmp_path / 'metrics.jsonl'
    _train(dense_model, batches.take(1), [Progress(32, visible=False), MetricsLog(path)], 1)
    assert read_metrics(path)[0]['images_per_second'] is None


def test_input_speed_counts_images_after_the_first_batch():
    batches = tf.data.Dataset.range(64).batch(8).map(lambda x: (x, x))
    assert input_speed(batches, batches=3) > 0
    assert math.isnan(input_speed(batches.take(1)))


@pytest.mark.parametrize(
    ('seconds', 'words'), [(3.2, '3 s'), (125, '2 min 05 s'), (7500, '2 h 05 min')]
)
def test_durations_read_as_people_say_them(seconds, words):
    assert duration(seconds) == words


def test_numbers_that_count_nothing_are_refused():
    with pytest.raises(ValueError, match='batch_size: expected at least 1, got 0'):
        Progress(0)
    with pytest.raises(TypeError, match='batch_size: expected an integer, got 1.5'):
        Progress(1.5)
    with pytest.raises(ValueError, match='batches: expected at least 1, got 0'):
        input_speed(tf.data.Dataset.range(8).batch(2), batches=0)
