"""Files give the same outputs on ARM64 processors as on x86-64, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tf_n2uq
from tests.arm.files import OPERATORS, PATTERNS, SEEDS, WIDE, File, all_files, up_to_softmax
from tools.arm.jobs import ON_THIS_MACHINE, SCRIPT, run_jobs, same_bits, write_job
from tools.arm.processors import PROCESSORS, python_command

# The first test of a worker makes the files and fetches the packages.
pytestmark = [pytest.mark.arm, pytest.mark.timeout(1800)]

NAMES = [
    *(f'{name}-{bits}-bits-for-{goal}' for name, bits, goal in PATTERNS),
    *(f'wide-{name}' for name in WIDE),
    *(f'random-{seed}' for seed in SEEDS),
    *('residual-by-tfmot', 'depthwise-by-tfmot'),
]
# Files with a softmax at the end.
PROBABILITIES = ['dense_only-4-bits-for-size', 'random-1', 'random-3']

Outputs = dict[str, list[np.ndarray]]


@pytest.fixture(scope='module')
def files() -> dict[str, File]:
    return all_files()


@pytest.fixture(scope='module')
def folder(files: dict[str, File], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files without a softmax at the end, and those of `PROBABILITIES` as they are."""
    path = tmp_path_factory.mktemp('files')
    for name, (content, images) in files.items():
        write_job(path, name, up_to_softmax(content), [images[:, np.newaxis]])
    for name in PROBABILITIES:
        content, images = files[name]
        write_job(path, f'{name}-softmax', content, [images[:, np.newaxis]])
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


@pytest.mark.parametrize('processor', PROCESSORS)
@pytest.mark.parametrize('name', PROBABILITIES)
def test_probabilities_differ_by_a_step_at_most(
    name: str, processor: str, on_x86: Outputs, on_arm: Callable[[str], Outputs]
) -> None:
    """LiteRT computes a softmax with other tables on ARM64 than on x86-64."""
    ours, theirs = on_arm(processor)[f'{name}-softmax'], on_x86[f'{name}-softmax']
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1 / 256)


@pytest.mark.parametrize('name', NAMES)
def test_the_outputs_tell_images_apart(name: str, on_x86: Outputs) -> None:
    """Else equal outputs would prove nothing."""
    (output,) = on_x86[name]
    assert len(np.unique(output, axis=0)) > 1


def test_the_files_with_probabilities_end_in_a_softmax(files: dict[str, File]) -> None:
    for name in PROBABILITIES:
        assert 'SOFTMAX' in tf_n2uq.tflite.inspect(files[name][0]).operators


def test_the_files_have_operators_and_kernels_of_all_kinds(files: dict[str, File]) -> None:
    inspections = [tf_n2uq.tflite.inspect(content) for content, _ in files.values()]
    assert set().union(*(each.operators for each in inspections)) >= OPERATORS
    types = {layer.kernel_type for each in inspections for layer in each.layers}
    assert {'INT2', 'INT4', 'INT8'} <= types
