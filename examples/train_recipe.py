"""The recipe of `train_imagenet.py`: optimizer, learning rate and loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tf_keras as keras
from train_config import TrainConfig

import tf_n2uq

_INT8 = 8
_QUANTIZERS = tf_n2uq.training.VariableGroup.QUANTIZER_PARAMETERS
_DEPTHWISE = r'depthwise_kernel$'
_NORMALIZATION = r'/(gamma|beta|bias)$'


class Recipe:
    """Compiles the networks of a configuration for a training."""

    def __init__(self, config: TrainConfig, steps_per_epoch: int) -> None:
        self._config = config
        self._steps_per_epoch = steps_per_epoch

    def teacher(self, teacher: keras.Model) -> keras.Model:
        """Compiles the teacher for labels; the keys of quantizers and decay do not count."""
        rate = self._rate(self._config.teacher_epochs)
        optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(rate)
        if self._config.optimizer == 'sgd':
            optimizer = tf_n2uq.training.L2SGD(rate, self._config.momentum)
        teacher.compile(optimizer, label_loss(), metrics=metrics())
        return teacher

    def student(self, student: keras.Model, teacher: keras.Model | None) -> keras.Model:
        """Returns the compiled model that trains the quantized network.

        Args:
            student: The quantized network on its devices.
            teacher: The float network on its devices; None for labels.
        """
        optimizer = self._optimizer()
        if self._config.is_adaptive:
            return self.adaptive(student, teacher, optimizer)
        if teacher is None:
            student.compile(optimizer, label_loss(), metrics=metrics())
            return student
        trainer = tf_n2uq.training.Distillation(student, teacher)
        trainer.compile(optimizer, metrics=metrics())
        return trainer

    def adaptive(
        self, student: keras.Model, teacher: keras.Model | None = None, optimizer: Any = 'sgd'
    ) -> keras.Model:
        """Returns the compiled model that trains all bit-widths of an adaptive network."""
        trainer = tf_n2uq.training.AdaptiveTraining(student, teacher)
        loss = label_loss() if teacher is None else None
        trainer.compile(optimizer, loss, metrics=metrics())
        return trainer

    def callbacks(self, folder: Path, sample: Any) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that write TensorBoard's files, with learned thresholds if any.

        Args:
            folder: The folder of the files.
            sample: The images that the thresholds are shown with, float32 `[batch, …]`.
        """
        bits = self._config.bits
        # An adaptive network starts, and is shown, at its highest bit-width.
        highest = bits if isinstance(bits, int) else bits[0]
        if self._config.method == 'n2uq' and highest != _INT8:
            return tf_n2uq.training.tensorboard_callbacks(folder, sample)
        return [keras.callbacks.TensorBoard(str(folder), write_graph=False)]

    def _optimizer(self) -> keras.optimizers.Optimizer:
        """Returns the optimizer, in which quantizers learn at a rate of their own."""
        config = self._config
        common: dict[str, Any] = {
            'multipliers': {}
            if config.threshold_rate == 1
            else {_QUANTIZERS: config.threshold_rate},
            'no_decay': self._no_decay(),
            'weight_decay': config.weight_decay or None,
        }
        rate = self._rate(config.epochs)
        if config.optimizer == 'sgd':
            return tf_n2uq.training.L2SGD(rate, config.momentum, **common)
        return tf_n2uq.training.N2UQAdam(rate, **common)

    def _no_decay(self) -> list[Any]:
        config = self._config
        decays: dict[Any, bool] = {
            _DEPTHWISE: config.decay_depthwise,
            _NORMALIZATION: config.decay_normalization,
            _QUANTIZERS: config.decay_quantizers,
        }
        return [group for group, decayed in decays.items() if not decayed]

    def _rate(self, epochs: int) -> keras.optimizers.schedules.LearningRateSchedule:
        config = self._config
        initial, steps = config.scaled_learning_rate, epochs * self._steps_per_epoch
        if config.schedule == 'cosine':
            return tf_n2uq.training.cosine_decay(initial, steps)
        if config.schedule == 'linear':
            return tf_n2uq.training.linear_decay(initial, steps)
        # The rate of a teacher with fewer epochs falls at the same parts of the training.
        falls = {max(1, round(steps * epoch / config.epochs)) for epoch in config.steps_at}
        return tf_n2uq.training.step_decay(initial, sorted(falls))


def label_loss() -> keras.losses.Loss:
    """Returns the cross-entropy of logits against labels."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def metrics() -> list[keras.metrics.Metric]:
    """Returns top-1 and top-5."""
    return [
        keras.metrics.SparseCategoricalAccuracy(name='accuracy'),
        keras.metrics.SparseTopKCategoricalAccuracy(5, name='top5_accuracy'),
    ]
