r"""Images per second of the ImageNet pipelines beside decoding alone.

    python benchmarks/input_pipeline.py --images 512 --rounds 7

Writes JPEG files of 500×375 pixels into a temporary folder and reads them from there: decoding
alone (`tf.io.decode_jpeg` of whole files, in parallel), the training pipeline (random crop, resize,
flip, normalise, batch) and the validation pipeline. All take turns within one process; figures are
medians of the rounds, ratios are medians of each round's ratio. The files are in the page
cache. CPU time is of all threads together: unlike images per second it hardly depends on what
else the machine does.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import functools
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags
from measuring import time_in_turns
from PIL import Image

from tf_n2uq import data

_IMAGES = flags.DEFINE_integer('images', 512, 'Images that are written.', lower_bound=2)
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Timed rounds over all images.', lower_bound=1)
_BATCH = flags.DEFINE_integer('batch', 64, 'Batch size.', lower_bound=1)
_QUALITY = flags.DEFINE_integer(
    'quality', 94, 'JPEG quality; 94 gives files of the size that ImageNet has.', 1, 100
)
_WIDTH, _HEIGHT = 500, 375
_WARM_UP = 1


def write_images(folder: Path) -> int:
    """Writes files for training, and one for validation, which a folder needs; returns bytes."""
    written = 0
    for split, count in (('train', _IMAGES.value), ('val', 1)):
        (folder / split / 'only').mkdir(parents=True)
        for i in range(count):
            path = folder / split / 'only' / f'{i:05}.JPEG'
            make_image(i).save(path, quality=_QUALITY.value)
            written += path.stat().st_size
    return written


def make_image(seed: int) -> Image.Image:
    """Returns soft shapes under the noise of a camera: photographs compress about as well."""
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
    pixels = np.asarray(shapes.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), np.float32)
    noise = random.standard_normal(pixels.shape, np.float32)
    return Image.fromarray((pixels + 12 * noise).clip(0, 255).astype(np.uint8))


def decoding_alone(folder: Path) -> tf.data.Dataset:
    """Returns a dataset that reads and decodes whole files, and does nothing else."""
    files = sorted(str(path) for path in folder.glob('train/only/*'))
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    paths = tf.data.Dataset.from_tensor_slices(files)
    images = paths.map(
        lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return images.prefetch(tf.data.AUTOTUNE).with_options(options)


def measure(datasets: dict[str, tf.data.Dataset]) -> dict[str, np.ndarray]:
    """Returns seconds and CPU seconds per image of each, `[rounds, 2]`; all take turns."""
    readers = {name: functools.partial(read, dataset) for name, dataset in datasets.items()}
    samples = time_in_turns(readers, _ROUNDS.value, _WARM_UP)
    return {name: pairs / _IMAGES.value for name, pairs in samples.items()}


def read(dataset: tf.data.Dataset) -> None:
    """Reads a dataset to its end."""
    for _ in dataset:
        pass


def print_table(samples: dict[str, np.ndarray]) -> None:
    """Prints a line for each side; ratios are of speeds, to the first."""
    print(f'{"":24}{"images/s":>10}{"ratio":>7}{"CPU ms/image":>14}{"ratio":>7}')
    reference = next(iter(samples.values()))
    for name, pairs in samples.items():
        wall, cpu = np.median(pairs, axis=0)
        wall_ratio, cpu_ratio = np.median(reference / pairs, axis=0)
        print(f'{name:24}{1 / wall:10.0f}{wall_ratio:7.2f}{cpu * 1e3:14.2f}{cpu_ratio:7.2f}')


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_images(folder) / (_IMAGES.value + 1)
        print(
            f'{_IMAGES.value} JPEG files of {_WIDTH}×{_HEIGHT}, {size / 1e3:.0f} kB each; '
            f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before'
        )
        split = data.load_imagenet(folder, source='folder').train
        datasets = {
            'decoding alone': decoding_alone(folder),
            'training pipeline': split.dataset(_BATCH.value, augment=True, shuffle=True),
            'validation pipeline': split.dataset(_BATCH.value),
        }
        print_table(measure(datasets))


if __name__ == '__main__':
    app.run(main)
