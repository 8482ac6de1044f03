import json
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from tests.examples.scripts import imported

ROOT = Path(__file__).parents[2]
QUICK = ['--epochs=1', '--float_epochs=1', '--int8_epochs=1', '--width=0.25']


def _run(*arguments):
    command = [sys.executable, ROOT / 'examples' / 'quickstart.py', *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp('quickstart') / 'run'
    return out, _run(f'--out={out}', '--bits=3', *QUICK)


def test_it_writes_a_report_models_and_a_picture(finished):
    out, result = finished
    assert result.returncode == 0, result.stderr[-2000:]
    assert '3-bit N2UQ' in result.stdout
    report = json.loads((out / 'report.json').read_text())
    assert {
        'dataset',
        'float_accuracy',
        'qat_accuracy',
        'tflite_accuracy',
        'agreement',
        'float_tflite_bytes',
        'int8_tflite_bytes',
        'n2uq_tflite_bytes',
    } <= set(report)
    assert report['n2uq_tflite_bytes'] == (out / 'n2uq.tflite').stat().st_size
    assert (out / 'thresholds.png').read_bytes().startswith(b'\x89PNG')
    assert (out / 'float.keras').exists()
    assert (out / 'n2uq.keras').exists()
    assert list((out / 'n2uq' / 'tensorboard').rglob('events*'))


def test_a_finished_run_is_not_overwritten(finished):
    out, _ = finished
    before = (out / 'float' / 'metrics.jsonl').read_bytes()
    result = _run(f'--out={out}', *QUICK)
    assert result.returncode != 0
    assert '--resume' in result.stderr
    assert (out / 'float' / 'metrics.jsonl').read_bytes() == before


def _main(script, *arguments):
    flags.FLAGS(['quickstart', *arguments])
    script.main(['quickstart'])


def _refusal(*arguments):
    """The error with which the script ends."""
    with imported('quickstart') as script, pytest.raises((SystemExit, flags.Error)) as ended:
        _main(script, *arguments)
    return str(ended.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    message = _refusal(f'--out={tmp_path / "file" / "run"}', *QUICK)
    assert '--out: expected a folder that can be written' in message


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (['--bits=9'], 'bits'),
        (['--dataset=idx', '--data_dir=/nowhere'], 'train-images-idx3-ubyte'),
        (['--dataset=cats'], 'cats'),
    ],
)
def test_bad_flags_are_named(tmp_path, given, message):
    assert message in _refusal(f'--out={tmp_path / "run"}', *given)
