"""What trainers of a student have in common."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


class StudentTrainer(keras.Model):
    """A model around a student: it is called and saved as weights, the student as a model.

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: A model that `check_student` has let pass.
        **kwargs: What `tf_keras.Model` takes, such as `name`.
    """

    def __init__(self, student: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.student = student
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """Returns what the student returns."""
        return self.student(inputs, training=training)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused: the model to save is `trainer.student`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(self._not_a_model_to_save())

    def get_config(self) -> dict[str, Any]:
        """Refused, see `save`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(self._not_a_model_to_save())

    def _not_a_model_to_save(self) -> str:
        return (
            f'{type(self).__name__} is not saved as a model, since a teacher is not part of it. '
            'Call `trainer.student.save(...)`, or `trainer.save_weights(...)` for the student and '
            'the optimizer.'
        )


class Untracked:
    """Holds what neither Keras nor tf.train.Checkpoint shall look into.

    Attributes:
        held: It.
    """

    def __init__(self, held: Any) -> None:
        self.held = held


def check_student_and_teacher(student: Any, teacher: Any) -> None:
    """Checks that one model can learn from another.

    Raises:
        TypeError: A model is not a tf_keras model.
        ValueError: A model is not built; they are the same or share variables; their inputs or
            outputs do not fit; or the student has nothing to train.
    """
    check_student(student)
    _check_model(teacher, 'teacher')
    if student is teacher:
        raise ValueError(
            '`student` and `teacher` are the same model; the teacher has to be another one, such '
            'as the float model that was quantized.'
        )
    shared = {id(variable) for variable in student.weights} & {id(v) for v in teacher.weights}
    if shared:
        raise ValueError(
            f'`student` and `teacher` share {len(shared)} variables, so training one would change '
            'the other. Give a teacher with variables of its own '
            '(`tf_keras.models.clone_model` and `set_weights`).'
        )
    _check_shapes(student, teacher, 'input_shape', 'inputs')
    _check_shapes(student, teacher, 'output_shape', 'outputs')


def check_student(student: Any) -> None:
    """Checks that a model can be trained.

    Raises:
        TypeError: It is not a tf_keras model.
        ValueError: It is not built, or has nothing to train.
    """
    _check_model(student, 'student')
    if not student.trainable_variables:
        raise ValueError(
            f'`student` ({student.name!r}) has no trainable variables; set `trainable = True`.'
        )


def _check_model(model: Any, name: str) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            f'`{name}` must be a tf_keras model, got {type(model).__module__}.'
            f'{type(model).__name__}. A Keras 3 model has to be built again with `import tf_keras '
            'as keras`.'
        )
    if not model.built:
        raise ValueError(
            f'`{name}` ({model.name!r}) is not built. Call `{name}.build(input_shape)` or call it '
            'on a batch first.'
        )


def _check_shapes(student: keras.Model, teacher: keras.Model, attribute: str, what: str) -> None:
    shapes = []
    for name, model in (('student', student), ('teacher', teacher)):
        shape = _known_shape(model, attribute)
        if isinstance(shape, (list, dict)) and what == 'outputs':
            raise ValueError(
                f'`{name}` ({model.name!r}) must have one output, got the shapes {shape}.'
            )
        shapes.append(shape)
    if None in shapes or any(isinstance(shape, (list, dict)) for shape in shapes):
        return
    if not tf.TensorShape(shapes[0]).is_compatible_with(shapes[1]):
        raise ValueError(
            f'`student` and `teacher` must have the same shape of {what}, got {shapes[0]} and '
            f'{shapes[1]}.'
        )


def _known_shape(model: keras.Model, attribute: str) -> Any:
    try:
        return getattr(model, attribute)
    except (AttributeError, RuntimeError):  # a subclassed model that was only called
        return None
