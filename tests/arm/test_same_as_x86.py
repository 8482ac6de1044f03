"""Files give the same outputs on ARM64 processors as on x86-64, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tf_n2uq
from tests.arm.files import OPERATORS, PATTERNS, SEEDS, File, all_files
from tools.arm.jobs import ON_THIS_MACHINE, SCRIPT, run_jobs, same_bits, write_job
from tools.arm.processors import PROCESSORS, python_command

# The first test of a worker makes the files and fetches the packages.
pytestmark = [pytest.mark.arm, pytest.mark.timeout(1800)]

NAMES = [
    *(f'{name}-{bits}-bits-for-{goal}' for name, bits, goal in PATTERNS),
    *(f'random-{seed}' for seed in SEEDS),
    *('residual-by-tfmot', 'depthwise-by-tfmot'),
]

Outputs = dict[str, list[np.ndarray]]


@pytest.fixture(scope='module')
def files() -> dict[str, File]:
    return all_files()


@pytest.fixture(scope='module')
def folder(files: dict[str, File], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('files')
    for name, (content, images) in files.items():
        write_job(path, name, content, [images[:, np.newaxis]])
    return path


@pytest.fixture(scope='module')
def on_x86(folder: Path) -> Outputs:
    return run_jobs(ON_THIS_MACHINE, folder)


@pytest.fixture(scope='module')
def on_arm(arm_packages: None, folder: Path) -> Callable[[str], Outputs]:
    """The outputs by processor; a processor runs all files when the first test asks for it."""
    return cache(lambda processor: run_jobs(python_command(PROCESSORS[processor], SCRIPT), folder))


@pytest.mark.parametrize('processor', PROCESSORS)
@pytest.mark.parametrize('name', NAMES)
def test_a_file_gives_the_same_outputs(
    name: str, processor: str, on_x86: Outputs, on_arm: Callable[[str], Outputs]
) -> None:
    assert same_bits(on_arm(processor)[name], on_x86[name])


@pytest.mark.parametrize('name', NAMES)
def test_the_outputs_tell_images_apart(name: str, on_x86: Outputs) -> None:
    """Else equal outputs would prove nothing."""
    (output,) = on_x86[name]
    assert len(np.unique(output, axis=0)) > 1


def test_the_files_have_operators_and_kernels_of_all_kinds(files: dict[str, File]) -> None:
    inspections = [tf_n2uq.tflite.inspect(content) for content, _ in files.values()]
    assert set().union(*(each.operators for each in inspections)) >= OPERATORS
    types = {layer.kernel_type for each in inspections for layer in each.layers}
    assert {'INT4', 'INT8'} <= types
