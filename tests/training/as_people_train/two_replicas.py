"""Trains a network on two logical CPUs, and prints 'passed' if all is as it should be."""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.training import AdaptiveTraining, Distillation, N2UQAdam

_layers = keras.layers


def network():
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(6, 3, padding='same', use_bias=False)(image)
    x = _layers.ReLU()(_layers.BatchNormalization()(x))
    x = _layers.Conv2D(6, 3, activation='relu')(x)
    return keras.Model(image, _layers.Dense(4)(_layers.GlobalAveragePooling2D()(x)))


def trainer_of(kind, model, teacher):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if kind == 'distillation':
        trainer = Distillation(model, teacher)
        trainer.compile(N2UQAdam(2e-3))
        return trainer
    trainer = AdaptiveTraining(model) if kind == 'adaptive' else model
    trainer.compile(keras.optimizers.Adam(2e-3), loss)
    return trainer


def main(kind, path):
    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    rng = np.random.default_rng(0)
    images = rng.random((64, 8, 8, 3)).astype(np.float32)
    labels = (images.mean((1, 2, 3)) * 16).astype(int) % 4
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    assert strategy.num_replicas_in_sync == 2
    adaptive = kind == 'adaptive'
    with strategy.scope():
        teacher = network()
        scheme = tf_n2uq.AdaBitsScheme((4, 2), 'n2uq') if adaptive else tf_n2uq.N2UQScheme(2)
        apply = tfmot.quantization.keras.quantize_apply
        model = apply(tf_n2uq.annotate(teacher), scheme=scheme)
        tf_n2uq.calibrate(model, images, verbose=0)
        trainer = trainer_of(kind, model, teacher)
    start = model.get_weights()
    losses = trainer.fit(images, labels, batch_size=16, epochs=4, verbose=0).history['loss']
    assert losses[-1] < losses[0]
    moved = [not np.array_equal(*pair) for pair in zip(start, model.get_weights(), strict=True)]
    assert np.mean(moved) > 0.7
    for variable in model.trainable_variables:
        one, other = strategy.experimental_local_results(variable)
        np.testing.assert_array_equal(one.numpy(), other.numpy())

    if adaptive:
        model = tf_n2uq.extract(model, 2)
    content = tf_n2uq.tflite.convert(model)
    report = tf_n2uq.tflite.compare(model, content, images)
    assert max(each.xnnpack_share for each in report.quantizers) < 0.002
    # Each replica predicts with ranges of its own; the file has their mean.
    (scale,) = (each.scale for each in report.outputs)
    found = tf_n2uq.tflite.evaluate(content, (images, labels), model)
    assert found.max_difference < 1.01 * scale
    assert found.mean_difference < 0.01 * scale
    model.save(path)
    assert tf_n2uq.tflite.convert(keras.models.load_model(path)) == content
    print('passed')


if __name__ == '__main__':
    main(*sys.argv[1:])
