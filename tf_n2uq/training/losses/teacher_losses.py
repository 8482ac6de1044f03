"""The losses by which a student learns from a teacher, chosen from the heads of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tf_keras as keras

from tf_n2uq._compat.keras_models import is_functional
from tf_n2uq.training.losses.heads import Head, heads_of
from tf_n2uq.training.losses.per_output import per_output
from tf_n2uq.training.losses.soft_labels import (
    SoftBinaryCrossEntropy,
    SoftBinaryKLDivergence,
    SoftCrossEntropy,
    SoftKLDivergence,
)

CLASSES, BINARY, NUMBERS = 'classes', 'binary', 'numbers'

_CROSS_ENTROPY = ('soft_cross_entropy', 'categorical_crossentropy')
_BINARY = ('binary_crossentropy',)
_KL = ('kl_divergence', 'kullback_leibler_divergence', 'kld')
# Functions of Keras that stand for the losses with these names.
_FUNCTIONS = {
    id(keras.losses.categorical_crossentropy): 'categorical_crossentropy',
    id(keras.losses.binary_crossentropy): 'binary_crossentropy',
    id(keras.losses.kl_divergence): 'kl_divergence',
}
# Losses of Keras that take probabilities. On outputs that are logits they are another loss.
_OF_PROBABILITIES = (
    keras.losses.CategoricalCrossentropy,
    keras.losses.BinaryCrossentropy,
    keras.losses.KLDivergence,
)
_SAY_LOSS = (
    "Pass loss='soft_cross_entropy' for scores of classes, 'binary_crossentropy' for probabilities "
    "that do not add up to one, or 'mse' for numbers such as coordinates or pixels"
)


@dataclasses.dataclass(frozen=True)
class TeacherLoss:
    """How a student learns one output from its teacher.

    Attributes:
        name: The name of the output.
        loss: A Keras loss or function of the teacher's output and the student's output.
        gives: 'classes', 'binary' or 'numbers': what the output is.
        student_gives_logits: Whether the student's output is logits; None if nothing tells.
        softens: Whether the loss has a temperature.
    """

    name: str
    loss: Any
    gives: str
    student_gives_logits: bool | None
    softens: bool


@dataclasses.dataclass(frozen=True)
class _Pair:
    """The same head of student and teacher, and what the user says of them."""

    student: Head
    teacher: Head
    from_logits: bool | None
    temperature: float
    alone: bool
    like_input: bool

    @property
    def activations(self) -> set[str | None]:
        return {self.student.activation, self.teacher.activation}

    @property
    def end(self) -> str:
        """The end of both models, for errors."""
        ends = [each.activation or 'an unknown layer' for each in (self.student, self.teacher)]
        shape = '' if self.student.shape is None else f' of the shape {self.student.shape}'
        both = ends[0] if ends[0] == ends[1] else f'{ends[0]} in student and {ends[1]} in teacher'
        return f'{both}{shape}'


def teacher_losses(
    student: keras.Model,
    teacher: keras.Model,
    loss: Any,
    from_logits: bool | None,
    temperature: float,
) -> list[TeacherLoss]:
    """Chooses a loss for each output of a student.

    Args:
        student: A built model.
        teacher: A built model with the same inputs and outputs.
        loss: The user's losses: None, one, a list, or a dictionary by the names of outputs. An
            output without a loss gets the one that suits its head.
        from_logits: The user's word on whether outputs are logits; None if the heads decide.
        temperature: The temperature of soft labels.

    Returns:
        A loss for each output, in the order of the student's outputs.

    Raises:
        ValueError: A loss does not suit its head, nothing tells what an output is, or no loss has
            a temperature although one is given.
    """
    heads = heads_of(student)
    inputs = [tuple(each.shape) for each in student.inputs] if is_functional(student) else []
    given = per_output(loss, [head.name for head in heads], 'loss')
    found = []
    for head, of_teacher, wanted in zip(heads, heads_of(teacher), given, strict=True):
        alone, like_input = len(heads) == 1, head.shape in inputs
        pair = _Pair(head, of_teacher, from_logits, temperature, alone, like_input)
        found.append(_of_head(pair) if wanted is None else _of_user(pair, wanted))
    if temperature != 1.0 and not any(each.softens for each in found):
        raise ValueError(
            'temperature: expected 1.0, because no loss of this distillation softens outputs, got '
            f'{temperature!r}. Leave it out.'
        )
    return found


def _of_head(pair: _Pair) -> TeacherLoss:
    """Returns the loss that suits a head."""
    gives = _what_it_gives(pair)
    if gives == CLASSES:
        return _soft(pair, CLASSES, SoftCrossEntropy)
    if gives == BINARY:
        return _soft(pair, BINARY, SoftBinaryCrossEntropy)
    return _of_numbers(pair, 'mse')


def _what_it_gives(pair: _Pair) -> str:
    """Tells what a head gives: 'classes', 'binary' or 'numbers'."""
    one_unit = pair.student.units == 1
    if pair.from_logits is not None and pair.alone:
        return BINARY if one_unit else CLASSES
    if None in pair.activations:
        raise ValueError(
            'from_logits: expected True or False for models whose last layer cannot be found '
            f'(output {pair.student.name!r}), got None. Pass from_logits=True if both models end '
            'in logits of classes, and False if both end in probabilities. Else pass loss=…, such '
            "as loss='mse'."
        )
    if not pair.activations <= {'softmax', 'linear'}:
        if pair.activations <= {'sigmoid', 'linear'}:
            return BINARY
        raise _cannot_tell(pair)
    if 'softmax' in pair.activations:
        return CLASSES
    if one_unit:
        return NUMBERS
    is_vector = pair.student.shape is not None and len(pair.student.shape) == 2
    if pair.alone and is_vector and not pair.like_input:
        return CLASSES
    raise _cannot_tell(pair)


def _cannot_tell(pair: _Pair) -> ValueError:
    name = pair.student.name
    by_name = '' if pair.alone else f', by name: loss={{{name!r}: …}}'
    return ValueError(
        f'loss: expected a loss for the output {name!r}, because it may be scores of classes or '
        f'other numbers, got none. Its end is {pair.end}. {_SAY_LOSS}{by_name}.'
    )


def _of_user(pair: _Pair, loss: Any) -> TeacherLoss:
    """Returns the loss that the user has chosen."""
    name = loss.lower() if isinstance(loss, str) else _FUNCTIONS.get(id(loss), '')
    if name in _CROSS_ENTROPY:
        return _soft(pair, CLASSES, SoftCrossEntropy)
    if name in _BINARY:
        return _soft(pair, BINARY, SoftBinaryCrossEntropy)
    if name in _KL:
        is_binary = 'sigmoid' in pair.activations or pair.student.units == 1
        if is_binary:
            return _soft(pair, BINARY, SoftBinaryKLDivergence)
        return _soft(pair, CLASSES, SoftKLDivergence)
    if isinstance(loss, _OF_PROBABILITIES):
        _check_probabilities(pair, loss)
    return _of_numbers(pair, loss)


def _soft(pair: _Pair, gives: str, loss: Callable[..., keras.losses.Loss]) -> TeacherLoss:
    """Returns a loss of soft labels."""
    if gives == CLASSES and pair.student.units == 1:
        raise ValueError(
            f'loss: expected another loss for the output {pair.student.name!r} of the shape '
            f'{pair.student.shape}, got a cross-entropy over one class, which is always zero. '
            f'{_SAY_LOSS}.'
        )
    of_teacher = _gives_logits(pair, pair.teacher, gives)
    of_student = _gives_logits(pair, pair.student, gives)
    made = loss(pair.temperature, of_teacher, of_student)
    return TeacherLoss(pair.student.name, made, gives, of_student, softens=True)


def _gives_logits(pair: _Pair, head: Head, gives: str) -> bool:
    """Tells whether a head gives logits, and not probabilities."""
    if pair.from_logits is not None:
        return pair.from_logits
    if head.activation == 'linear':
        return True
    if head.activation == ('softmax' if gives == CLASSES else 'sigmoid'):
        return False
    raise ValueError(
        f'loss: expected an output {head.name!r} of logits or probabilities of '
        f'{"classes" if gives == CLASSES else "units that do not add up to one"}, as this loss '
        f'needs, got {pair.end}. Pass another loss, or from_logits=True or False if you know that '
        'the output is logits or probabilities.'
    )


def _of_numbers(pair: _Pair, loss: Any) -> TeacherLoss:
    """Returns a loss that takes outputs as they are."""
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError as error:
            raise ValueError(
                f"loss: expected 'soft_cross_entropy' or a loss of Keras for the output "
                f'{pair.student.name!r}, got {loss!r}. Correct the name.'
            ) from error
    of_labels = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    if of_labels or loss is keras.losses.sparse_categorical_crossentropy or not callable(loss):
        raise ValueError(
            f'loss: expected a loss of the outputs {pair.student.name!r} of teacher and student, '
            f'got {loss!r}, which takes something else. {_SAY_LOSS}. A loss of labels is '
            'labels_loss.'
        )
    head = pair.student
    gives = {'softmax': CLASSES, 'sigmoid': BINARY}.get(head.activation or '', NUMBERS)
    logits = None if head.activation is None else head.activation == 'linear'
    return TeacherLoss(head.name, loss, gives, logits, softens=False)


def _check_probabilities(pair: _Pair, loss: keras.losses.Loss) -> None:
    """Refuses a loss of probabilities for outputs that are logits."""
    takes_logits = bool(loss.get_config().get('from_logits', False))
    teacher_gives = pair.from_logits is not None or pair.teacher.activation is None
    if teacher_gives:
        return
    if pair.teacher.activation == 'linear' or (pair.student.activation == 'linear') != takes_logits:
        raise ValueError(
            f'loss: expected a loss of what the models give at {pair.student.name!r}, which ends '
            f'in {pair.end}, got {loss!r}, which takes probabilities of the teacher and '
            f'{"logits" if takes_logits else "probabilities"} of the student. {_SAY_LOSS}: these '
            'names take outputs of either kind.'
        )
