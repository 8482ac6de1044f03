"""The trainings of `compare_methods.py`: a float network for each seed, and low-bit ones of it."""

from __future__ import annotations

import dataclasses
import gc
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from compare_results import FLOAT, METRICS, RESULT, Result, Run
from compare_subjects import SUBJECTS

import tf_n2uq
from tf_n2uq.data import ImageData
from tf_n2uq.training import files

_BEST = 'best.weights.h5'
_STEP_TIMES = 'step_times.json'
_CALIBRATION_BATCHES = 32
# Steps of a process that are not timed: TensorFlow traces and XLA compiles in them.
_WARM_UP = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings that all runs of a comparison share.

    Attributes:
        dataset: The name of the data set.
        data_dir: The folder of the data set, None for the usual one.
        model: The name of the network, see `tf_n2uq.models.build`.
        width: The factor on the filters of the network.
        epochs: The number of epochs at low bits.
        float_epochs: The number of epochs of the float network.
        batch_size: The number of images in a step.
        augment: The augmentation of training images, see `tf_n2uq.data.Split.dataset`.
        learning_rate: The start of the linear decay, in float and at low bits.
        distill: Whether the networks learn the probabilities of the float network instead of the
            labels.
        train_examples: The number of training images, None for all.
        quantizer_rate: The factor on the learning rate of the variables of quantizers.
    """

    dataset: str
    data_dir: str | None
    model: str
    width: float
    epochs: int
    float_epochs: int
    batch_size: int
    augment: str | None
    learning_rate: float
    distill: bool
    train_examples: int | None
    quantizer_rate: float


class Trainer:
    """Does one run at a time; an interrupted run goes on after its last whole epoch."""

    def __init__(self, data: ImageData, settings: Settings, out: Path) -> None:
        """Takes the data, the settings and the folder that all runs share.

        Args:
            data: The data set.
            settings: The settings of the comparison.
            out: The folder of the comparison.

        Raises:
            ValueError: There is no such network, or it cannot be built.
        """
        self.data = data
        self.settings = settings
        self.out = out
        self.steps_per_epoch = -(-data.train.examples // settings.batch_size)
        self.float_network()

    def float_network(self) -> keras.Model:
        """Builds the float network with fresh weights."""
        return tf_n2uq.models.build(
            self.settings.model,
            input_shape=self.data.image_shape,
            classes=self.data.classes,
            width=self.settings.width,
        )

    def run(self, run: Run) -> Result:
        """Trains, exports and measures; writes the result into the folder of the run."""
        began = time.perf_counter()
        # The run before has left models in memory.
        keras.backend.clear_session()
        gc.collect()
        keras.utils.set_random_seed(run.seed)
        folder = run.folder(self.out)
        if run.bits is None:
            model = self.train_float(run.seed, folder)
            content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
        else:
            model = self.train_low_bit(run)
            # The table and the picture compare sizes.
            content = tf_n2uq.tflite.convert(model, optimize_for='size')
        folder.mkdir(exist_ok=True)
        files.replace_bytes(str(folder / 'model.tflite'), content)
        result = self.measure(run, model, content, began)
        text = json.dumps(dataclasses.asdict(result), indent=2)
        files.replace_text(str(folder / RESULT), text + '\n')
        return result

    def train_float(self, seed: int, folder: Path) -> keras.Model:
        """Trains the float network that all low-bit networks of a seed start from."""
        model = self.float_network()
        rate = self.decay(self.settings.float_epochs)
        model.compile(keras.optimizers.Adam(rate), label_loss(), metrics=['accuracy'])
        self.fit(model, folder, self.settings.float_epochs, 'val_accuracy', seed)
        load_best(model, folder)
        return model

    def train_low_bit(self, run: Run) -> keras.Model:
        """Quantizes the float network of the seed, calibrates and trains."""
        float_model, folder = self.float_network(), run.training_folder(self.out)
        load_best(float_model, Run(run.seed, FLOAT).folder(self.out))
        model = tfmot.quantization.keras.quantize_apply(
            tfmot.quantization.keras.quantize_annotate_model(float_model),
            scheme=SUBJECTS[run.method].scheme(run.together or run.bits),
        )
        # Of an adaptive network, another bit-width may have been measured before.
        if tf_n2uq.training.epochs_done(folder) < self.settings.epochs:
            images = self.data.train.dataset(self.settings.batch_size).take(_CALIBRATION_BATCHES)
            tf_n2uq.calibrate(model, images, verbose=0)
            trained = self.compiled(model, float_model)
            # The distance to the teacher tells more than the labels of a small validation split,
            # and an adaptive network has several accuracies.
            by_loss = self.settings.distill or bool(run.together)
            monitor = 'val_loss' if by_loss else 'val_accuracy'
            self.fit(trained, folder, self.settings.epochs, monitor, run.seed)
        load_best(model, folder)
        if not run.together:
            return model
        assert run.bits is not None
        return tf_n2uq.extract(model, run.bits)

    def compiled(self, model: keras.Model, teacher: keras.Model) -> keras.Model:
        """Returns the compiled model that trains a quantized model."""
        optimizer, distill = self.optimizer(model), self.settings.distill
        if tf_n2uq.bit_widths(model):
            trainer = tf_n2uq.training.AdaptiveTraining(model, teacher if distill else None)
            trainer.compile(optimizer, None if distill else label_loss())
            return trainer
        if distill:
            trainer = tf_n2uq.training.Distillation(model, teacher)
            trainer.compile(optimizer)
            return trainer
        model.compile(optimizer, label_loss(), metrics=['accuracy'])
        return model

    def decay(self, epochs: int) -> keras.optimizers.schedules.LearningRateSchedule:
        """Returns a linear decay over a training of so many epochs."""
        steps = epochs * self.steps_per_epoch
        return tf_n2uq.training.linear_decay(self.settings.learning_rate, steps)

    def optimizer(self, model: keras.Model) -> keras.optimizers.Optimizer:
        """Returns the optimizer of all methods, with a rate of its own for quantizers."""
        group = tf_n2uq.training.VariableGroup.QUANTIZER_PARAMETERS
        learned = any(map(group.holds, model.trainable_variables))
        return tf_n2uq.training.N2UQAdam(
            self.decay(self.settings.epochs),
            multipliers={group: self.settings.quantizer_rate} if learned else (),
        )

    def fit(self, model: keras.Model, folder: Path, epochs: int, monitor: str, seed: int) -> None:
        """Trains a model in a folder; every run of a seed sees the same batches."""
        train = self.data.train.dataset(
            self.settings.batch_size,
            shuffle=True,
            seed=seed,
            augment=self.settings.augment,
        )
        tf_n2uq.training.fit(
            model,
            train,
            self.data.validation.dataset(self.settings.batch_size),
            epochs=epochs,
            run_dir=folder,
            resume=(folder / METRICS).exists(),
            monitor=monitor,
            best=_BEST,
            callbacks=[StepTimes(folder / _STEP_TIMES)],
            verbose=2,
        )

    def measure(self, run: Run, model: keras.Model, content: bytes, began: float) -> Result:
        """Evaluates a model and its file on the test images."""
        test = self.data.test.dataset(self.settings.batch_size)
        evaluation = tf_n2uq.tflite.evaluate(content, test, reference=model)
        wall, processor = StepTimes(run.training_folder(self.out) / _STEP_TIMES).medians()
        return Result(
            seed=run.seed,
            method=run.method,
            bits=run.bits,
            keras_accuracy=evaluation.reference_accuracy or 0.0,
            tflite_accuracy=evaluation.accuracy or 0.0,
            agreement=evaluation.agreement or 0.0,
            file_bytes=len(content),
            kernel_bytes=tf_n2uq.tflite.inspect(content).kernel_bytes,
            step_ms=wall,
            step_cpu_ms=processor,
            test_examples=evaluation.examples,
            seconds=round(time.perf_counter() - began, 1),
        )


class StepTimes(keras.callbacks.Callback):
    """Keeps in a file how long each step took, also across interruptions."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        # Pairs of wall and processor time.
        self._milliseconds = json.loads(path.read_text()) if path.exists() else []
        self._steps = 0
        self._began = self._clocks()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clocks of a step."""
        self._began = self._clocks()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops the clocks of a step."""
        self._steps += 1
        if self._steps > _WARM_UP:
            elapsed = 1000 * (self._clocks() - self._began)
            self._milliseconds.append(elapsed.round(2).tolist())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the times so far."""
        files.replace_text(str(self._path), json.dumps(self._milliseconds) + '\n')

    def medians(self) -> tuple[float | None, float | None]:
        """Returns the medians of wall and processor time; None where no step was timed."""
        if not self._milliseconds:
            return None, None
        wall, processor = np.median(self._milliseconds, axis=0).round(2).tolist()
        return wall, processor

    def _clocks(self) -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])


def label_loss() -> keras.losses.Loss:
    """Returns the cross-entropy of logits against labels."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def load_best(model: keras.Model, folder: Path) -> None:
    """Gives a model the weights of the best epoch of a run.

    Args:
        model: The model.
        folder: The folder of the run.

    Raises:
        ValueError: The run has no such weights.
    """
    path = folder / _BEST
    if not path.exists():
        raise ValueError(
            f'{folder}: expected an epoch with a finite loss, got none: the training diverged. '
            'Leave this method or bit-width out, or compare at a lower --learning_rate in another '
            '--out.'
        )
    model.load_weights(path)
