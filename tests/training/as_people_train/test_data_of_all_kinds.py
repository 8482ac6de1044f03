"""Weights, labels and data sets in all forms that `fit` takes, for a quantized network."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.training import Distillation

_layers = keras.layers
COUNT, CLASSES = 48, 3


def network():
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3), name='image')
    x = _layers.Conv2D(6, 3, activation='relu')(image)
    x = _layers.Conv2D(6, 3, activation='relu', name='inner')(x)
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(CLASSES, activation='softmax', name='label')(x))


@pytest.fixture(scope='module')
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, COUNT)
    images = rng.random((COUNT, 8, 8, 3)).astype(np.float32) / 2
    images[np.arange(COUNT), :, :, labels] += 0.5
    return images, labels


@pytest.fixture(scope='module')
def pair(data):
    """A quantized network and its float teacher, with the weights that each test begins with."""
    teacher = network()
    apply = tfmot.quantization.keras.quantize_apply
    model = apply(tf_n2uq.annotate(teacher), scheme=tf_n2uq.N2UQScheme(2))
    tf_n2uq.calibrate(model, data[0], verbose=0)
    return model, teacher, model.get_weights()


@pytest.fixture(params=['fit', 'distillation'])
def trainer_of(request, pair):
    """Function that compiles the network, or a distillation that learns from labels as well."""
    model, teacher, weights = pair
    model.set_weights(weights)

    def build(loss='sparse_categorical_crossentropy', optimizer='sgd'):
        if request.param == 'fit':
            model.compile(optimizer, loss, metrics=['accuracy'])
            return model
        trainer = Distillation(model, teacher, labels_loss=loss)
        trainer.compile(optimizer)
        return trainer

    return build


def losses_of_examples(trainer, images, labels):
    """The loss of each example alone."""
    return np.array(
        [
            trainer.evaluate(images[i : i + 1], labels[i : i + 1], verbose=0, return_dict=True)[
                'loss'
            ]
            for i in range(len(images))
        ]
    )


def test_sample_weights_weigh_the_loss_of_each_example(trainer_of, data):
    images, labels = (each[:8] for each in data)
    trainer = trainer_of()
    alone = losses_of_examples(trainer, images, labels)
    weights = np.linspace(0, 3, 8)
    found = trainer.evaluate(images, labels, sample_weight=weights, verbose=0, return_dict=True)
    assert found['loss'] == pytest.approx(np.mean(weights * alone), rel=1e-4)
    assert trainer.evaluate(
        tf.data.Dataset.from_tensor_slices((images, labels, weights)).batch(8), verbose=0
    )[0] == pytest.approx(np.mean(weights * alone), rel=1e-4)


def test_examples_of_weight_zero_train_nothing(trainer_of, data, pair):
    images, labels = data
    model, _, weights = pair
    kept = []
    for others in (labels, (labels + 1) % CLASSES):
        model.set_weights(weights)
        trainer = trainer_of(optimizer=keras.optimizers.SGD(0.1))
        mixed = np.where(np.arange(COUNT) < COUNT // 2, labels, others)
        used = (np.arange(COUNT) < COUNT // 2).astype(np.float32)
        trainer.fit(images, mixed, COUNT, sample_weight=used, verbose=0)
        kept.append(model.get_weights())
    for one, other in zip(*kept, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not np.array_equal(a, b) for a, b in zip(kept[0], weights, strict=True))


@pytest.mark.parametrize('one_hot', [False, True])
def test_class_weights_weigh_the_examples_of_a_class(trainer_of, data, one_hot):
    images, labels = data
    given = keras.utils.to_categorical(labels, CLASSES) if one_hot else labels
    trainer = trainer_of(
        'categorical_crossentropy' if one_hot else 'sparse_categorical_crossentropy'
    )
    weights = np.array([0.0, 1.0, 2.5])
    options = {'sample_weight': weights[labels], 'verbose': 0, 'return_dict': True}
    expected = trainer.evaluate(images, given, **options)['loss']
    # The loss of a training step is that before the step. No layer computes otherwise in training,
    # but ranges follow the data, which moves the loss a little.
    history = trainer.fit(
        images, given, COUNT, class_weight=dict(enumerate(weights)), verbose=0
    ).history
    assert history['loss'][0] == pytest.approx(expected, rel=0.05)


def test_one_hot_labels_give_what_integers_give(trainer_of, data):
    images, labels = data
    integers = trainer_of().evaluate(images, labels, verbose=0, return_dict=True)
    one_hot = keras.utils.to_categorical(labels, CLASSES)
    found = trainer_of('categorical_crossentropy').evaluate(
        images, one_hot, verbose=0, return_dict=True
    )
    assert found == pytest.approx(integers, rel=1e-5)


class Batches(keras.utils.Sequence):
    """A user's own sequence, as Keras' guide has it."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return COUNT // 16

    def __getitem__(self, index):
        part = slice(16 * index, 16 * (index + 1))
        return self.images[part], self.labels[part]


def _augmented(images, labels):
    generator = keras.preprocessing.image.ImageDataGenerator(horizontal_flip=True)
    return generator.flow(images, labels, batch_size=16, seed=1)


SOURCES = {
    'tf.data': lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(16),
    'dictionaries': lambda x, y: tf.data.Dataset.from_tensor_slices(
        ({'image': x}, {'label': y})
    ).batch(16),
    'Sequence': Batches,
    'ImageDataGenerator': _augmented,
}


@pytest.mark.parametrize('source', SOURCES)
def test_data_of_every_kind_trains_and_judges(trainer_of, data, pair, source):
    model, *_ = pair
    tf_n2uq.calibrate(model, SOURCES[source](*data), verbose=0)
    trainer = trainer_of(optimizer=keras.optimizers.Adam(5e-3))
    history = trainer.fit(
        SOURCES[source](*data), validation_data=SOURCES[source](*data), epochs=4, verbose=0
    ).history
    assert history['loss'][-1] < history['loss'][0]
    assert {'accuracy', 'val_loss', 'val_accuracy'} <= set(history)
    content = tf_n2uq.tflite.convert(model)
    found = tf_n2uq.tflite.evaluate(content, SOURCES[source](*data), model)
    assert found.examples == COUNT
    if source != 'ImageDataGenerator':  # It mirrors others each time.
        assert found.reference_accuracy == pytest.approx(history['val_accuracy'][-1], abs=1e-6)
