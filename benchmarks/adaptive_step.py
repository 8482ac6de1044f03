r"""Time of a training step of an adaptive network beside those of its bit-widths one by one.

    python benchmarks/adaptive_step.py --network resnet20 --bits 8,6,5,4 --rounds 21

A step is forward pass, cross-entropy, backward pass and Adam on one batch of random images: of the
adaptive network by `AdaptiveTraining`, of each bit-width by `compile` on what `extract` makes of
it. All take turns step by step within one process. The ratio is the median over the rounds of the
adaptive step over the sum of the single ones. CPU time is of all threads together: unlike wall time
it hardly depends on what else the machine does.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import app, flags
from measuring import time_in_turns

import tf_n2uq

_NETWORK = flags.DEFINE_string('network', 'resnet20', 'A network of `tf_n2uq.models.build`.')
_BITS = flags.DEFINE_list('bits', ['8', '6', '5', '4'], 'From the highest to the lowest.')
_METHODS = flags.DEFINE_list('methods', ['sat', 'n2uq'], 'Of `AdaBitsScheme`.')
_BATCH = flags.DEFINE_integer('batch', 64, 'Images of a step.', lower_bound=1)
_IMAGE_SIZE = flags.DEFINE_integer('image_size', 32, 'Height and width.', lower_bound=1)
_CLASSES = flags.DEFINE_integer('classes', 10, 'Number of classes.', lower_bound=1)
_ROUNDS = flags.DEFINE_integer('rounds', 21, 'Timed steps of each.', lower_bound=1)
_WARM_UP = 3
_ADAPTIVE = 'adaptive'


def make_batch() -> tuple[tf.Tensor, tf.Tensor]:
    """Returns random images and their labels."""
    random = np.random.default_rng(0)
    shape = (_BATCH.value, _IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    images = tf.constant(random.standard_normal(shape, np.float32))
    return images, tf.constant(random.integers(_CLASSES.value, size=_BATCH.value))


def build(method: str, bits: list[int], images: tf.Tensor) -> keras.Model:
    """Returns the adaptive network, with fresh weights and calibrated."""
    model = tf_n2uq.models.build(
        _NETWORK.value, input_shape=tuple(images.shape[1:]), classes=_CLASSES.value
    )
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    scheme = tf_n2uq.AdaBitsScheme(bits, method=method)
    adaptive = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    tf_n2uq.calibrate(adaptive, images, verbose=0)
    return adaptive


def measure(method: str, bits: list[int]) -> dict[str, np.ndarray]:
    """Returns seconds, wall and CPU `[rounds, 2]`, of the adaptive step and each single one."""
    images, labels = make_batch()
    adaptive = build(method, bits, images)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained = {str(width): tf_n2uq.extract(adaptive, width) for width in bits}
    trained[_ADAPTIVE] = tf_n2uq.training.AdaptiveTraining(adaptive)
    for model in trained.values():
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=['accuracy'])
    steps = {
        name: lambda model=model: model.train_on_batch(images, labels)
        for name, model in trained.items()
    }
    return time_in_turns(steps, _ROUNDS.value, _WARM_UP)


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f'unknown arguments: {" ".join(argv[1:])}')
    bits = [int(width) for width in _BITS.value]
    print(
        f'{_NETWORK.value}, {_BATCH.value} images of {_IMAGE_SIZE.value}², {_ROUNDS.value} rounds'
    )
    for method in _METHODS.value:
        times = measure(method, bits)
        together = times.pop(_ADAPTIVE)
        ratio = np.median(together / sum(times.values()), axis=0)
        wall, cpu = 1000 * np.median(together, axis=0)
        single = ', '.join(f'{n}: {1000 * np.median(t[:, 1]):.0f}' for n, t in times.items())
        print(f'{method}: adaptive step {wall:.0f} ms, CPU {cpu:.0f} ms; single, CPU ms: {single}')
        print(f'{method}: adaptive / sum of single: wall {ratio[0]:.3f}, CPU {ratio[1]:.3f}')


if __name__ == '__main__':
    app.run(main)
