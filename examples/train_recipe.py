"""How `train_imagenet.py` trains: optimizer, learning rate, and what the loss is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tf_keras as keras
from train_config import TrainConfig

import tf_n2uq

_INT8 = 8
_QUANTIZERS = r'_(start|intervals|input_scale|output_scale|clip_value|step_size)$'
_DEPTHWISE = r'depthwise_kernel$'
_NORMALIZATION = r'/(gamma|beta|bias)$'


class Recipe:
    """Compiles the networks of a configuration for a training."""

    def __init__(self, config: TrainConfig, steps_per_epoch: int) -> None:
        self._config = config
        self._steps_per_epoch = steps_per_epoch

    def teacher(self, teacher: keras.Model) -> keras.Model:
        """Compiles the teacher for labels, without what is said about quantizers and decay."""
        rate = self._rate(self._config.teacher_epochs)
        optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(rate)
        if self._config.optimizer == 'sgd':
            optimizer = tf_n2uq.training.L2SGD(rate, self._config.momentum)
        teacher.compile(optimizer, label_loss(), metrics=metrics())
        return teacher

    def student(self, student: keras.Model, teacher: keras.Model | None) -> keras.Model:
        """Returns what is to be fitted, compiled.

        Args:
            student: the quantized network on its devices.
            teacher: the float network likewise; None for labels.
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
        """Returns what trains or measures all bit-widths of an adaptive network, compiled."""
        trainer = tf_n2uq.training.AdaptiveTraining(student, teacher)
        loss = label_loss() if teacher is None else None
        trainer.compile(optimizer, loss, metrics=metrics())
        return trainer

    def callbacks(self, folder: Path, sample: Any) -> list[keras.callbacks.Callback]:
        """Returns what writes TensorBoard's files: of learned thresholds, where there are such.

        Args:
            folder: where to.
            sample: images that the quantizers are shown by, float32 `[batch, …]`.
        """
        bits = self._config.bits
        # An adaptive network is looked at where it starts, at its highest bit-width.
        highest = bits if isinstance(bits, int) else bits[0]
        if self._config.method == 'n2uq' and highest != _INT8:
            return tf_n2uq.training.tensorboard_callbacks(folder, sample)
        return [keras.callbacks.TensorBoard(str(folder), write_graph=False)]

    def _optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer of the quantized network; quantizers learn at a rate of their own."""
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

    def _no_decay(self) -> list[str]:
        config = self._config
        decays = {
            _DEPTHWISE: config.decay_depthwise,
            _NORMALIZATION: config.decay_normalization,
            _QUANTIZERS: config.decay_quantizers,
        }
        return [pattern for pattern, decayed in decays.items() if not decayed]

    def _rate(self, epochs: int) -> keras.optimizers.schedules.LearningRateSchedule:
        config = self._config
        initial, steps = config.scaled_learning_rate, epochs * self._steps_per_epoch
        if config.schedule == 'cosine':
            return tf_n2uq.training.cosine_decay(initial, steps)
        if config.schedule == 'linear':
            return tf_n2uq.training.linear_decay(initial, steps)
        # A teacher of fewer epochs falls at the same parts of its training.
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
