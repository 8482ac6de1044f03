r"""CPU time until a network trains and until its file is written, beside TFMOT's 8-bit scheme.

    python benchmarks/first_step.py --rounds 3

The network is `tf_keras.applications.MobileNetV2` for images of 96×96 and ten classes, with random
weights. For each method a fresh process measures the CPU time of `quantize_apply`, and of the first
and the second `train_on_batch` of eight images. The first one traces and compiles the network. The
methods take turns, so that a change of the machine's speed meets all of them. CPU time is of all
threads together, and depends less on other work of the machine than wall time does.

A second table has the time from a float network to its file: `annotate` and `quantize_apply`,
`calibrate` with 64 images, and `convert`, for a detector with two heads on MobileNetV2's features.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from absl import app, flags

_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Processes for each method.', lower_bound=1)
_METHODS = ('float', 'tfmot', 'lsq', 'n2uq')
_COMMON = """
import time
import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
import tf_n2uq

def timed(function):
    start = time.process_time()
    result = function()
    print(time.process_time() - start)
    return result

def quantized(model, scheme):
    annotated = tf_n2uq.annotate(model)
    return tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)

images = np.random.default_rng(0).normal(size=(64, 96, 96, 3)).astype(np.float32)
"""
_TRAINING = """
model = keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=10)
model = timed(lambda: {made})
model.compile('sgd', 'sparse_categorical_crossentropy')
for _ in range(2):
    timed(lambda: model.train_on_batch(images[:8], np.zeros(8)))
"""
_MADE = {
    'float': 'model',
    'tfmot': 'tfmot.quantization.keras.quantize_model(model)',
    'lsq': 'quantized(model, tf_n2uq.LSQScheme(bits=4))',
    'n2uq': 'quantized(model, tf_n2uq.N2UQScheme(bits=4))',
}
_DETECTOR = """
base = keras.applications.MobileNetV2((96, 96, 3), include_top=False, weights=None)
x = keras.layers.Conv2D(64, 3, padding='same', activation='relu')(base.output)
box = keras.layers.Conv2D(4, 1, name='box')(x)
score = keras.layers.Conv2D(5, 1, activation='sigmoid', name='score')(x)
model = keras.Model(base.input, [box, score])
model = timed(lambda: quantized(model, tf_n2uq.N2UQScheme(bits=4)))
timed(lambda: tf_n2uq.calibrate(model, images, verbose=0))
timed(lambda: tf_n2uq.tflite.convert(model))
"""


def _seconds(script: str) -> list[float]:
    """Returns the times that a script prints in a fresh process, in seconds."""
    environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    result = subprocess.run(
        [sys.executable, '-c', _COMMON + script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return [float(line) for line in result.stdout.split()]


def main(_: list[str]) -> None:
    """Measures and prints both tables."""
    times: dict[str, list[list[float]]] = {method: [] for method in _METHODS}
    detector = []
    for _number in range(_ROUNDS.value):
        for method in _METHODS:
            times[method].append(_seconds(_TRAINING.format(made=_MADE[method])))
        detector.append(_seconds(_DETECTOR))
    medians = {method: np.median(times[method], axis=0) for method in _METHODS}
    print(f'{"CPU seconds":12} {"apply":>7} {"1st step":>9} {"to TFMOT":>9} {"2nd step":>9}')
    for method, (apply, first, second) in medians.items():
        ratio = first / medians['tfmot'][1]
        print(f'{method:12} {apply:7.1f} {first:9.1f} {ratio:9.2f} {second:9.2f}')
    apply, calibrate, convert = np.median(detector, axis=0)
    print(
        f'detector: annotate and quantize_apply {apply:.1f}, calibrate {calibrate:.1f}, convert '
        f'{convert:.1f}, together {apply + calibrate + convert:.1f} CPU seconds'
    )


if __name__ == '__main__':
    app.run(main)
