"""The part of labels in a distillation: their losses, and the metrics that suit each head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tf_keras as keras

from tf_n2uq.training.losses.teacher_losses import BINARY, CLASSES, TeacherLoss

# Losses of Keras that take probabilities or logits. By name they take what a head gives.
_OF_LOGITS = {
    'sparse_categorical_crossentropy': keras.losses.SparseCategoricalCrossentropy,
    'categorical_crossentropy': keras.losses.CategoricalCrossentropy,
    'binary_crossentropy': keras.losses.BinaryCrossentropy,
}


def label_loss(loss: Any, head: TeacherLoss) -> Any:
    """Returns the loss of labels and one output of a student.

    Args:
        loss: The user's loss. A cross-entropy that is given by name takes logits or probabilities,
            whichever the output is.
        head: The output.
    """
    made = _OF_LOGITS.get(loss) if isinstance(loss, str) else None
    if made is None or head.student_gives_logits is None:
        return loss
    return made(from_logits=head.student_gives_logits)


def default_metrics(heads: Sequence[TeacherLoss]) -> list[list[Any]]:
    """Returns the metrics of labels and outputs that suit the heads, a list for each.

    They are the accuracy of classes and of probabilities, and the mean absolute error of numbers.

    Args:
        heads: The outputs of a student.
    """
    return [_metrics_of(head) for head in heads]


def _metrics_of(head: TeacherLoss) -> list[Any]:
    if head.gives == CLASSES:
        return ['accuracy']
    if head.gives == BINARY:
        # Keras' own 'accuracy' compares logits with 0.5, and units as if they were classes.
        threshold = 0.0 if head.student_gives_logits else 0.5
        return [keras.metrics.BinaryAccuracy('accuracy', threshold=threshold)]
    return ['mae']
