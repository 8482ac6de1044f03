"""Distillation: a quantized student learns the probabilities of its float teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import argument_checks
from tf_n2uq.training.soft_labels import SoftCrossEntropy, gives_logits, logits_of
from tf_n2uq.training.student_trainer import (
    StudentTrainer,
    Untracked,
    check_student_and_teacher,
)


class Distillation(StudentTrainer):
    """Trains a student to predict the class probabilities of a teacher.

    The loss of one example is the cross-entropy of the student's probabilities against those of
    the teacher, both softened by the temperature T:

        loss = -T² · Σ_c softmax(teacher / T)_c · log softmax(student / T)_c

    Labels have no part in the loss. They only feed the metrics, and may be missing. The teacher
    runs in inference mode, is not trained, and is not part of the trainer's variables or
    checkpoints.

        trainer = Distillation(student, teacher)
        trainer.compile(optimizer=N2UQAdam(linear_decay(2.5e-3, steps)))
        trainer.fit(train, validation_data=validation, epochs=epochs)
        trainer.student.save('student.keras')

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 4.1 (soft labels of
    the float network only); Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    equation 1 and section 2.1 (temperature and its square).

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: A built tf_keras model with one output of shape `[batch, ..., classes]`.
        teacher: A built tf_keras model that takes the same inputs and has the same output shape.
        from_logits: Whether both models end in logits (True) or in probabilities (False). With
            None the last layer of each model decides: a softmax gives probabilities.
        temperature: T, finite and above zero.
        **kwargs: Arguments of `tf_keras.Model`, such as `name`.

    Raises:
        TypeError: A model is not a tf_keras model, `from_logits` is not a bool or None, or
            `temperature` is not a number.
        ValueError: A model is not built; the models share variables; their inputs or outputs do
            not fit; the student has nothing to train; `temperature` is out of range; or
            `from_logits` is None and the last layer of a model cannot be found or is a sigmoid.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        from_logits: bool | None = None,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        check_student_and_teacher(student, teacher)
        argument_checks.bool_or_none(from_logits, 'from_logits')
        temperature = argument_checks.number_above_zero(temperature, 'temperature')
        super().__init__(student, **kwargs)
        self._loss = SoftCrossEntropy(temperature)
        self._teacher = Untracked(teacher)
        self._student_gives_logits = gives_logits(student, from_logits, 'student')
        self._teacher_gives_logits = gives_logits(teacher, from_logits, 'teacher')

    def compile(
        self, optimizer: Any = 'rmsprop', metrics: Any = ('accuracy',), **kwargs: Any
    ) -> None:
        """Configures training.

        Args:
            optimizer: A tf_keras optimizer or its name.
            metrics: One or several metrics, or their names, of the student's output against the
                labels. They are not computed without labels.
            **kwargs: Further arguments of `tf_keras.Model.compile`, such as `jit_compile`.

        Raises:
            ValueError: `loss` or `loss_weights` is given, but the loss is the distillation loss.
        """
        for name in ('loss', 'loss_weights'):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f'{name}: expected None, because Distillation trains on the soft cross-entropy '
                    f'against the teacher, got {kwargs[name]!r}. Leave it out.'
                )
        if metrics is not None and not isinstance(metrics, Mapping):
            metrics = tf.nest.flatten(metrics)
        super().compile(optimizer=optimizer, loss=self._loss, metrics=metrics, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Trains on one batch and returns loss and metrics so far.

        Args:
            data: `(images, labels)`, `(images, labels, sample_weight)` or `images`.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        target = self._teacher_logits(x)
        with tf.GradientTape() as tape:
            prediction = self(x, training=True)
            loss = self._distillation_loss(target, prediction, sample_weight)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return self._results(x, y, prediction, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measures one batch in inference mode and returns loss and metrics so far.

        Args:
            data: As for `train_step`.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        prediction = self(x, training=False)
        self._distillation_loss(self._teacher_logits(x), prediction, sample_weight)
        return self._results(x, y, prediction, sample_weight)

    def _teacher_logits(self, x: Any) -> tf.Tensor:
        return logits_of(self._teacher.held(x, training=False), self._teacher_gives_logits)

    def _distillation_loss(
        self, target: tf.Tensor, prediction: tf.Tensor, sample_weight: Any
    ) -> tf.Tensor:
        # Keras' own container: it averages over replicas and adds the student's regularization.
        return self.compiled_loss(
            target,
            logits_of(prediction, self._student_gives_logits),
            sample_weight,
            regularization_losses=self.losses,
        )

    def _results(self, x: Any, y: Any, prediction: tf.Tensor, sample_weight: Any) -> dict[str, Any]:
        if y is None:
            return self.get_metrics_result()
        return self.compute_metrics(x, y, prediction, sample_weight)
