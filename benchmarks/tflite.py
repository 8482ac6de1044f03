r"""Size, latency and memory of TFLite files beside the 8-bit file of a user.

    python benchmarks/tflite.py --networks resnet18:2,mobilenet_v2:4,mobilenet_v2:4:lsq

The *yardstick* of an architecture is the network as users have it, quantized to 8 bits by TFMOT and
converted by `tf.lite.TFLiteConverter`: `keras.applications.MobileNetV2`, or a ResNet with `Add`,
then `ReLU`, and `padding='same'`. XNNPACK runs it as one partition. If it does not on this machine,
the script ends, unless `--allow_partitions` says that the comparison is wanted nonetheless.

Ours are, for each storage in `--optimize_for`:

- `resnet18:2`: the network that N2UQ publishes. It has an RPReLU in front of every convolution, and
  a MobileNetV2 has a convolution more.
- `mobilenet_v2:4:pact`, `:lsq` or `:n2uq`: the very network of the yardstick, kernels included,
  with the quantizers of a method.

They are *calibrated* on random images. Networks with N2UQ's quantizers are measured *as trained*,
too: with intervals between thresholds multiplied by exp(0.3·N(0, 1)), and biases and slopes of
RPReLUs moved by 0.2·N(0, 1) and 0.1·N(0, 1), since calibration leaves all of these alike, and equal
ones are cheaper. *Shared* are published networks whose RPReLUs have one slope and one last bias for
all channels.

Files are kept in `--work`, and are converted again when the code that makes them is newer. How long
they take to convert is measured by `convert_time.py`.

Files of one architecture take turns run by run; times are medians of the rounds, ratios medians of
each round's ratio. Where other programs keep the processor busy, CPU time on one thread says more
than wall time; on several threads it counts waiting for each other, too. *Zipped* is the size in an
APK, which deflates its files. For memory see `tflite_memory.py`: it is measured in a process for
each file. The line below each table is a command that counts the instructions of the same files on
Arm processors.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import dataclasses
import functools
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import tf_keras as keras
import yardstick
from absl import app, flags, logging
from measuring import time_in_turns
from networks import (
    METHODS,
    PLAIN_NETWORKS,
    as_trained,
    quantized_network,
    quantized_plain_network,
    random_images,
    with_shared_rprelus,
)

import tf_n2uq
from tf_n2uq.tflite import make_interpreter

_NETWORKS = flags.DEFINE_list(
    'networks',
    [
        *('resnet18:2', 'resnet18:4', 'resnet50:4'),
        *('mobilenet_v2:4', 'mobilenet_v2:4:pact', 'mobilenet_v2:4:lsq'),
    ],
    'Architecture, bit-width and, for the network of the yardstick, a method.',
)
_OPTIMIZE_FOR = flags.DEFINE_list(
    'optimize_for', ['latency', 'size'], 'What our files are optimized for.'
)
_WORK = flags.DEFINE_string('work', 'runs/tflite', 'Folder that keeps the files.')
_IMAGE_SIZE = flags.DEFINE_integer('image_size', 224, 'Height and width.', lower_bound=32)
_THREADS = flags.DEFINE_list('threads', ['1', '2'], 'Numbers of threads to measure with.')
_ROUNDS = flags.DEFINE_integer('rounds', 30, 'Timed runs of each file.', lower_bound=1)
_ALLOW_PARTITIONS = flags.DEFINE_bool(
    'allow_partitions', False, 'Compare with a yardstick of several XNNPACK partitions as well.'
)
_WARM_UP = 3
_STARTED = time.time()
_YARDSTICK_SOURCES = [Path(__file__).with_name(f'{each}.py') for each in ('networks', 'yardstick')]
_OUR_SOURCES = [_YARDSTICK_SOURCES[0], *Path(tf_n2uq.__file__).parent.rglob('*.py')]
_YARDSTICK = 'TFMOT 8 bits'


@dataclasses.dataclass(frozen=True)
class Network:
    """One of our networks.

    Attributes:
        name: of the architecture.
        bits: its bit-width.
        method: of its quantizers; None for the network that N2UQ publishes.
    """

    name: str
    bits: int
    method: str | None

    @classmethod
    def parse(cls, text: str) -> Network:
        """Reads `name:bits` or `name:bits:method`."""
        name, _, rest = text.partition(':')
        bits, _, method = rest.partition(':')
        if name not in PLAIN_NETWORKS or not bits.isdigit() or method not in ('', *METHODS):
            raise app.UsageError(
                f'--networks: expected name:bits or name:bits:method, with a name of '
                f'{", ".join(PLAIN_NETWORKS)} and a method of {", ".join(METHODS)}, '
                f'got {text!r}'
            )
        return cls(name, int(bits), method or None)

    def states(self, images: np.ndarray) -> dict[str, Callable[[], keras.Model]]:
        """Returns what builds the network in the states that are measured."""
        if self.method is None:
            build = functools.partial(quantized_network, self.name, self.bits, images)
        else:
            build = functools.partial(
                quantized_plain_network, self.name, self.method, self.bits, images
            )
        if self.method not in (None, 'n2uq'):
            return {'calibrated': build}
        states: dict[str, Callable[[], keras.Model]] = {
            'calibrated': build,
            'as trained': lambda: as_trained(build()),
        }
        if self.method is None:
            states['as trained, shared'] = lambda: as_trained(with_shared_rprelus(build()))
        return states


def make_file(
    path: Path,
    sources: Iterable[Path],
    build: Callable[[], keras.Model],
    convert: Callable[[keras.Model], bytes],
) -> None:
    """Writes a file unless it is there and newer than its sources."""
    if path.exists() and path.stat().st_mtime > max(each.stat().st_mtime for each in sources):
        return
    content = convert(build())
    # Under another name at first, so that no piece of a file is taken for the file.
    unfinished = path.with_suffix('.unfinished')
    unfinished.write_bytes(content)
    # Sources that change while the script runs are newer, too: it has read them before.
    os.utime(unfinished, (_STARTED, _STARTED))
    unfinished.replace(path)


def check_partitions(path: Path) -> None:
    """Ends the script if the yardstick is slower than what a user has, or says that it is."""
    partitions = tf_n2uq.tflite.inspect(path.read_bytes()).xnnpack_partitions
    if partitions == 1:
        return
    found = f'{path}: expected a yardstick of one XNNPACK partition, got {partitions}'
    if not _ALLOW_PARTITIONS.value:
        sys.exit(f'{found}. Give --allow_partitions to compare with it all the same.')
    print(f'{found}. The ratios flatter us.')


def make_files(name: str, networks: list[Network], folder: Path) -> dict[str, Path]:
    """Makes all files of an architecture, by the names of their lines of the table."""
    images = random_images(_IMAGE_SIZE.value)
    stem = f'{name}_{_IMAGE_SIZE.value}'
    files = {_YARDSTICK: folder / f'{stem}_tfmot_8.tflite'}
    make_file(
        files[_YARDSTICK],
        _YARDSTICK_SOURCES,
        lambda: yardstick.quantized_by_tfmot(name, images),
        yardstick.convert,
    )
    check_partitions(files[_YARDSTICK])
    for network in networks:
        for state, build in network.states(images).items():
            # Both storages are of one model, which is built if a file is missing.
            build_once = functools.cache(build)
            for storage in _OPTIMIZE_FOR.value:
                line = f'{network.method or "published"} {network.bits}, {state}, {storage}'
                file = folder / f'{stem}_{line.replace(", ", "_").replace(" ", "_")}.tflite'
                convert = functools.partial(
                    tf_n2uq.tflite.convert, representative_dataset=images, optimize_for=storage
                )
                make_file(file, _OUR_SOURCES, build_once, convert)
                files[line] = file
    return files


def run_times(files: dict[str, Path], threads: int) -> dict[str, np.ndarray]:
    """Runs files in turns; returns wall and CPU milliseconds of each run, `[rounds, 2]`."""
    runs = {}
    for line, path in files.items():
        interpreter = make_interpreter(path.read_bytes(), threads)
        interpreter.allocate_tensors()
        runs[line] = interpreter.invoke
    samples = time_in_turns(runs, _ROUNDS.value, _WARM_UP)
    return {line: 1e3 * each for line, each in samples.items()}


def memory_of(path: Path) -> int:
    """Returns by how many bytes running a file raises the peak of a fresh process."""
    script = Path(__file__).with_name('tflite_memory.py')
    command = [sys.executable, str(script), str(path)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(result.stdout.split()[0])


def columns(
    files: dict[str, Path], reports: dict[str, tf_n2uq.tflite.Inspection]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns figures and their ratios to the yardstick's, by column and line."""
    table: dict[str, dict[str, tuple[float, float]]] = {}

    def add(column: str, figures: dict[str, float]) -> None:
        table[column] = {line: (v, v / figures[_YARDSTICK]) for line, v in figures.items()}

    add('file MB', {line: report.file_bytes / 1e6 for line, report in reports.items()})
    add('zipped MB', {line: report.deflated_bytes / 1e6 for line, report in reports.items()})
    for threads in map(int, _THREADS.value):
        samples = run_times(files, threads)
        for kind, title in enumerate(('ms', 'CPU ms')):
            reference = samples[_YARDSTICK][:, kind]
            table[f'{title}, {threads} thr.'] = {
                line: (float(np.median(runs[:, kind])), float(np.median(runs[:, kind] / reference)))
                for line, runs in samples.items()
            }
    add('memory MB', {line: memory_of(path) / 1e6 for line, path in files.items()})
    return table


def print_table(name: str, files: dict[str, Path]) -> None:
    """Prints a line for each file of an architecture, in Markdown."""
    reports = {line: tf_n2uq.tflite.inspect(path.read_bytes()) for line, path in files.items()}
    print(f'{name}, {_IMAGE_SIZE.value}², load {os.getloadavg()[0]:.1f}', end='\n\n')
    table = columns(files, reports)
    titles = [name for column in table for name in (column, 'ratio')]
    rows = [['', *titles, 'operators', 'partitions'], ['---'] * (len(titles) + 3)]
    for line, report in reports.items():
        figures = [f'{figure:.2f}' for column in table.values() for figure in column[line]]
        rows.append(
            [line, *figures, f'{report.delegation.operators}', f'{report.xnnpack_partitions}']
        )
    print('\n'.join(f'| {" | ".join(row)} |' for row in rows), end='\n\n')


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    if not set(_OPTIMIZE_FOR.value) <= {'latency', 'size'}:
        raise app.UsageError(
            f'--optimize_for: expected latency, size, or both, got {_OPTIMIZE_FOR.value}'
        )
    networks: dict[str, list[Network]] = {}
    for network in map(Network.parse, _NETWORKS.value):
        networks.setdefault(network.name, []).append(network)
    folder = Path(_WORK.value)
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in networks.items():
        files = make_files(name, each, folder)
        print_table(name, files)
        named = [f'{line}={path}' for line, path in files.items()]
        print(shlex.join(['python', 'benchmarks/arm_instructions.py', *named]), end='\n\n')


if __name__ == '__main__':
    logging.set_verbosity(logging.WARNING)
    app.run(main)
