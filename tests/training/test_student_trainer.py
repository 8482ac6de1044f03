"""The model around a student, and which students and teachers are refused."""

import contextlib

import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.training.student_trainer import (
    StudentTrainer,
    Untracked,
    check_student,
    check_student_and_teacher,
)


def test_a_trainer_gives_what_its_student_gives(dense_model, blobs):
    student = dense_model(1)
    trainer = StudentTrainer(student, name='trainer')
    assert (trainer.name, trainer.student) == ('trainer', student)
    for training in (True, False):
        np.testing.assert_allclose(
            trainer(blobs[0], training=training), student(blobs[0], training=training), rtol=1e-6
        )


def test_its_weights_are_the_students_and_are_saved(dense_model, tmp_path):
    trainer = StudentTrainer(dense_model(1))
    assert [id(v) for v in trainer.weights] == [id(v) for v in trainer.student.weights]
    trainer.save_weights(str(tmp_path / 'trainer.weights.h5'))
    copy = StudentTrainer(dense_model(2))
    copy.load_weights(str(tmp_path / 'trainer.weights.h5'))
    for one, other in zip(trainer.student.weights, copy.student.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('name', ['model.keras', 'model.h5', 'model'])
def test_saving_it_saves_the_student(dense_model, blobs, tmp_path, name):
    trainer = StudentTrainer(dense_model(1))
    trainer.save(str(tmp_path / name))
    loaded = keras.models.load_model(tmp_path / name)
    np.testing.assert_array_equal(loaded(blobs[0]), trainer.student(blobs[0]))


@pytest.mark.parametrize('name', ['saved.weights.h5', 'saved.h5', 'saved'])
def test_saved_weights_are_those_of_the_student_alone_too(dense_model, tmp_path, name):
    trainer = StudentTrainer(dense_model(1))
    trainer.compile('adam')
    trainer.save_weights(str(tmp_path / name))
    assert getattr(trainer.student, 'optimizer', None) is None
    student = dense_model(2)
    student.load_weights(str(tmp_path / name))
    again = StudentTrainer(dense_model(3))
    again.load_weights(str(tmp_path / name))
    for loaded in (student, again.student):
        for one, other in zip(trainer.student.weights, loaded.weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_it_has_no_config(dense_model):
    with pytest.raises(NotImplementedError, match=r'trainer\.save'):
        StudentTrainer(dense_model(1)).get_config()


def test_outputs_have_the_names_of_the_student():
    inputs = keras.Input((4,))
    one, other = (keras.layers.Dense(2, name=name) for name in ('one', 'other'))
    assert StudentTrainer(keras.Model(inputs, [other(inputs), one(inputs)])).output_names == [
        'other',
        'one',
    ]


def test_what_is_untracked_is_no_part_of_the_model(dense_model):
    trainer = StudentTrainer(dense_model(1))
    other = dense_model(2)
    trainer.hidden = Untracked(other)
    assert trainer.hidden.held is other
    assert len(trainer.weights) == len(trainer.student.weights)
    assert other not in list(trainer.submodules)


def test_a_student_is_built_and_has_something_to_train(dense_model):
    check_student(dense_model(1))
    with pytest.raises(TypeError, match='student: expected a tf_keras model, got .*int'):
        check_student(3)
    with pytest.raises(ValueError, match='student: expected a model that is built'):
        check_student(keras.Sequential([keras.layers.Dense(3)]))
    frozen = dense_model(1)
    frozen.trainable = False
    with pytest.raises(ValueError, match='student: expected .* trainable variables'):
        check_student(frozen)


def test_student_and_teacher_are_two_models_of_the_same_shapes(dense_model):
    student = dense_model(1)
    check_student_and_teacher(student, dense_model(2, units=13))
    frozen = dense_model(3)
    frozen.trainable = False
    check_student_and_teacher(student, frozen)
    with pytest.raises(ValueError, match='teacher: expected another model'):
        check_student_and_teacher(student, student)
    around = keras.Sequential([keras.layers.Input((8,)), student])
    with pytest.raises(ValueError, match=r'teacher: expected variables of its own, .* in 8 cases'):
        check_student_and_teacher(student, around)
    wider = keras.Sequential([keras.layers.Input((9,)), keras.layers.Dense(3)])
    with pytest.raises(
        ValueError, match=r'expected inputs of the shapes \[\(None, 8\)\], .* \[\(None, 9\)\]'
    ):
        check_student_and_teacher(student, wider)


@pytest.mark.parametrize(('size', 'fits'), [(None, True), (8, True), (4, False)])
def test_a_size_that_is_not_known_fits_all(dense_model, size, fits):
    inputs = keras.Input((size, 2))
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(inputs))
    teacher = keras.Model(inputs, outputs)
    student = keras.Sequential([keras.layers.Input((8, 2)), keras.layers.Flatten()])
    student.add(keras.layers.Dense(3))
    expected = contextlib.nullcontext() if fits else pytest.raises(ValueError, match='inputs of')
    with expected:
        check_student_and_teacher(student, teacher)


def two_heads(as_outputs, names=('one', 'other')):
    inputs = keras.Input((4,))
    return keras.Model(
        inputs, as_outputs([keras.layers.Dense(2, name=name)(inputs) for name in names])
    )


def by_key(keys):
    return lambda heads: dict(zip(keys, heads, strict=True))


def test_several_outputs_come_in_the_same_structure_and_order():
    check_student_and_teacher(two_heads(list), two_heads(list))
    check_student_and_teacher(two_heads(list), two_heads(list, ('left', 'right')))
    check_student_and_teacher(two_heads(by_key('ab')), two_heads(by_key('ba')))
    for other in (
        two_heads(by_key('ab')),
        two_heads(list, ('other', 'one')),
    ):
        with pytest.raises(ValueError, match='teacher: expected the outputs of student, a list of'):
            check_student_and_teacher(two_heads(list), other)
    with pytest.raises(ValueError, match='a dictionary of a, b, got a dictionary of b, c'):
        check_student_and_teacher(two_heads(by_key('ab')), two_heads(by_key('bc')))
    one = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match='expected outputs of the shapes'):
        check_student_and_teacher(two_heads(list), one)
