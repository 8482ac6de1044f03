"""Soft labels: a network learns from the probabilities of another network."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

# float16 cannot tell smaller probabilities from zero, whose logarithm is not finite.
_SMALLEST_PROBABILITY = 1e-7


class _SoftLabelLoss(keras.losses.Loss):
    """A loss of a student's outputs and a teacher's outputs, both softened by a temperature T.

    The arguments of a call are the outputs as the models give them, of any floating dtype:
    `y_true` those of the teacher, `y_pred` those of the student.

    Args:
        temperature: T, a number above zero.
        teacher_gives_logits: Whether the teacher's outputs are logits, and not probabilities.
        student_gives_logits: Whether the student's outputs are logits, and not probabilities.
    """

    def __init__(
        self,
        temperature: float,
        teacher_gives_logits: bool = True,
        student_gives_logits: bool = True,
    ) -> None:
        super().__init__()
        self._temperature = temperature
        self._teacher_gives_logits = teacher_gives_logits
        self._student_gives_logits = student_gives_logits


class SoftCrossEntropy(_SoftLabelLoss):
    """Cross-entropy of a student's class probabilities against those of a teacher.

    With logits of both, the loss of one example is

        loss = -T² · Σ_c softmax(teacher / T)_c · log softmax(student / T)_c

    Outputs are `[batch, ..., classes]`, with at least two classes.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, equation 1 and
    section 2.1 (temperature and its square).
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example, float32 `[batch, ...]`.

        Raises:
            ValueError: There is one class alone. Its probability is always one.
        """
        if y_pred.shape[-1] == 1:
            raise ValueError(
                'student: expected outputs of at least two classes, got the shape '
                f'{tuple(y_pred.shape)}. The cross-entropy of one class is always zero. Pass '
                "loss='binary_crossentropy' for a probability, and loss='mse' for a number."
            )
        return self.of_logits(
            logits_of(y_true, self._teacher_gives_logits) / self._temperature,
            logits_of(y_pred, self._student_gives_logits) / self._temperature,
        )

    def of_logits(self, teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example, float32 `[batch, ...]`.

        Args:
            teacher: Logits of the teacher divided by T, float32 `[batch, ..., classes]`.
            student: Logits of the student divided by T, likewise.
        """
        losses = tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(teacher), student)
        return self._temperature**2 * losses


class SoftKLDivergence(SoftCrossEntropy):
    """Kullback-Leibler divergence of a student's class probabilities from those of a teacher.

    It is the soft cross-entropy less the entropy of the teacher's probabilities. So it has the same
    gradient, and is zero where student and teacher agree.
    """

    def of_logits(self, teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
        return super().of_logits(teacher, student) - super().of_logits(teacher, teacher)


class SoftBinaryCrossEntropy(_SoftLabelLoss):
    """Binary cross-entropy of a student's probabilities against those of a teacher.

    With logits of both, the loss of one example is the mean over its units u of

        loss = -T² · [p_u · log q_u + (1 - p_u) · log(1 - q_u)],
        p = sigmoid(teacher / T), q = sigmoid(student / T)

    Outputs are `[batch, ..., units]`. Each unit is a probability of its own.

    Source: Hinton et al., as for `SoftCrossEntropy`, for two classes with the logits z and 0.
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example, float32 `[batch, ...]`."""
        return self.of_logits(
            binary_logits_of(y_true, self._teacher_gives_logits) / self._temperature,
            binary_logits_of(y_pred, self._student_gives_logits) / self._temperature,
        )

    def of_logits(self, teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example, float32 `[batch, ...]`.

        Args:
            teacher: Logits of the teacher divided by T, float32 `[batch, ..., units]`.
            student: Logits of the student divided by T, likewise.
        """
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.nn.sigmoid(teacher), student)
        return self._temperature**2 * tf.reduce_mean(losses, axis=-1)


class SoftBinaryKLDivergence(SoftBinaryCrossEntropy):
    """Binary cross-entropy less the entropy of the teacher's probabilities.

    It has the gradient of `SoftBinaryCrossEntropy`, and is zero where student and teacher agree.
    """

    def of_logits(self, teacher: tf.Tensor, student: tf.Tensor) -> tf.Tensor:
        return super().of_logits(teacher, student) - super().of_logits(teacher, teacher)


def logits_of(outputs: tf.Tensor, are_logits: bool) -> tf.Tensor:
    """Returns logits whose softmax is what a model's outputs are, or have as their softmax.

    The logarithm of probabilities serves as logits, because its softmax is the probabilities.

    Args:
        outputs: Logits or probabilities of any floating dtype, `[batch, ..., classes]`.
        are_logits: Whether `outputs` are logits.

    Returns:
        Logits, float32, in the shape of `outputs`.
    """
    outputs = tf.cast(outputs, tf.float32)
    if are_logits:
        return outputs
    return tf.math.log(tf.maximum(outputs, _SMALLEST_PROBABILITY))


def binary_logits_of(outputs: tf.Tensor, are_logits: bool) -> tf.Tensor:
    """Returns logits whose sigmoid is what a model's outputs are, or have as their sigmoid.

    Args:
        outputs: Logits or probabilities of any floating dtype, `[batch, ..., units]`.
        are_logits: Whether `outputs` are logits.

    Returns:
        Logits, float32, in the shape of `outputs`.
    """
    if are_logits:
        return tf.cast(outputs, tf.float32)
    return logits_of(outputs, False) - logits_of(1.0 - tf.cast(outputs, tf.float32), False)
