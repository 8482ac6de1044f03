"""The model around a student that every trainer is, and the checks of student and teacher."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.keras3_objects import (
    check_compiled_with_tf_keras,
    is_of_keras3,
    keras3_model_found,
)


class StudentTrainer(keras.Model):
    """A model around a student.

    The trainer saves its weights and its optimizer. The model to save is its student.

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: A model that `check_student` has let pass.
        **kwargs: Arguments of `tf_keras.Model`, such as `name`.
    """

    def __init__(self, student: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.student = student
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """Returns the student's output.

        Args:
            inputs: The student's inputs.
            training: Whether the student runs as in training.
        """
        return self.student(inputs, training=training)

    def compile(self, optimizer: Any = 'rmsprop', **kwargs: Any) -> None:
        """Configures training, see `tf_keras.Model.compile`.

        Args:
            optimizer: A tf_keras optimizer or its name.
            **kwargs: Further arguments of `tf_keras.Model.compile`.

        Raises:
            TypeError: An optimizer, a loss or a metric is of Keras 3.
        """
        check_compiled_with_tf_keras(optimizer=optimizer, **kwargs)
        super().compile(optimizer=optimizer, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refuses to save the trainer, because the model to save is `trainer.student`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(self._not_a_model_to_save())

    def get_config(self) -> dict[str, Any]:
        """Refuses to describe the trainer, see `save`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(self._not_a_model_to_save())

    def _not_a_model_to_save(self) -> str:
        return (
            f'{type(self).__name__} is not saved as a model, because a teacher is not part of it. '
            'Call `trainer.student.save(...)`, or `trainer.save_weights(...)` for the student and '
            'the optimizer.'
        )


class Untracked:
    """Hides an object from Keras and `tf.train.Checkpoint`.

    Keras takes models, metrics and variables in an attribute of a model for parts of the model.
    It does not look into an object of this class.

    Attributes:
        held: The hidden object.

    Args:
        held: The object to hide.
    """

    def __init__(self, held: Any) -> None:
        self.held = held


def check_student_and_teacher(student: Any, teacher: Any) -> None:
    """Checks that one model can learn from another.

    Args:
        student: The model that is to be trained.
        teacher: The model whose outputs are to be learned.

    Raises:
        TypeError: A model is not a tf_keras model.
        ValueError: A model is not built; the models are the same or share variables; their inputs
            or outputs do not fit; or the student has nothing to train.
    """
    check_student(student)
    _check_model(teacher, 'teacher')
    if student is teacher:
        raise ValueError(
            f'teacher: expected another model than student, got the same model {teacher.name!r}. '
            'Give a teacher of its own, such as the float model that was quantized.'
        )
    shared = {id(variable) for variable in student.weights} & {id(v) for v in teacher.weights}
    if shared:
        raise ValueError(
            f'teacher: expected variables of its own, got {teacher.name!r}, whose variables are '
            f'shared with student in {len(shared)} cases: training the student would change the '
            'teacher. Give a copy (`tf_keras.models.clone_model` and `set_weights`).'
        )
    _check_shapes(student, teacher, 'input_shape', 'inputs')
    _check_shapes(student, teacher, 'output_shape', 'outputs')


def check_student(student: Any) -> None:
    """Checks that a model can be trained.

    Args:
        student: The model that is to be trained.

    Raises:
        TypeError: `student` is not a tf_keras model.
        ValueError: `student` is not built, or has nothing to train.
    """
    _check_model(student, 'student')
    if not student.trainable_variables:
        raise ValueError(
            f'student: expected a model with trainable variables, got {student.name!r}, which has '
            'none. Set `trainable = True`.'
        )


def _check_model(model: Any, name: str) -> None:
    if not isinstance(model, keras.Model):
        if is_of_keras3(model):
            raise TypeError(f'{name}: expected a tf_keras model, got {keras3_model_found(model)}')
        raise TypeError(
            f'{name}: expected a tf_keras model, got {type(model).__module__}.'
            f'{type(model).__name__}. Build the model with `import tf_keras as keras`.'
        )
    if not model.built:
        raise ValueError(
            f'{name}: expected a model that is built, got {model.name!r}, which is not. Call '
            f'`{name}.build(input_shape)`, or call the model on a batch first.'
        )


def _check_shapes(student: keras.Model, teacher: keras.Model, attribute: str, what: str) -> None:
    shapes = []
    for name, model in (('student', student), ('teacher', teacher)):
        shape = _known_shape(model, attribute)
        if isinstance(shape, (list, dict)) and what == 'outputs':
            raise ValueError(
                f'{name}: expected a model with one output, got {model.name!r} with outputs of '
                f'the shapes {shape}. Build a model of the output that is to be learned.'
            )
        shapes.append(shape)
    if None in shapes or any(isinstance(shape, (list, dict)) for shape in shapes):
        return
    if not tf.TensorShape(shapes[0]).is_compatible_with(shapes[1]):
        raise ValueError(
            f'teacher: expected {what} of the shape {shapes[0]}, as those of student, got '
            f'{shapes[1]}. Give a teacher that was built for the same data.'
        )


def _known_shape(model: keras.Model, attribute: str) -> Any:
    try:
        return getattr(model, attribute)
    except (AttributeError, RuntimeError):  # a subclassed model that was only called
        return None
