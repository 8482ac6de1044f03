"""The part of labels in a distillation: their losses, and the metrics that suit each head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tf_keras as keras

from tf_n2uq.training.losses.heads import Head, heads_of
from tf_n2uq.training.losses.per_output import per_output
from tf_n2uq.training.losses.teacher_losses import BINARY, CLASSES, NUMBERS, TeacherLoss

# Losses of Keras that take probabilities or logits. By name they take what a head gives.
_OF_LOGITS = {
    'sparse_categorical_crossentropy': keras.losses.SparseCategoricalCrossentropy,
    'categorical_crossentropy': keras.losses.CategoricalCrossentropy,
    'binary_crossentropy': keras.losses.BinaryCrossentropy,
}

# Losses of numbers, as names without underscores and as Keras abbreviates them.
_OF_NUMBERS = (
    *('mse', 'meansquarederror', 'mae', 'meanabsoluteerror', 'huber', 'logcosh'),
    *('mape', 'meanabsolutepercentageerror', 'msle', 'meansquaredlogarithmicerror'),
    *('poisson', 'cosinesimilarity'),
)


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


def metrics_of_labels(student: keras.Model, loss: Any) -> list[list[Any]]:
    """Returns the metrics that suit the losses of labels, a list for each output.

    A loss that is not one of Keras says nothing. Then the head decides.

    Args:
        student: A built model.
        loss: The loss of labels and outputs, as `tf_keras.Model.compile` takes it.

    Raises:
        ValueError: `loss` names other outputs, or has another number of them.
    """
    heads = heads_of(student)
    losses = per_output(loss, [head.name for head in heads], 'loss')
    return [_metrics_of_label(each, head) for each, head in zip(losses, heads, strict=True)]


def _metrics_of_label(loss: Any, head: Head) -> list[Any]:
    if loss is None:
        return []
    name = _name_of(loss)
    if 'binary' in name:
        # A loss by name, and a function, take probabilities.
        is_object = isinstance(loss, keras.losses.Loss)
        return _metrics(BINARY, is_object and bool(loss.get_config().get('from_logits')))
    if 'categorical' in name:
        return _metrics(CLASSES, None)
    if name in _OF_NUMBERS:
        return _metrics(NUMBERS, None)
    by_head = {'softmax': CLASSES, 'sigmoid': BINARY}
    is_vector = head.shape is None or len(head.shape) == 2
    may_be_classes = head.activation in (None, 'linear') and head.units != 1 and is_vector
    return _metrics(
        by_head.get(head.activation or '', CLASSES if may_be_classes else NUMBERS), None
    )


def _name_of(loss: Any) -> str:
    """Returns the name of a loss without underscores, in small letters."""
    if not isinstance(loss, str):
        loss = getattr(loss, '__name__', type(loss).__name__)
    return loss.replace('_', '').lower()


def _metrics_of(head: TeacherLoss) -> list[Any]:
    return _metrics(head.gives, head.student_gives_logits)


def _metrics(gives: str, logits: bool | None) -> list[Any]:
    if gives == CLASSES:
        return ['accuracy']
    if gives == BINARY:
        # Keras' own 'accuracy' compares logits with 0.5, and units as if they were classes.
        return [keras.metrics.BinaryAccuracy('accuracy', threshold=0.0 if logits else 0.5)]
    return ['mae']
