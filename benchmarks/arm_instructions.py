r"""Instructions that an ARM64 processor runs for one inference of TFLite files.

    python benchmarks/arm_instructions.py 'TFMOT 8 bits=int8.tflite' '2 bits=two.tflite'

QEMU emulates the processors, and a plugin of it counts the instructions of one inference on one
thread, after a first one that prepares the file. The counts of two runs of one file differ by some
hundred instructions, whatever else the machine does. Instructions are not time: a processor runs
several of them at once, and it waits for memory.

The first file is the yardstick of the ratios, unless `--reference` names another one. Tables are in
Markdown. `--profile=kernels` shows for each file and processor which kernels of XNNPACK the
instructions belong to, and `--profile=operators` shows the count of each operator. If the outputs
of a file differ from those that LiteRT computes on this machine's own processor, a line on stderr
says so.

The script needs x86-64 Linux, apt, and a C compiler. What it fetches, it keeps in `.arm/`.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter
from arm_profile import (
    Counts,
    Library,
    counted_blocks,
    kernel_table,
    operator_table,
    read_operators,
)

# The tools are not installed: they are found in the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.arm.jobs import ON_THIS_MACHINE, SCRIPT, run_jobs, same_bits, write_job
from tools.arm.packages import ArmUnavailableError, userland
from tools.arm.processors import PROCESSORS, Processor, counting_command

_COUNTABLE = [name for name, each in PROCESSORS.items() if each.plugin]
_REFERENCE = flags.DEFINE_string('reference', None, 'Name of the yardstick; by default the first.')
_PROCESSORS = flags.DEFINE_list('processors', _COUNTABLE, f'Some of {", ".join(_COUNTABLE)}.')
_PROFILE = flags.DEFINE_enum(
    'profile', None, ['kernels', 'operators'], 'Show what the instructions belong to.'
)
_JOBS = flags.DEFINE_integer('jobs', 2, 'Counts at the same time.', lower_bound=1)

_PLUGIN = Path(__file__).with_suffix('.c')
_LIBRARY = Path('site', 'ai_edge_litert', 'libpywrap_litert_common.so')


@dataclasses.dataclass(frozen=True)
class Count:
    """What one inference runs.

    Attributes:
        instructions: How many.
        operators: The same ones by operator and function, as `read_operators` returns them; empty
            without a profile.
        equal: Whether the outputs are those of this machine's processor.
    """

    instructions: int
    operators: list[Counts]
    equal: bool


def compile_plugin(folder: Path) -> Path:
    """Compiles the plugin into a folder and returns its path.

    Raises:
        ArmUnavailableError: If there is no C compiler, or it fails.
    """
    plugin = folder / 'plugin.so'
    if shutil.which('cc') is None:
        raise ArmUnavailableError('cc: not found; install a C compiler (apt install gcc libc6-dev)')
    command = ['cc', '-O2', '-shared', '-fPIC', '-o', str(plugin), str(_PLUGIN)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ArmUnavailableError(f'cc: failed with: {result.stderr[-600:]}')
    return plugin


def random_inputs(content: bytes) -> list[np.ndarray]:
    """Returns random inputs for one run of a file, `[1, ...]` each."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    rng = np.random.default_rng(0)
    inputs = []
    for details in interpreter.get_input_details():
        shape, dtype = (1, *details['shape']), details['dtype']
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            inputs.append(rng.integers(limits.min, limits.max, shape, dtype, endpoint=True))
        else:
            inputs.append(rng.standard_normal(shape).astype(dtype))
    return inputs


def count(path: Path, processor: Processor, plugin: Path) -> Count:
    """Counts the instructions of one inference of a file.

    Raises:
        ArmUnavailableError: If the packages cannot be had.
        RuntimeError: If the file does not run on the processor.
    """
    with tempfile.TemporaryDirectory(prefix='arm-') as name:
        folder, content = Path(name), path.read_bytes()
        write_job(folder, 'file', content, random_inputs(content))
        expected = run_jobs(ON_THIS_MACHINE, folder)
        blocks, library = folder / 'blocks.txt', userland() / _LIBRARY
        options = [f'out={blocks}']
        if _PROFILE.value:
            options += Library(library).between_operators()
        command = counting_command(processor, SCRIPT, plugin, options)
        outputs = run_jobs([*command, '--count'], folder)
        total = sum(block[1] for block in counted_blocks(blocks) if block)
        maps = folder / 'file.maps'
        operators = read_operators(blocks, maps, library) if _PROFILE.value else []
        return Count(total, operators, same_bits(outputs['file'], expected['file']))


def count_all(files: Mapping[str, Path], processors: Sequence[str]) -> dict[tuple[str, str], Count]:
    """Counts each file on each processor; the keys are names of both."""
    pairs = [(file, processor) for file in files for processor in processors]
    with tempfile.TemporaryDirectory(prefix='arm-plugin-') as name:
        plugin = compile_plugin(Path(name))

        def count_pair(pair: tuple[str, str]) -> Count:
            file, processor = pair
            return count(files[file], PROCESSORS[processor], plugin)

        with ThreadPoolExecutor(_JOBS.value) as pool:
            return dict(zip(pairs, pool.map(count_pair, pairs), strict=True))


def table(counts: Mapping[tuple[str, str], Count], reference: str) -> str:
    """Returns a table in Markdown: millions of instructions, and their ratios to the reference."""
    files = list(dict.fromkeys(file for file, _ in counts))
    processors = list(dict.fromkeys(processor for _, processor in counts))
    titles = [f'{PROCESSORS[each].title}, millions | ratio' for each in processors]
    lines = [f'| | {" | ".join(titles)} |', '|---' * (1 + 2 * len(processors)) + '|']
    for file in files:
        cells = [file]
        for processor in processors:
            instructions = counts[file, processor].instructions
            ratio = instructions / counts[reference, processor].instructions
            cells += [f'{instructions / 1e6:.4g}', '1' if file == reference else f'{ratio:.2f}']
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def parse_files(arguments: Sequence[str]) -> dict[str, Path]:
    """Returns the files by name.

    Raises:
        UsageError: If an argument is not `name=path`, or names no file, or repeats a name.
    """
    files: dict[str, Path] = {}
    for argument in arguments:
        name, _, path = argument.partition('=')
        if not name or name in files or not Path(path).is_file():
            raise app.UsageError(
                f'expected name=path of a file, and each name once, got {argument!r}'
            )
        files[name] = Path(path)
    if not files:
        raise app.UsageError('expected one file or more, as name=path')
    return files


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    files = parse_files(argv[1:])
    reference = _REFERENCE.value or next(iter(files))
    if reference not in files:
        raise app.UsageError(f'--reference: expected one of {list(files)}, got {reference!r}')
    for name in _PROCESSORS.value:
        if name not in _COUNTABLE:
            raise app.UsageError(f'--processors: expected some of {_COUNTABLE}, got {name!r}')
    try:
        counts = count_all(files, _PROCESSORS.value)
    except ArmUnavailableError as error:
        raise SystemExit(f'arm_instructions: {error}') from error
    for (file, processor), each in counts.items():
        if not each.equal:
            print(f'{file}: outputs on {processor} differ from x86-64', file=sys.stderr)
    print(table(counts, reference))
    if _PROFILE.value:
        show = {'kernels': kernel_table, 'operators': operator_table}[_PROFILE.value]
        for (file, processor), each in counts.items():
            print(f'\n{file}, {PROCESSORS[processor].title}:\n\n{show(each.operators)}')


if __name__ == '__main__':
    app.run(main)
