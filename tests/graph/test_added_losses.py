"""Losses and metrics that a model adds by itself, from the float to the quantized model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.added_losses import read_by
from tf_n2uq.graph.graph import Graph

_layers = keras.layers
_L2 = keras.regularizers.L2(1e-2)


class Penalty(_layers.Layer):
    """A layer as in Keras' guide: its loss is a function of its input."""

    def call(self, inputs):
        self.add_loss(0.01 * tf.reduce_mean(tf.square(inputs)))
        return _layers.ReLU()(inputs)


class Block(_layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = _layers.Conv2D(6, 3, padding='same')
        self.penalty = Penalty()

    def call(self, inputs):
        y = self.convolution(inputs)
        self.add_loss(0.02 * tf.reduce_mean(tf.abs(y)))
        return self.penalty(y)


def network(first: keras.layers.Layer, behind: keras.layers.Layer | None = None) -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = first(image)
    x = x if behind is None else behind(x)
    x = _layers.ReLU()(_layers.Conv2D(6, 3, padding='same', name='middle')(x))
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(4, name='head')(x))


def conv(**options) -> keras.layers.Layer:
    return _layers.Conv2D(6, 3, padding='same', name='first', **options)


def of_tensor() -> keras.Model:
    model = network(conv())
    hidden = model.get_layer('middle').output
    model.add_loss(0.01 * tf.reduce_sum(tf.reduce_mean(tf.square(hidden), [0, 1, 2])))
    return model


def of_ends() -> keras.Model:
    """Per example, of the input and the output, as in a variational autoencoder."""
    model = network(conv())
    means = [tf.reduce_mean(model.input, [1, 2, 3]), tf.reduce_mean(model.output, -1)]
    model.add_loss(keras.losses.mse(*(tf.expand_dims(each, -1) for each in means)))
    return model


def of_inner_model() -> keras.Model:
    image = keras.Input((8, 8, 3))
    inner = keras.Model(image, conv()(image), name='inner')
    inner.add_loss(0.1 * tf.reduce_mean(tf.square(inner.output)))
    return network(inner)


CASES: dict[str, Callable[[], keras.Model]] = {
    'add_loss': of_tensor,
    'add_loss per example': of_ends,
    'add_loss of an inner model': of_inner_model,
    'add_loss of a layer': lambda: network(conv(), Penalty()),
    'add_loss of layers in layers': lambda: network(Block()),
    'regularizer with an activation': lambda: network(
        conv(activation='relu', activity_regularizer=_L2)
    ),
    'regularizer of a linear layer': lambda: network(conv(activity_regularizer=_L2)),
    'regularizer that Keras does not save': lambda: network(
        conv(use_bias=False), _layers.BatchNormalization(activity_regularizer=_L2)
    ),
    'regularizer of a separable convolution': lambda: network(
        conv(activation='relu'),
        _layers.SeparableConv2D(6, 3, activity_regularizer=keras.regularizers.L1(1e-2)),
    ),
    'regularizer of groups': lambda: network(
        conv(activation='relu'), _layers.Conv2D(6, 3, groups=6, activity_regularizer=_L2)
    ),
    'layer of regularization': lambda: network(
        conv(activation='relu'), _layers.ActivityRegularization(l1=1e-2)
    ),
}


def quantized(model: keras.Model, bits: int = 8) -> keras.Model:
    scheme = tf_n2uq.N2UQScheme(bits)
    apply = tfmot.quantization.keras.quantize_apply
    found = apply(tf_n2uq.annotate(model), scheme=scheme)
    tf_n2uq.calibrate(found, images(), verbose=0)
    return found


def images() -> np.ndarray:
    return np.random.default_rng(0).random((16, 8, 8, 3)).astype(np.float32)


def added_loss(model: keras.Model) -> float:
    model.compile('sgd')
    return model.evaluate(images(), verbose=0)


@pytest.mark.parametrize('name', CASES)
def test_the_losses_of_the_float_model_are_those_of_the_quantized_one(name):
    keras.utils.set_random_seed(1)
    model = CASES[name]()
    expected = added_loss(model)
    found = quantized(model)
    assert expected > 1e-4
    assert added_loss(found) == pytest.approx(expected, rel=0.02)
    assert added_loss(model) == expected


@pytest.mark.parametrize('name', ['add_loss', 'regularizer with an activation'])
def test_a_model_with_losses_is_trained_saved_and_converted(name, tmp_path):
    keras.utils.set_random_seed(1)
    model = quantized(CASES[name]())
    without = keras.Model(model.input, model.output)
    assert tf_n2uq.tflite.convert(model) == tf_n2uq.tflite.convert(without)
    model.compile(keras.optimizers.SGD(0.3))
    losses = model.fit(images(), epochs=3, verbose=0).history['loss']
    assert losses[-1] < losses[0]
    content = tf_n2uq.tflite.convert(model)
    assert tf_n2uq.tflite.compare(model, content, images()).first_xnnpack is None
    for path in ('model.keras', 'model.h5'):
        model.save(tmp_path / path)
        loaded = keras.models.load_model(tmp_path / path)
        assert added_loss(loaded) == pytest.approx(added_loss(model), rel=1e-6)
        assert tf_n2uq.tflite.convert(loaded) == content
    tf_n2uq.summary(model)


def test_a_loss_of_a_tensor_inside_of_an_operator_keeps_the_operator_whole():
    keras.utils.set_random_seed(1)
    plain, model = network(conv()), of_tensor()
    layers = [[type(layer) for layer in quantized(each).layers] for each in (plain, model)]
    assert layers[1][: len(layers[0])] == layers[0]


def test_several_bit_widths_and_a_student_learn_from_the_loss():
    keras.utils.set_random_seed(1)
    teacher = of_tensor()
    student = quantized(teacher, 2)
    trainer = tf_n2uq.training.Distillation(student, teacher)
    trainer.compile('sgd')
    found = trainer.evaluate(images(), verbose=0)
    student.compile('sgd')
    added = student.evaluate(images(), verbose=0)
    bare = keras.Model(student.input, student.output)
    alone = tf_n2uq.training.Distillation(bare, keras.Model(teacher.input, teacher.output))
    alone.compile('sgd')
    assert found == pytest.approx(alone.evaluate(images(), verbose=0) + added, rel=1e-5)
    several = tfmot.quantization.keras.quantize_apply(
        tf_n2uq.annotate(of_tensor()), scheme=tf_n2uq.AdaBitsScheme((8, 4), method='n2uq')
    )
    tf_n2uq.calibrate(several, images(), verbose=0)
    assert added_loss(several) > 1e-4
    assert added_loss(tf_n2uq.extract(several, 4)) > 1e-4


def test_a_metric_of_a_tensor_stays():
    keras.utils.set_random_seed(1)
    model = network(conv())
    model.add_metric(tf.reduce_mean(tf.abs(model.get_layer('middle').output)), name='size')
    found = quantized(model)
    for each in (model, found):
        each.compile('sgd', 'mse')
    labels = np.zeros((16, 4))
    results = [
        each.evaluate(images(), labels, return_dict=True, verbose=0) for each in (model, found)
    ]
    assert results[1]['size'] == pytest.approx(results[0]['size'], rel=0.02)


def test_a_loss_of_a_function_is_warned_of(caplog):
    model = network(conv())
    model.add_loss(lambda: tf.reduce_sum(model.get_layer('head').kernel))
    with caplog.at_level('WARNING', logger='absl'):
        tf_n2uq.annotate(model)
    assert f'as functions are left out: of {model.name}' in caplog.text


def test_functions_that_tfmot_annotates_lose_arguments_and_are_refused():
    annotated = tfmot.quantization.keras.quantize_annotate_model(of_tensor())
    with pytest.raises(ValueError, match=r"computes with 'tf.math.*tf_n2uq.annotate\(model\)"):
        tfmot.quantization.keras.quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(8))


def test_a_loss_that_calls_a_layer_of_the_model_is_refused():
    model = network(conv())
    again = model.get_layer('head')(tf.reduce_mean(model.get_layer('first').output, [1, 2]))
    model.add_loss(tf.reduce_mean(again))
    with pytest.raises(ValueError, match="layer 'head' is called for the outputs, and again"):
        quantized(model)


def test_a_regularizer_without_a_layer_is_refused_by_name():
    class Own(keras.regularizers.Regularizer):
        def __call__(self, x):
            return tf.reduce_mean(x)

        def get_config(self):
            return {}

    model = network(_layers.Activation('relu', name='mine', activity_regularizer=Own()))
    with pytest.raises(ValueError, match="'mine' has the activity_regularizer Own; expected .*L2"):
        tf_n2uq.annotate(model)


def test_the_graph_of_a_model_has_its_losses_beside_the_calls():
    graph = Graph.from_model(of_tensor())
    assert {step.layer.__class__.__name__ for step in graph.added} == {'TFOpLambda', 'AddLoss'}
    assert [ref.step for ref in read_by(graph.added)] == ['middle']
    assert not set(graph.steps) & {step.name for step in graph.added}
