"""The model around a student that every trainer is, and the checks of student and teacher."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import is_functional, nested_outputs
from tf_n2uq.graph.keras3_objects import (
    check_compiled_with_tf_keras,
    is_of_keras3,
    keras3_model_found,
)
from tf_n2uq.graph.model_ends import output_names


class StudentTrainer(keras.Model):
    """A model around a student.

    Whatever saves the trainer, such as Keras' callbacks, saves the student. The structure of inputs
    and outputs is that of the student, and so are the names of outputs.

    Attributes:
        student: The model that is trained and that the user keeps.

    Args:
        student: A model that `check_student` has let pass.
        **kwargs: Arguments of `tf_keras.Model`, such as `name`.
    """

    def __init__(self, student: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.student = student
        self.output_names = output_names(student) if is_functional(student) else None
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the student's outputs.

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
        """Saves the student, as `student.save` does. The trainer itself is no model to save.

        `tf_keras.callbacks.ModelCheckpoint` calls this method.

        Args:
            *args: Arguments of `tf_keras.Model.save`, first the path.
            **kwargs: Likewise.
        """
        self.student.save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Saves the weights of the student, and the state of the optimizer beside them.

        `student.load_weights` reads the file as well as `load_weights` of this trainer. Files of
        the ending `.h5` alone have no optimizer.

        Args:
            *args: Arguments of `tf_keras.Model.save_weights`, first the path.
            **kwargs: Likewise.
        """
        with self._optimizer_in_student():
            self.student.save_weights(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """Loads what `save_weights` has saved, also that of a student alone.

        Args:
            *args: Arguments of `tf_keras.Model.load_weights`, first the path.
            **kwargs: Likewise.

        Returns:
            What `tf_keras.Model.load_weights` returns.
        """
        with self._optimizer_in_student():
            return self.student.load_weights(*args, **kwargs)

    @contextlib.contextmanager
    def _optimizer_in_student(self) -> Iterator[None]:
        """Makes the optimizer of this trainer that of the student, as Keras saves both together."""
        before = getattr(self.student, 'optimizer', None)
        self.student.optimizer = getattr(self, 'optimizer', None)
        try:
            yield
        finally:
            self.student.optimizer = before

    def get_config(self) -> dict[str, Any]:
        """Refuses to describe the trainer, because the model to describe is `trainer.student`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f'{type(self).__name__} has no config, because a teacher is not part of it. Take that '
            'of `trainer.student`, or save it with `trainer.save(...)`.'
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
    _check_shapes(student, teacher, 'inputs')
    _check_shapes(student, teacher, 'outputs')
    _check_structures(student, teacher)


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


def _check_shapes(student: keras.Model, teacher: keras.Model, what: str) -> None:
    shapes, expected = _known_shapes(teacher, what), _known_shapes(student, what)
    if shapes is None or expected is None:
        return
    fits = len(shapes) == len(expected) and all(
        tf.TensorShape(one).is_compatible_with(other)
        for one, other in zip(shapes, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            f'teacher: expected {what} of the shapes {expected}, as those of student, got '
            f'{shapes}. Give a teacher that was built for the same data.'
        )


def _known_shapes(model: keras.Model, what: str) -> list[tuple[int | None, ...]] | None:
    """Returns the shapes of a model's inputs or outputs; None for one that was only called."""
    if is_functional(model):
        return [tuple(tensor.shape) for tensor in getattr(model, what)]
    try:
        shape = getattr(model, f'{what.removesuffix("s")}_shape')
    except (AttributeError, RuntimeError):
        return None
    return [shape] if isinstance(shape, tuple) else None


def _check_structures(student: keras.Model, teacher: keras.Model) -> None:
    """Refuses models that return the same outputs in another structure or order."""
    if not (is_functional(student) and is_functional(teacher)):
        return
    names, expected = output_names(teacher), output_names(student)
    nests = [nested_outputs(model) for model in (teacher, student)]
    kinds = ['a dictionary' if isinstance(nest, dict) else 'a list' for nest in nests]
    reordered = names != expected and sorted(names) == sorted(expected)
    if kinds[0] != kinds[1] or reordered or (isinstance(nests[0], dict) and names != expected):
        raise ValueError(
            f'teacher: expected the outputs of student, {kinds[1]} of {", ".join(expected)}, got '
            f'{kinds[0]} of {", ".join(names)}. Build a teacher that returns its outputs like this.'
        )
