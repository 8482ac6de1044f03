"""Training of one network at several bit-widths together."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.keras3_objects import check_compiled_with_tf_keras
from tf_n2uq.schemes.adaptive.switching import at_bits, bit_widths, check_adaptive
from tf_n2uq.training import argument_checks
from tf_n2uq.training.losses.label_losses import default_metrics, metrics_of_labels
from tf_n2uq.training.losses.outputs_of_student import like_outputs, weights_like_outputs
from tf_n2uq.training.losses.teacher_losses import TeacherLoss, teacher_losses
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
    their losses. Only the activations of one bit-width are in memory at a time.

        model = quantize_apply(annotated, scheme=AdaBitsScheme(bits=(8, 6, 5, 4)))
        tf_n2uq.calibrate(model, images)
        trainer = AdaptiveTraining(model)
        trainer.compile('sgd', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        trainer.fit(train, validation_data=validation, epochs=epochs)

    Progress bar, logs and `evaluate` have `loss`, which is the sum, and per bit-width `loss_4bit`
    and `accuracy_4bit`, with `val_` in front on validation data. The model stays at the bit-width
    that `set_bits` has switched it to. Losses of tensors that the network adds by itself, by
    `add_loss` or activity regularizers, count at the highest bit-width.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020
    (joint training); Yu and Huang, "Universally Slimmable Networks", ICCV 2019 (inplace
    distillation).

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: A model from `quantize_apply` with `AdaBitsScheme`.
        teacher: A built tf_keras model, as for `Distillation`: its soft labels take the place of
            the labels. With None the network learns from labels.
        inplace_distillation: Whether the highest bit-width alone learns from labels or teacher,
            and the other bit-widths from its soft labels, through which no gradient goes.
        from_logits: Whether student and teacher end in logits (True) or in probabilities (False).
            With None the last layer of each model decides. The value matters only where there are
            soft labels.
        temperature: The temperature of soft labels, finite and above zero, see `Distillation`. It
            is 1.0 where there are no soft labels.
        distillation_loss: The loss of outputs and soft labels, as `loss` of `Distillation`. With
            None the heads decide. It is None where there are no soft labels.
        **kwargs: Arguments of `tf_keras.Model`, such as `name`.

    Raises:
        TypeError: A model is not a tf_keras model, `inplace_distillation` is not a bool,
            `from_logits` is not a bool or None, or `temperature` is not a number.
        ValueError: `student` is not adaptive, is not built, or has nothing to train; the teacher
            does not fit; `temperature` is out of range; it or `distillation_loss` is given without
            soft labels; or nothing tells which loss an output has, see `Distillation`.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None = None,
        inplace_distillation: bool = False,
        from_logits: bool | None = None,
        temperature: float = 1.0,
        *,
        distillation_loss: Any = None,
        **kwargs: Any,
    ) -> None:
        if teacher is None:
            check_student(student)
        else:
            check_student_and_teacher(student, teacher)
        check_adaptive(student)
        argument_checks.true_or_false(inplace_distillation, 'inplace_distillation')
        argument_checks.bool_or_none(from_logits, 'from_logits')
        temperature = argument_checks.number_above_zero(temperature, 'temperature')
        has_soft_labels = teacher is not None or inplace_distillation
        for name, value, default in (
            ('temperature', temperature, 1.0),
            ('distillation_loss', distillation_loss, None),
        ):
            if value != default and not has_soft_labels:
                raise ValueError(
                    f'{name}: expected {default} without soft labels, got {value!r}. Give a '
                    'teacher or inplace_distillation=True, or leave it out.'
                )
        super().__init__(student, **kwargs)
        self._inplace = inplace_distillation
        self._teacher = Untracked(teacher)
        self._scores: Untracked = Untracked([])

        def heads_from(model: keras.Model) -> list[TeacherLoss]:
            return teacher_losses(student, model, distillation_loss, from_logits, temperature)

        self._heads = Untracked(None if teacher is None else heads_from(teacher))
        self._heads_inplace = Untracked(heads_from(student) if inplace_distillation else None)

    def compile(
        self,
        optimizer: Any = 'rmsprop',
        loss: Any = None,
        metrics: Any = 'auto',
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: A tf_keras optimizer or its name.
            loss: A Keras loss or its name, of labels and the student's output. It is None with a
                teacher.
            metrics: One or several metrics, or their names, of labels and the student's output at
                each bit-width, or a list or dictionary of these for several outputs. 'auto' takes
                the accuracy of classes and probabilities, and the mean absolute error of numbers,
                as the loss or the head of each output has it.
            weighted_metrics: The same, for metrics that sample weights apply to.
            **kwargs: Further arguments of `tf_keras.Model.compile`, such as `jit_compile`.

        Raises:
            TypeError: An optimizer, a loss or a metric is of Keras 3.
            ValueError: `loss` is given beside a teacher or missing without one, or `loss_weights`
                is given, but all bit-widths count alike.
        """
        check_compiled_with_tf_keras(loss=loss, metrics=metrics, weighted_metrics=weighted_metrics)
        if kwargs.get('loss_weights') is not None:
            raise ValueError(
                'loss_weights: expected None, because all bit-widths count alike, got '
                f'{kwargs["loss_weights"]!r}. Leave it out.'
            )
        if self._teacher.held is None and loss is None:
            raise ValueError(
                'loss: expected a loss of labels, because there is no teacher, got None. Give a '
                'Keras loss.'
            )
        if self._teacher.held is not None and loss is not None:
            raise ValueError(
                f'loss: expected None, because the teacher takes the place of labels, got {loss!r}.'
                ' Leave it out.'
            )
        super().compile(optimizer=optimizer, **kwargs)
        if isinstance(metrics, str) and metrics == 'auto':
            metrics = self._default_metrics(loss)
        held: list[WidthScores] = []
        for bits in bit_widths(self.student):
            own_loss = self._loss_of(self._heads.held) if loss is None else loss
            if self._inplace and held:
                own_loss = self._loss_of(self._heads_inplace.held)
            scores = WidthScores(
                bits, own_loss, metrics or [], weighted_metrics or [], self.output_names
            )
            held.append(scores)
        self._scores = Untracked([TotalLoss(held), held])

    def _loss_of(self, heads: list[TeacherLoss]) -> Any:
        return like_outputs(self.student, [each.loss for each in heads])

    def _default_metrics(self, loss: Any) -> Any:
        heads = self._heads.held
        found = default_metrics(heads) if heads else metrics_of_labels(self.student, loss)
        return like_outputs(self.student, found)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The sum of the losses, and the loss and metrics of each bit-width."""
        if not self._scores.held:
            return []
        total, scores = self._scores.held
        return [total, *(metric for each in scores for metric in each.metrics)]

    def train_step(self, data: Any) -> dict[str, Any]:
        """Trains on one batch and returns the losses and metrics so far.

        Args:
            data: `(images, labels)` or `(images, labels, sample_weight)`. With a teacher `images`
                alone will do.

        Raises:
            ValueError: There are neither labels nor a teacher.
        """
        x, y, sample_weight = self._unpacked(data)
        variables = self.trainable_variables
        gradients: list[tf.Tensor | None] = [None] * len(variables)
        soft = self._teacher_outputs(x)
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
        """Measures one batch at all bit-widths, and returns the losses and metrics so far.

        Args:
            data: As for `train_step`.

        Raises:
            ValueError: There are neither labels nor a teacher.
        """
        x, y, sample_weight = self._unpacked(data)
        soft = self._teacher_outputs(x)
        for number, scores in enumerate(self._scores.held[1]):
            with at_bits(self.student, scores.bits):
                prediction = self.student(x, training=False)
                regularization = self.losses if number == 0 else None
            self._loss_at(scores, y, soft, prediction, sample_weight, regularization)
            soft = self._soft_labels_after(number, soft, prediction)
            if y is not None:
                scores.count(y, prediction, sample_weight)
        return self.get_metrics_result()

    def _unpacked(self, data: Any) -> tuple[Any, Any, Any]:
        """Returns images, labels and sample weights of a batch."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if y is None and self._teacher.held is None:
            raise ValueError(
                'data: expected labels, because there is no teacher, got images alone. Give '
                '(images, labels).'
            )
        return x, y, sample_weight

    def _loss_at(
        self,
        scores: WidthScores,
        labels: Any,
        soft: Any,
        prediction: Any,
        sample_weight: Any,
        regularization: Any,
    ) -> tf.Tensor:
        target = labels if soft is None else soft
        weights = weights_like_outputs(prediction, sample_weight)
        return scores.loss(target, prediction, weights, regularization)

    def _teacher_outputs(self, x: Any) -> Any:
        teacher = self._teacher.held
        return None if teacher is None else teacher(x, training=False)

    def _soft_labels_after(self, number: int, soft: Any, prediction: Any) -> Any:
        """Returns the soft labels of the next bit-width.

        With inplace distillation they come from the highest bit-width, which has number 0.
        """
        if not self._inplace or number > 0:
            return soft
        return tf.nest.map_structure(tf.stop_gradient, prediction)


def _sum(old: tf.Tensor | None, new: tf.Tensor | None) -> tf.Tensor | None:
    if old is None or new is None:
        return new if old is None else old
    return tf.add_n([old, new])
