import keras as keras3
import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.keras3_objects import (
    check_compiled_with_tf_keras,
    is_of_keras3,
    keras3_model_found,
)


def test_objects_of_keras_3_are_told_from_those_of_tf_keras():
    class Own(keras3.Model):
        pass

    assert all(map(is_of_keras3, (Own(), keras3.losses.Hinge(), keras3.losses.hinge)))
    others = (keras.Sequential(), keras.losses.Hinge(), keras.losses.hinge, 'mse', None, len)
    assert not any(map(is_of_keras3, others))


def test_the_message_names_the_model_and_the_function():
    assert "Sequential 'x' of Keras 3" in keras3_model_found(keras3.Sequential(name='x'))
    assert 'tf_n2uq.from_keras3(model)' in keras3_model_found(keras3.Sequential(name='x'))


@pytest.mark.parametrize(
    ('argument', 'value', 'words'),
    [
        ('optimizer', keras3.optimizers.Adam(), 'write tf_keras.optimizers.Adam'),
        ('loss', {'a': keras3.losses.Hinge()}, 'write tf_keras.losses.Hinge'),
        ('loss', keras3.losses.mean_squared_error, 'write tf_keras.losses.mean_squared_error'),
        ('metrics', ['acc', keras3.metrics.AUC()], 'write tf_keras.metrics.AUC'),
        ('optimizer', keras3.optimizers.Muon(), 'use tf_keras.optimizers'),
    ],
)
def test_what_compile_gets_must_be_of_tf_keras(argument, value, words):
    with pytest.raises(TypeError, match=f'^{argument}: .*of Keras 3; {words}'):
        check_compiled_with_tf_keras(**{argument: value})
    check_compiled_with_tf_keras(optimizer='adam', loss=keras.losses.Hinge(), metrics=['acc'])


def test_the_trainers_check_what_they_are_compiled_with():
    student, teacher = (
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]) for _ in range(2)
    )
    trainer = tf_n2uq.training.Distillation(student, teacher, from_logits=True)
    with pytest.raises(TypeError, match='tf_keras.optimizers.Adam'):
        trainer.compile(keras3.optimizers.Adam())
    with pytest.raises(TypeError, match='tf_keras.metrics.AUC'):
        trainer.compile('adam', metrics=[keras3.metrics.AUC()])
