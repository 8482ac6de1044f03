"""One worker of a training of digits, run as a process of its own by `test_distribution.py`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import RPReLU
from tf_n2uq.training import Distillation, N2UQAdam, distribution, fit, linear_decay

BATCH_SIZE = 32
STEPS = 20
_layers = keras.layers


def network():
    return keras.Sequential(
        [
            _layers.Conv2D(8, 3, padding='same', use_bias=False, input_shape=(8, 8, 1)),
            _layers.BatchNormalization(),
            RPReLU(),
            _layers.Conv2D(8, 3, strides=2, padding='same', use_bias=False),
            _layers.BatchNormalization(),
            RPReLU(),
            _layers.GlobalAveragePooling2D(),
            _layers.Dense(10),
        ]
    )


def student_and_teacher(data):
    keras.utils.set_random_seed(5)
    teacher, student = network(), network()
    head = teacher.layers[-1]
    head.kernel.assign(10.0 * head.kernel)  # sure of its classes, as a trained one is
    # Outputs of a 2-bit convolution are few integers times a unit: now and then one of them is the
    # very mean of its batch. Behind the normalization it is at the knee of an activation without
    # biases, and rounding decides which slope it gets.
    for layer in student.layers:
        if isinstance(layer, RPReLU):
            layer.bias_in.assign(np.linspace(-0.2, 0.25, 8))
    scheme = tf_n2uq.N2UQScheme(bits=2, boundary_bits=None, tensor_bits=None)
    annotated = tfmot.quantization.keras.quantize_annotate_model(student)
    student = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    tf_n2uq.calibrate(student, data.train.dataset(64).take(4), verbose=0)
    return student, teacher


class LossOfEachStep(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []
        self._total = 0.0

    def on_train_batch_end(self, batch, logs=None):
        replicas = self.model.distribute_strategy.num_replicas_in_sync
        # Keras gives the mean since the epoch began, added up over replicas.
        total = logs['loss'] * (batch + 1) / replicas
        self.losses.append(total - self._total)
        self._total = total

    def on_epoch_begin(self, epoch, logs=None):
        self._total = 0.0


class StandStill(keras.callbacks.Callback):
    """Says in a file that an epoch has begun, and waits in it, to be killed there."""

    def __init__(self, epoch, path):
        super().__init__()
        self._epoch = epoch
        self._path = path
        self._here = False

    def on_epoch_begin(self, epoch, logs=None):
        self._here = epoch == self._epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._here and batch == 2:
            Path(self._path).touch()
            time.sleep(300)


def main(options):
    strategy = distribution.make_strategy(options['strategy'])
    data = tf_n2uq.data.load('digits')
    student, teacher = student_and_teacher(data)
    student = distribution.replicate(student, strategy, sync_batch_norm=options['sync'])
    teacher = distribution.replicate(teacher, strategy)
    with strategy.scope():
        trainer = Distillation(student, teacher)
        trainer.compile(N2UQAdam(linear_decay(1e-3, 10 * STEPS)))
    train = data.train.dataset(BATCH_SIZE, shuffle=True, seed=3, drop_remainder=True).take(STEPS)
    losses = LossOfEachStep()
    callbacks = [losses]
    if 'stand_still' in options:
        callbacks.append(StandStill(1, options['stand_still']))
    rows = fit(
        trainer,
        train,
        data.validation.dataset(BATCH_SIZE),
        epochs=options['epochs'],
        run_dir=options['run_dir'],
        resume=options['resume'],
        callbacks=callbacks,
        verbose=0,
    )
    weights = np.concatenate([w.ravel() for w in student.get_weights()])
    report = {
        'losses': losses.losses,
        'rows': rows,
        'chief': distribution.is_chief(strategy),
        'replicas': strategy.num_replicas_in_sync,
        'weights': [float(weights.sum()), float(np.abs(weights).sum())],
    }
    Path(options['report']).write_text(json.dumps(report))


if __name__ == '__main__':
    main(json.loads(sys.argv[1]))
