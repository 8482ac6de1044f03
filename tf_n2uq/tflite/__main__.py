"""The commands `python -m tf_n2uq.tflite inspect | compare | benchmark | convert`.

Files need not be trusted: of a Keras model only its layers and weights are read, and `.npy` and
`.npz` files without Python objects.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_n2uq.schemes.adaptive.switching import set_bits
from tf_n2uq.tflite.convert import convert
from tf_n2uq.tflite.loading import load_model
from tf_n2uq.tflite.reports.comparison import compare
from tf_n2uq.tflite.reports.inspection import inspect
from tf_n2uq.tflite.running.latency import benchmark
from tf_n2uq.tflite.targets import TARGETS

_TYPES = {'float32': tf.float32, 'int8': tf.int8, 'uint8': tf.uint8}
_KERAS_FILE = 'model that tf_keras saved: .keras, .h5, or the folder of a SavedModel'
_IMAGES_FILE = (
    '.npy or .npz file with an array [images, …] as the model takes them; for several inputs, a '
    '.npz file with an array for each, by the names of the inputs'
)
_BITS = 'bit-width of the file, for a model that runs at several'


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: of the command line; those of the process by default.

    Returns:
        0, or 1 after an error that is printed.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f'{options.command}: {error}', file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m tf_n2uq.tflite', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)

    command = commands.add_parser('inspect', help='print what is in a TFLite file')
    command.add_argument('file', type=Path, help='TFLite file')
    command.set_defaults(run=_inspect)

    command = commands.add_parser(
        'compare', help='print where a TFLite file departs from its Keras model'
    )
    command.add_argument('model', help=_KERAS_FILE)
    command.add_argument('file', type=Path, help='TFLite file that was made of it')
    command.add_argument('images', type=Path, help=_IMAGES_FILE)
    command.add_argument('--threads', type=int, default=2, help='threads to run the file with')
    command.add_argument('--bits', type=int, help=_BITS)
    command.set_defaults(run=_compare)

    command = commands.add_parser('benchmark', help='time a TFLite file on this machine')
    command.add_argument('file', type=Path, help='TFLite file')
    command.add_argument('--threads', type=int, default=1, help='threads to run the file with')
    command.add_argument('--runs', type=int, default=50, help='how many runs to time')
    command.set_defaults(run=_benchmark)

    command = commands.add_parser('convert', help='make a TFLite file of a quantized model')
    command.add_argument('model', help=_KERAS_FILE)
    command.add_argument('--out', type=Path, required=True, help='TFLite file to write')
    command.add_argument('--force', action='store_true', help='replace a file that is there')
    command.add_argument('--bits', type=int, help=_BITS)
    command.add_argument(
        '--images', type=Path, help=f'{_IMAGES_FILE}, for tensors without a trained range'
    )
    command.add_argument(
        '--target', choices=tuple(TARGETS), default='xnnpack', help='whose kernels run it'
    )
    command.add_argument(
        '--optimize-for',
        '--optimize_for',
        choices=('latency', 'size'),
        help='what counts in a file for XNNPACK: the time that it takes, or its size on disk',
    )
    command.add_argument(
        '--batch-size',
        '--batch_size',
        type=int,
        default=1,
        help='number of images that the file takes in one run',
    )
    command.add_argument(
        '--input-shapes',
        '--input_shapes',
        nargs='+',
        type=_shape,
        metavar='96,96,3',
        help='size of the images of each input, in order, for a model of images of any size',
    )
    command.add_argument(
        '--allow-float', action='store_true', help='leave layers without integer operators float'
    )
    for end in ('input', 'output'):
        command.add_argument(f'--{end}', choices=_TYPES, default='float32', help=f'type of {end}')
    command.set_defaults(run=_convert)
    return parser


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'expected sizes with commas between them, such as 96,96,3, got {text!r}'
        ) from None


def _inspect(options: argparse.Namespace) -> None:
    print(inspect(options.file.read_bytes()))


def _compare(options: argparse.Namespace) -> None:
    content, images = options.file.read_bytes(), _read_images(options.images)
    model = load_model(options.model, 'model')
    if options.bits is not None:
        set_bits(model, options.bits)
    print(compare(model, content, images, num_threads=options.threads))


def _benchmark(options: argparse.Namespace) -> None:
    print(benchmark(options.file.read_bytes(), options.threads, options.runs))


def _convert(options: argparse.Namespace) -> None:
    _check_free(options.out, options.force)
    content = convert(
        load_model(options.model, 'model'),
        bits=options.bits,
        representative_dataset=None if options.images is None else _read_images(options.images),
        inference_input_type=_TYPES[options.input],
        inference_output_type=_TYPES[options.output],
        target=options.target,
        optimize_for=options.optimize_for,
        batch_size=options.batch_size,
        input_shapes=options.input_shapes,
        allow_float=options.allow_float,
    )
    # Converting takes a while, in which a file may have appeared.
    _check_free(options.out, options.force)
    _write(options.out, content)
    print(f'{options.out}: {len(content):,} bytes')


def _check_free(path: Path, force: bool) -> None:
    if not path.parent.is_dir():
        raise ValueError(f'--out: expected a file in a folder that is there, got {str(path)!r}.')
    if path.is_dir() or (path.exists() and not force):
        advice = 'Give another name.' if path.is_dir() else 'Give another name, or --force.'
        raise ValueError(
            f'--out: expected a name that is free, got {str(path)!r}, which exists. {advice}'
        )


def _write(path: Path, content: bytes) -> None:
    """Writes a file that is whole whenever it is there."""
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_images(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """Returns the only array of a file, or all of its arrays by their names."""
    try:
        read = np.load(path, allow_pickle=False)
        if isinstance(read, np.lib.npyio.NpzFile):
            with read:
                arrays = {name: read[name] for name in read.files}
        else:
            arrays = {'': read}
        for name, array in arrays.items():
            if not np.issubdtype(array.dtype, np.number) or not array.ndim:
                of_which = f' of array {name!r}' if name else ''
                raise ValueError(
                    f'the dtype{of_which} is {array.dtype}, and its shape {array.shape}'
                )
    except (EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'images: expected a {_IMAGES_FILE}, got {str(path)!r}: {error}. Write one with '
            'numpy.save(path, images).'
        ) from error
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays


if __name__ == '__main__':
    sys.exit(main())
