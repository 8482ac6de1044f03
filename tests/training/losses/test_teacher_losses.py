"""Which loss each output learns by from a teacher, and which are refused."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training.losses.soft_labels import (
    SoftBinaryCrossEntropy,
    SoftBinaryKLDivergence,
    SoftCrossEntropy,
    SoftKLDivergence,
)
from tf_n2uq.training.losses.teacher_losses import teacher_losses

_layers = keras.layers


def ends_in(units, activation=None, size=8):
    return keras.Sequential([_layers.Input((size,)), _layers.Dense(units, activation, name='head')])


def maps(units, activation=None):
    return keras.Sequential([_layers.Input((4, 4, 2)), _layers.Conv2D(units, 1, 1, name='head')])


def of_one(model, teacher=None, loss=None, from_logits=None, temperature=1.0):
    (found,) = teacher_losses(model, teacher or model, loss, from_logits, temperature)
    return found


@pytest.mark.parametrize(
    ('student', 'teacher', 'expected'),
    [
        ((3, 'softmax'), (3, 'softmax'), SoftCrossEntropy),
        ((3, None), (3, 'softmax'), SoftCrossEntropy),
        ((3, None), (3, None), SoftCrossEntropy),
        ((1, 'sigmoid'), (1, 'sigmoid'), SoftBinaryCrossEntropy),
        ((1, None), (1, 'sigmoid'), SoftBinaryCrossEntropy),
        ((4, 'sigmoid'), (4, 'sigmoid'), SoftBinaryCrossEntropy),
    ],
)
def test_heads_choose_the_loss(student, teacher, expected):
    assert type(of_one(ends_in(*student), ends_in(*teacher)).loss) is expected


def test_one_linear_unit_is_a_number():
    found = of_one(ends_in(1))
    assert found.loss is keras.losses.get('mse')
    assert found.gives == 'numbers'


@pytest.mark.parametrize(
    ('units', 'from_logits', 'expected', 'gives'),
    [(3, True, SoftCrossEntropy, 'classes'), (1, False, SoftBinaryCrossEntropy, 'binary')],
)
def test_the_users_word_on_logits_counts(units, from_logits, expected, gives):
    found = of_one(ends_in(units), from_logits=from_logits)
    assert type(found.loss) is expected
    assert (found.gives, found.student_gives_logits) == (gives, from_logits)


@pytest.mark.parametrize(
    'model',
    [
        *(ends_in(8), ends_in(3, 'tanh'), ends_in(3, 'relu'), maps(3)),
        keras.Sequential([_layers.Input((4, 4, 2))]),
    ],
    ids=['like the input', 'tanh', 'relu', 'map', 'input itself'],
)
def test_an_output_that_may_be_classes_or_numbers_needs_a_loss(model):
    if not model.layers:
        model.add(_layers.Conv2D(2, 1))
    with pytest.raises(
        ValueError, match="loss: expected a loss for the output .* or 'mse' for numbers"
    ):
        of_one(model)
    assert of_one(model, loss='mse').loss is keras.losses.get('mse')
    classes = of_one(model, loss='soft_cross_entropy', from_logits=True)
    assert type(classes.loss) is SoftCrossEntropy


def detector():
    inputs = keras.Input((8,))
    heads = [_layers.Dense(3, 'softmax', name='label'), _layers.Dense(4, name='box')]
    return keras.Model(inputs, [head(inputs) for head in heads])


def test_several_linear_units_beside_other_outputs_need_a_loss():
    with pytest.raises(ValueError, match=r"the output 'box'.*loss=\{'box': …\}"):
        teacher_losses(detector(), detector(), None, None, 1.0)
    for given in ({'box': 'mse'}, ['soft_cross_entropy', 'mse'], [None, keras.losses.Huber()]):
        label, box = teacher_losses(detector(), detector(), given, None, 1.0)
        assert (label.name, type(label.loss), label.gives) == ('label', SoftCrossEntropy, 'classes')
        assert (box.name, box.gives, box.softens) == ('box', 'numbers', False)


@pytest.mark.parametrize(
    ('model', 'name', 'expected'),
    [
        (ends_in(3), 'categorical_crossentropy', SoftCrossEntropy),
        (ends_in(3), keras.losses.categorical_crossentropy, SoftCrossEntropy),
        (ends_in(3), 'KL_divergence', SoftKLDivergence),
        (ends_in(3, 'sigmoid'), 'kld', SoftBinaryKLDivergence),
        (ends_in(1), 'binary_crossentropy', SoftBinaryCrossEntropy),
        (maps(3), 'soft_cross_entropy', SoftCrossEntropy),
    ],
)
def test_names_stand_for_losses_of_soft_labels(model, name, expected):
    found = of_one(model, loss=name, temperature=3.0)
    assert type(found.loss) is expected
    assert found.softens


def test_a_function_and_an_object_are_taken_as_they_are():
    def own(teacher, student):
        return tf.reduce_mean(tf.abs(teacher - student), axis=-1)

    for loss in (own, keras.losses.LogCosh()):
        assert of_one(ends_in(3), loss=loss).loss is loss
    given = keras.losses.CategoricalCrossentropy()
    assert of_one(ends_in(3, 'softmax'), loss=given).loss is given


@pytest.mark.parametrize(
    ('model', 'loss', 'words'),
    [
        (ends_in(1, 'softmax'), None, 'a cross-entropy over one class, which is always zero'),
        (ends_in(1), 'soft_cross_entropy', 'over one class'),
        (ends_in(3, 'sigmoid'), 'soft_cross_entropy', 'got sigmoid'),
        (ends_in(3, 'softmax'), 'binary_crossentropy', 'got softmax'),
        (ends_in(3), 'sparse_categorical_crossentropy', 'labels_loss'),
        (ends_in(3), keras.losses.SparseCategoricalCrossentropy(), 'labels_loss'),
        (ends_in(3), 'no_such_loss', "'soft_cross_entropy' or a loss of Keras .*'no_such_loss'"),
        (ends_in(3), 7, 'got 7'),
        (ends_in(3), keras.losses.CategoricalCrossentropy(from_logits=True), 'probabilities of'),
        (ends_in(3, 'softmax'), keras.losses.KLDivergence(), None),
        (ends_in(3), keras.losses.KLDivergence(), 'takes probabilities of the teacher'),
    ],
)
def test_losses_that_do_not_suit_an_output_are_refused(model, loss, words):
    if words is None:
        of_one(model, loss=loss)
        return
    with pytest.raises(ValueError, match=words):
        of_one(model, loss=loss)


def test_softmax_and_sigmoid_together_are_refused():
    with pytest.raises(ValueError, match='sigmoid in student and softmax in teacher'):
        of_one(ends_in(3, 'sigmoid'), ends_in(3, 'softmax'))


def test_a_temperature_that_nothing_uses_is_refused():
    with pytest.raises(ValueError, match=r'temperature: expected 1\.0, .* got 2\.0'):
        of_one(ends_in(1), temperature=2.0)


def test_a_subclassed_model_needs_the_users_word():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    model = Subclassed()
    model(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match='from_logits: expected True or False .* cannot be found'):
        of_one(model)
    assert of_one(model, loss='mse').loss is keras.losses.get('mse')
    assert of_one(model, from_logits=True).student_gives_logits
