"""Training of one network at several bit-widths together."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.schemes.adaptive.switching import at_bits, bit_widths, check_adaptive
from tf_n2uq.training import arguments
from tf_n2uq.training.soft_labels import SoftCrossEntropy, gives_logits, logits_of
from tf_n2uq.training.student_trainer import (
    StudentTrainer,
    Untracked,
    check_student,
    check_student_and_teacher,
)
from tf_n2uq.training.width_scores import TotalLoss, WidthScores


class AdaptiveTraining(StudentTrainer):
    """Trains all bit-widths of an adaptive network in every step.

    A step runs the batch at each bit-width, from the highest to the lowest, and follows the sum of
    their losses. Only one bit-width's activations are in memory at a time.

        model = quantize_apply(annotated, scheme=AdaBitsScheme(bits=(8, 6, 5, 4)))
        tf_n2uq.calibrate(model, images)
        trainer = AdaptiveTraining(model)
        trainer.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        trainer.fit(train, validation_data=validation, epochs=epochs)

    Progress bar, logs and `evaluate` have `loss`, which is the sum, and per bit-width `loss_4bit`
    and `accuracy_4bit`, with `val_` in front on validation data. The model stays at the bit-width
    that `set_bits` has switched it to.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020
    (joint training); Yu and Huang, "Universally Slimmable Networks", ICCV 2019 (inplace
    distillation).

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: A model from `quantize_apply` with `AdaBitsScheme`, with one output.
        teacher: Built tf_keras model, as for `Distillation`: its soft labels take the place of the
            labels. None: labels.
        inplace_distillation: Whether the highest bit-width alone learns from labels or teacher,
            and the others from its soft labels, through which no gradient goes.
        from_logits: Whether student and teacher end in logits (True) or in probabilities (False);
            None looks at the last layer of each. Not asked for without soft labels.
        temperature: Of soft labels, finite and above zero, see `Distillation`.
        **kwargs: What `tf_keras.Model` takes, such as `name`.

    Raises:
        TypeError: A model is not a tf_keras model, `inplace_distillation` is not a bool,
            `from_logits` not a bool or None, or `temperature` not a number.
        ValueError: `student` is not adaptive, not built, has nothing to train or several outputs;
            the teacher does not fit; `temperature` is out of range; or `from_logits` is None and
            the last layer of a model cannot be found.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None = None,
        inplace_distillation: bool = False,
        from_logits: bool | None = None,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if teacher is None:
            check_student(student)
        else:
            check_student_and_teacher(student, teacher)
        check_adaptive(student)
        if len(student.outputs) != 1:
            raise ValueError(
                f'`student` ({student.name!r}) must have one output, got {len(student.outputs)}.'
            )
        if not isinstance(inplace_distillation, bool):
            raise TypeError(
                f'`inplace_distillation` must be True or False, got {inplace_distillation!r}.'
            )
        arguments.bool_or_none(from_logits, '`from_logits`')
        temperature = arguments.number_above_zero(temperature, '`temperature`')
        super().__init__(student, **kwargs)
        self._soft = SoftCrossEntropy(temperature)
        self._inplace = inplace_distillation
        self._teacher = Untracked(teacher)
        self._scores: Untracked = Untracked([])
        if teacher is not None or inplace_distillation:
            self._student_gives_logits = gives_logits(student, from_logits, 'student')
        if teacher is not None:
            self._teacher_gives_logits = gives_logits(teacher, from_logits, 'teacher')

    def compile(
        self,
        optimizer: Any = 'rmsprop',
        loss: Any = None,
        metrics: Any = ('accuracy',),
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: A tf_keras optimizer or its name.
            loss: Of labels and the student's output, a Keras loss or its name; None with a
                teacher.
            metrics: Of labels and the student's output, per bit-width: metrics or their names.
            weighted_metrics: Likewise, for those that sample weights apply to.
            **kwargs: What `tf_keras.Model.compile` takes besides, such as `jit_compile`.

        Raises:
            ValueError: `loss` is given beside a teacher, or missing without one; or `loss_weights`
                is given: bit-widths count alike.
        """
        if kwargs.get('loss_weights') is not None:
            raise ValueError('`loss_weights` cannot be set: all bit-widths count alike.')
        if (self._teacher.held is None) == (loss is None):
            expected = 'a loss, as there is no teacher' if loss is None else 'None beside a teacher'
            raise ValueError(f'`loss`: expected {expected}, got {loss!r}.')
        super().compile(optimizer=optimizer, **kwargs)
        held: list[WidthScores] = []
        for bits in bit_widths(self.student):
            is_soft = loss is None or (self._inplace and bool(held))
            own_loss = self._soft if is_soft else loss
            held.append(WidthScores(bits, own_loss, metrics or (), weighted_metrics or ()))
        self._scores = Untracked([TotalLoss(held), held])

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The summed loss, and loss and metrics per bit-width."""
        if not self._scores.held:
            return []
        total, scores = self._scores.held
        return [total, *(metric for each in scores for metric in each.metrics)]

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on `(images, labels)` or `(images, labels, sample_weight)`.

        With a teacher also on `images` alone.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.trainable_variables
        gradients: list[tf.Tensor | None] = [None] * len(variables)
        soft = self._teacher_logits(x)
        for number, scores in enumerate(self._scores.held[1]):
            # A bit-width begins when the one before has its gradients, and frees its activations.
            before = [gradient for gradient in gradients if gradient is not None]
            with at_bits(self.student, scores.bits), tf.control_dependencies(before):
                inputs = tf.nest.map_structure(tf.identity, x)
                with tf.GradientTape() as tape:
                    prediction = self.student(inputs, training=True)
                    regularization = self.losses if number == 0 else None
                    loss = self._loss_at(scores, y, soft, prediction, sample_weight, regularization)
                pairs = self.optimizer.compute_gradients(loss, variables, tape=tape)
            gradients = [_sum(old, new) for old, (new, _) in zip(gradients, pairs, strict=True)]
            soft = self._soft_labels_after(number, soft, prediction)
            if y is not None:
                scores.count(y, prediction, sample_weight)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Losses and metrics of one batch at all bit-widths, in inference mode."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        soft = self._teacher_logits(x)
        for number, scores in enumerate(self._scores.held[1]):
            with at_bits(self.student, scores.bits):
                prediction = self.student(x, training=False)
                regularization = self.losses if number == 0 else None
            self._loss_at(scores, y, soft, prediction, sample_weight, regularization)
            soft = self._soft_labels_after(number, soft, prediction)
            if y is not None:
                scores.count(y, prediction, sample_weight)
        return self.get_metrics_result()

    def _loss_at(
        self,
        scores: WidthScores,
        labels: Any,
        soft: tf.Tensor | None,
        prediction: tf.Tensor,
        sample_weight: Any,
        regularization: Any,
    ) -> tf.Tensor:
        if soft is None:
            return scores.loss(labels, prediction, sample_weight, regularization)
        logits = logits_of(prediction, self._student_gives_logits)
        return scores.loss(soft, logits, sample_weight, regularization)

    def _teacher_logits(self, x: Any) -> tf.Tensor | None:
        teacher = self._teacher.held
        if teacher is None:
            return None
        return logits_of(teacher(x, training=False), self._teacher_gives_logits)

    def _soft_labels_after(
        self, number: int, soft: tf.Tensor | None, prediction: tf.Tensor
    ) -> tf.Tensor | None:
        """What the next bit-width learns from; the highest, number 0, may teach it."""
        if not self._inplace or number > 0:
            return soft
        return tf.stop_gradient(logits_of(prediction, self._student_gives_logits))


def _sum(old: tf.Tensor | None, new: tf.Tensor | None) -> tf.Tensor | None:
    if old is None or new is None:
        return new if old is None else old
    return tf.add_n([old, new])
