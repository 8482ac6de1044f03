"""`MirroredStrategy` with two replicas: training in the scope, and the file outside."""

import pathlib
import subprocess
import sys

import pytest

MODULE = 'tests.training.as_people_train.two_replicas'


@pytest.mark.parametrize(
    'kind', ['fit', 'distillation', pytest.param('adaptive', marks=pytest.mark.nightly)]
)
def test_two_replicas_train_one_network_that_becomes_one_file(kind, tmp_path):
    # The number of devices is fixed as soon as TensorFlow has computed anything.
    result = subprocess.run(
        [sys.executable, '-m', MODULE, kind, str(tmp_path / 'model.keras')],
        cwd=pathlib.Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.stdout.endswith('passed\n'), result.stderr[-3000:]
