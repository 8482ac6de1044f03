import json
import subprocess

import pytest

from tf_n2uq.training import RunDirectory, describe_environment, run_summary


def test_a_run_says_what_it_ran_and_on_what(tmp_path):
    run = RunDirectory(tmp_path / 'run')
    run.begin('bits: 2\n', describe_environment(tmp_path))
    assert (tmp_path / 'run' / 'config.yaml').read_text() == 'bits: 2\n'
    (start,) = json.loads((tmp_path / 'run' / 'environment.json').read_text())
    assert start['packages']['tf-keras'].startswith('2.')
    assert start['git_revision'] is None
    assert start['devices']


def test_a_run_in_the_folder_is_refused_without_resume(tmp_path):
    RunDirectory(tmp_path).begin('bits: 2\n', {})
    with pytest.raises(ValueError, match=r'--out: expected a folder without a run, .*--resume'):
        RunDirectory(tmp_path, name='--out')


def test_resuming_keeps_the_config_and_adds_a_start(tmp_path):
    RunDirectory(tmp_path, resume=True).begin('bits: 2\n', {'started': 1})
    again = RunDirectory(tmp_path, resume=True)
    assert again.recorded_config() == 'bits: 2\n'
    again.begin('bits: 3\n', {'started': 2})
    assert (tmp_path / 'config.yaml').read_text() == 'bits: 2\n'
    starts = json.loads((tmp_path / 'environment.json').read_text())
    assert [start['started'] for start in starts] == [1, 2]


def test_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='--out: expected a folder that can be written'):
        RunDirectory(tmp_path / 'file' / 'run', name='--out')


def test_git_revision_tells_of_changes(tmp_path):
    def git(*arguments):
        identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
        subprocess.run(['git', '-C', tmp_path, *identity, *arguments], check=True)

    git('init', '-q')
    (tmp_path / 'file').write_text('one')
    git('add', 'file')
    git('commit', '-q', '-m', 'one')
    clean = describe_environment(tmp_path)['git_revision']
    assert len(clean) == 40
    (tmp_path / 'file').write_text('two')
    assert describe_environment(tmp_path)['git_revision'] == clean + '+changes'


def test_summary_shows_facts_the_best_and_the_last_epoch():
    rows = [
        {'epoch': 1, 'val_accuracy': 0.5, 'loss': 2.0},
        {'epoch': 2, 'val_accuracy': 0.75, 'loss': 1.0},
        {'epoch': 3, 'val_accuracy': None, 'loss': 0.5},
    ]
    text = run_summary('A run', {'bits': 2}, rows, 'val_accuracy')
    assert text.startswith('# A run\n')
    assert '| bits | 2 |' in text
    assert '| epoch | 2 | 3 |' in text
    assert '| val_accuracy | 0.75 | – |' in text
    by_loss = run_summary('A run', {}, rows[:2], 'loss')
    assert '| epoch | 2 | 2 |' in by_loss
    assert 'epoch' not in run_summary('Exported', {'bits': 2}, [], 'loss')


def test_summary_of_a_metric_that_was_never_finite_has_the_last_epoch_alone():
    text = run_summary('A run', {}, [{'epoch': 1, 'val_loss': None}], 'val_loss')
    assert '| | last epoch |\n|---|---|\n| epoch | 1 |\n' in text
    assert 'best epoch' not in text


def test_summary_of_a_metric_that_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match=r"monitor: expected one of the metrics \['epoch', 'loss'\]"
    ):
        run_summary('A run', {}, [{'epoch': 1, 'loss': 1.0}], 'val_accuracy')


def test_summary_takes_the_users_word_for_which_epoch_is_best():
    rows = [{'epoch': 1, 'gap': 0.5}, {'epoch': 2, 'gap': 0.75}]
    assert '| epoch | 1 | 2 |' in run_summary('A run', {}, rows, 'gap', 'min')
    with pytest.raises(ValueError, match="mode: expected 'max' or 'min' for the metric 'gap'"):
        run_summary('A run', {}, rows, 'gap')
