"""Metrics as JSON lines, also after a crash."""

import json

import numpy as np
import pytest

from tf_n2uq.training import MetricsLog, N2UQAdam, linear_decay, metrics_log, read_metrics


def test_each_epoch_appends_one_line(dense_model, tmp_path):
    path = tmp_path / 'metrics.jsonl'
    model = dense_model(1)
    model.compile(N2UQAdam(linear_decay(0.5, 10)))
    log = MetricsLog(path)
    log.set_model(model)
    log.on_epoch_end(0, {'loss': np.float32(0.5), 'val_accuracy': 0.75})
    log.on_epoch_end(1, {'loss': np.float32('nan')})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {'epoch': 1, 'learning_rate': 0.5, 'loss': 0.5, 'val_accuracy': 0.75},
        {'epoch': 2, 'learning_rate': 0.5, 'loss': None},
    ]
    assert read_metrics(path) == lines


def test_later_epochs_and_a_cut_line_are_dropped(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epoch": 3}\n{"epo')
    assert [row['epoch'] for row in read_metrics(path)] == [1, 2, 3]
    metrics_log.drop_epochs_after(path, 2)
    assert path.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'


@pytest.mark.parametrize('line', ['{"epo', '[1]', '{"loss": 1.0}', ''])
def test_line_that_is_no_epoch_is_an_error_with_its_number(tmp_path, line):
    path = tmp_path / 'metrics.jsonl'
    path.write_text('{"epoch": 1}\n' + line + '\n{"epoch": 3}\n')
    with pytest.raises(ValueError, match='expected a JSON object .*, line 2, got'):
        read_metrics(path)
