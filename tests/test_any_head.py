"""Models with all kinds of heads, from `quantize_apply` to the comparison of the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tf_n2uq.training import Distillation

_layers = keras.layers
COUNT = 48


@dataclasses.dataclass(frozen=True)
class Task:
    """A model, and what one needs to train and to judge it.

    Attributes:
        network: returns the float model.
        labels: returns labels for examples, given a random generator.
        metrics: metrics of the file.
        options: arguments of `Distillation`.
    """

    network: Callable[[], keras.Model]
    labels: Callable[[np.random.Generator], Any]
    metrics: Any
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def autoencoder() -> keras.Model:
    inputs = keras.Input((24,))
    x = _layers.Dense(6, 'relu')(inputs)
    return keras.Model(inputs, _layers.Dense(24)(x))


def vector(last: _layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((12,)), _layers.Dense(16, 'relu'), last])


def detector() -> keras.Model:
    image = keras.Input((8, 8, 3), name='image')
    x = _layers.Conv2D(8, 3, 2, activation='relu')(image)
    x = _layers.Flatten()(_layers.Conv2D(8, 3, activation='relu')(x))
    heads = {
        'class': _layers.Dense(3, 'softmax', name='class')(x),
        'box': _layers.Dense(4, name='box')(x),
    }
    return keras.Model(image, heads)


def image_and_vector() -> keras.Model:
    image, facts = keras.Input((8, 8, 3), name='image'), keras.Input((5,), name='facts')
    x = _layers.GlobalAveragePooling2D()(_layers.Conv2D(8, 3, activation='relu')(image))
    x = _layers.Concatenate()([x, _layers.Dense(6, 'relu')(facts)])
    return keras.Model([image, facts], _layers.Dense(3)(x))


def segmentation() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, padding='same', activation='relu')(image)
    return keras.Model(image, _layers.Conv2D(1, 1, activation='sigmoid')(x))


def classes(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 3, COUNT)


TASKS = {
    'autoencoder': Task(autoencoder, lambda rng: rng.random((COUNT, 24)), ['mse'], {'loss': 'mse'}),
    'regression': Task(
        lambda: vector(_layers.Dense(1)), lambda rng: rng.random((COUNT, 1)), ['mae', 'mse']
    ),
    'binary': Task(
        lambda: vector(_layers.Dense(1, 'sigmoid')),
        lambda rng: rng.integers(0, 2, COUNT),
        ['accuracy', keras.metrics.AUC(name='auc')],
    ),
    'detector': Task(
        detector,
        lambda rng: {'class': classes(rng), 'box': rng.random((COUNT, 4))},
        {'class': ['accuracy'], 'box': ['mae']},
        {'loss': {'box': 'mse'}, 'loss_weights': {'class': 0.5}},
    ),
    'image and vector': Task(
        image_and_vector,
        lambda rng: np.eye(3)[classes(rng)],
        ['accuracy'],
        {'labels_loss': 'categorical_crossentropy', 'labels_weight': 0.1},
    ),
    'segmentation': Task(
        segmentation,
        lambda rng: rng.integers(0, 2, (COUNT, 8, 8, 1)),
        [keras.metrics.BinaryIoU([1], name='iou')],
    ),
}


def examples(model: keras.Model) -> Any:
    """Returns inputs of a model: one array, or a dictionary by name."""
    rng = np.random.default_rng(0)
    shapes = zip(model.input_names, model.inputs, strict=True)
    arrays = {name: rng.random((COUNT, *x.shape[1:])).astype(np.float32) for name, x in shapes}
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


@pytest.mark.parametrize('task', TASKS.values(), ids=TASKS)
def test_a_model_is_trained_converted_judged_and_compared(task):
    keras.utils.set_random_seed(1)
    # The student has other weights than its teacher, so that it has something to learn.
    start, teacher = task.network(), task.network()
    inputs, labels = examples(teacher), task.labels(np.random.default_rng(1))
    student = quantize(start, bits=4)
    tf_n2uq.calibrate(student, inputs, verbose=0)
    assert student.output_names == start.output_names

    trainer = Distillation(student, teacher, **task.options)
    # Tracing would take longer than these few steps.
    trainer.compile(keras.optimizers.Adam(3e-3), run_eagerly=True)
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(COUNT)
    losses = trainer.fit(data, epochs=6, verbose=0).history['loss']
    assert losses[0] > 0.0
    assert losses[-1] < losses[0]

    content = tf_n2uq.tflite.convert(student)
    expected, got = student.predict(inputs, verbose=0), tf_n2uq.tflite.predict(content, inputs)
    tf.nest.assert_same_structure(got, expected)
    report = tf_n2uq.tflite.evaluate(content, (inputs, labels), student, metrics=task.metrics)
    assert report.metrics == pytest.approx(report.reference_metrics, abs=0.01)
    compared = tf_n2uq.tflite.compare(student, content, inputs)
    assert [each.name for each in compared.outputs] == sorted_names(student)
    for output in compared.outputs:
        assert output.xnnpack.mean_difference < 0.5, output.name


def sorted_names(model: keras.Model) -> list[str]:
    """Returns the names of outputs in the order of the model, where dictionaries are sorted."""
    return sorted(model.output) if isinstance(model.output, dict) else model.output_names
