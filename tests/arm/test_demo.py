"""The demo's network gives the same classes on ARM64 processors as on x86-64, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tools.arm.jobs import ON_THIS_MACHINE, SCRIPT, run_jobs, same_bits, write_job
from tools.arm.processors import PROCESSORS, python_command

pytestmark = [pytest.mark.arm, pytest.mark.timeout(1800)]

DEMO = Path(__file__).parents[2] / 'runs' / 'demo'
IMAGES = 360


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained network as this version converts it, TFMOT's file, and the test images."""
    if not (DEMO / 'report.json').exists():
        pytest.skip(f'{DEMO}: no finished demo; run make demo')
    model = keras.models.load_model(DEMO / 'n2uq.keras')
    files = {
        'for-latency': tf_n2uq.tflite.convert(model, optimize_for='latency'),
        'for-size': tf_n2uq.tflite.convert(model, optimize_for='size'),
        'int8': (DEMO / 'int8.tflite').read_bytes(),
    }
    test = tf_n2uq.data.load('digits').test.dataset(1)
    images = np.stack([image.numpy() for image, _ in test])
    path = tmp_path_factory.mktemp('demo')
    for name, content in files.items():
        write_job(path, name, content, [images])
    return path


@pytest.fixture(scope='module')
def on_x86(folder: Path) -> dict[str, list[np.ndarray]]:
    return run_jobs(ON_THIS_MACHINE, folder)


@pytest.mark.parametrize('processor', PROCESSORS)
def test_all_test_images_give_the_same_outputs(
    processor: str, folder: Path, on_x86: dict[str, list[np.ndarray]], arm_packages: None
) -> None:
    outputs = run_jobs(python_command(PROCESSORS[processor], SCRIPT), folder)
    assert sorted(outputs) == ['for-latency', 'for-size', 'int8']
    for name, (output,) in outputs.items():
        assert output.shape == (IMAGES, 1, 10)
        assert same_bits([output], on_x86[name]), name
