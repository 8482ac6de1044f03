"""The benchmark counts instructions, and each processor runs the kernels made for it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arm.files import pattern_file
from tools.arm import packages

pytestmark = [
    pytest.mark.arm,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which('cc') is None, reason='needs a C compiler'),
]

SCRIPT = Path(__file__).parents[2] / 'benchmarks' / 'arm_instructions.py'
# What the names of XNNPACK's kernels say of the instructions for products of int8 that they use.
KERNELS = {'Cortex-A53': 'mlal', 'Cortex-A72': 'mlal', 'Cortex-A76': 'neondot', 'i8mm': 'neoni8mm'}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of two bit-widths, of which the first one has thresholds and the second one none."""
    folder = tmp_path_factory.mktemp('files')
    for bits in (2, 8):
        content, _ = pattern_file('residual', bits, 'latency')
        (folder / f'{bits}.tflite').write_bytes(content)
    return [folder / '2.tflite', folder / '8.tflite']


@pytest.fixture(scope='module')
def output(arm_packages: None, paths: list[Path]) -> str:
    try:
        packages.plugin_qemu()
    except packages.ArmUnavailableError as error:
        pytest.skip(f'a QEMU with plugins cannot be had: {error}')
    two, eight = paths
    result = run(f'two={two}', f'eight={eight}', f'again={two}', '--profile=kernels')
    assert result.returncode == 0, result.stderr
    assert 'differ' not in result.stderr
    return result.stdout


def test_a_files_count_is_the_same_again_and_a_larger_one_is_larger(output: str) -> None:
    rows = {
        row[0]: row[1:] for row in re.findall(r'\| (\w+) ' + 8 * r'\| ([\d.]+) ' + r'\|', output)
    }
    assert sorted(rows) == ['again', 'eight', 'two']
    for column in range(0, 8, 2):
        two, eight, again = (float(rows[name][column]) for name in ('two', 'eight', 'again'))
        assert again == pytest.approx(two, rel=0.02)
        assert eight < two
        assert float(rows['eight'][column + 1]) == pytest.approx(eight / two, abs=0.01)


@pytest.mark.parametrize('processor', KERNELS)
def test_a_processor_runs_kernels_of_its_own(output: str, processor: str) -> None:
    (section,) = re.findall(
        rf'^eight, [^\n]*{processor}[^\n]*:\n\n(.*?)(?:\n\n|\Z)', output, re.M | re.S
    )
    (convolution, operators), *_ = re.findall(r'\| (xnn_qs8_qc8w_igemm\w+) \| (\d+) ', section)
    assert KERNELS[processor] in convolution
    assert int(operators) == 4


def test_what_is_no_file_is_named() -> None:
    result = run('two=/nowhere.tflite')
    assert result.returncode != 0
    assert "got 'two=/nowhere.tflite'" in result.stdout + result.stderr
