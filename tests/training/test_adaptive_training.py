"""Training at several bit-widths together: losses, gradients, logs, what is saved, errors."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import SwitchableBatchNormalization
from tf_n2uq.training import AdaptiveTraining, N2UQAdam

BITS = (8, 4, 2)
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def float_model(seed=0, regularizer=None):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Input((8,)),
            keras.layers.Dense(12, activation='relu'),
            keras.layers.Dense(12, kernel_regularizer=regularizer, name='inner'),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dense(3),
        ]
    )


def adaptive_model(points, bits=BITS, method='sat', **arguments):
    annotated = tfmot.quantization.keras.quantize_annotate_model(float_model(**arguments))
    scheme = tf_n2uq.AdaBitsScheme(bits, method)
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    tf_n2uq.calibrate(model, points, verbose=0)
    return model


def trained_once(model, points, labels, **arguments):
    """A step of plain gradient descent at rate 1, as the change of each variable."""
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    trainer = AdaptiveTraining(model, **arguments)
    loss = None if arguments.get('teacher') else cross_entropy
    trainer.compile(keras.optimizers.SGD(1.0), loss)
    trainer.train_on_batch(points, labels)
    return {v.name: before[v.name] - v.numpy() for v in model.trainable_variables}


def gradients_at(model, points, labels, bits, soft=None):
    tf_n2uq.set_bits(model, bits)
    with tf.GradientTape() as tape:
        logits = model(points, training=True)
        loss = cross_entropy(labels, logits)
        if soft is not None:
            losses = keras.losses.categorical_crossentropy(tf.nn.softmax(soft), logits, True)
            loss = tf.reduce_mean(losses)
    found = tape.gradient(loss, model.trainable_variables)
    return logits, {
        variable.name: 0.0 if gradient is None else gradient.numpy()
        for variable, gradient in zip(model.trainable_variables, found, strict=True)
    }


@pytest.mark.parametrize('inplace', [False, True])
def test_a_step_follows_the_sum_of_the_gradients_of_all_bit_widths(blobs, inplace):
    points, labels = blobs
    model = adaptive_model(points)
    alike = keras.models.clone_model(model)
    alike.set_weights(model.get_weights())
    step = trained_once(model, points, labels, inplace_distillation=inplace)
    expected, soft = dict.fromkeys(step, 0.0), None
    for bits in BITS:
        logits, gradients = gradients_at(alike, points, labels, bits, soft)
        soft = logits if inplace and soft is None else soft
        expected = {name: expected[name] + gradients[name] for name in expected}
    for name, change in step.items():
        np.testing.assert_allclose(change, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_teacher_takes_the_place_of_labels(blobs):
    points, labels = blobs
    teacher = float_model(seed=5)
    model = adaptive_model(points)
    trainer = AdaptiveTraining(model, teacher)
    trainer.compile('sgd')
    result = trainer.evaluate(points, labels, batch_size=192, verbose=0, return_dict=True)
    target = tf.nn.softmax(teacher(points))
    for bits in BITS:
        tf_n2uq.set_bits(model, bits)
        expected = keras.losses.categorical_crossentropy(target, model(points), True)
        assert result[f'loss_{bits}bit'] == pytest.approx(np.mean(expected), rel=1e-4)
    assert 'accuracy_2bit' in result
    assert 'loss' in trainer.train_on_batch(points, return_dict=True)


def test_logs_have_the_sum_and_one_loss_and_accuracy_per_bit_width(blobs, batches):
    points, labels = blobs
    model = adaptive_model(points)
    tf_n2uq.set_bits(model, 4)
    trainer = AdaptiveTraining(model)
    top_2 = keras.metrics.SparseTopKCategoricalAccuracy(2, name='top_2')
    trainer.compile(N2UQAdam(1e-2), cross_entropy, metrics=['accuracy', top_2])
    history = trainer.fit(batches, epochs=2, validation_data=batches, verbose=0).history
    own = {f'{name}_{bits}bit' for name in ('loss', 'accuracy', 'top_2') for bits in BITS}
    assert set(history) == {p + name for p in ('', 'val_') for name in own | {'loss'}}
    for epoch in range(2):
        total = sum(history[f'val_loss_{bits}bit'][epoch] for bits in BITS)
        assert history['val_loss'][epoch] == pytest.approx(total, rel=1e-5)
    assert history['loss'][1] < history['loss'][0]
    assert tf_n2uq.active_bits(model) == 4
    values = trainer.evaluate(points, labels, verbose=0)
    by_name = dict(zip(trainer.metrics_names, values, strict=True))
    for bits in BITS:
        tf_n2uq.set_bits(model, bits)
        predicted = model.predict(points, verbose=0).argmax(-1)
        assert by_name[f'accuracy_{bits}bit'] == pytest.approx(np.mean(predicted == labels))


def test_images_without_labels_need_a_teacher(blobs):
    points, _ = blobs
    trainer = AdaptiveTraining(adaptive_model(points))
    trainer.compile('sgd', cross_entropy)
    images = tf.data.Dataset.from_tensors(points)
    for use in (trainer.fit, trainer.evaluate):
        with pytest.raises(ValueError, match='data: expected labels, because there is no teacher'):
            use(images, verbose=0)


def test_each_bit_width_gathers_statistics_of_its_own(blobs, batches):
    model = adaptive_model(blobs[0])
    trainer = AdaptiveTraining(model)
    trainer.compile('sgd', cross_entropy)
    trainer.fit(batches, verbose=0)
    layer = next(x for x in model.layers if isinstance(x, SwitchableBatchNormalization))
    means = [layer.at(bits).moving_mean.numpy() for bits in BITS]
    assert np.abs(means[0] - means[1]).max() > 0
    assert np.abs(means[1] - means[2]).max() > 0


def test_regularization_counts_once(blobs):
    points, labels = blobs
    losses = []
    for regularizer in (None, keras.regularizers.L2(0.1)):
        model = adaptive_model(points, regularizer=regularizer)
        trainer = AdaptiveTraining(model)
        trainer.compile('sgd', cross_entropy, metrics='accuracy')
        losses.append(trainer.evaluate(points, labels, verbose=0)[0])
    kernel = model.get_layer('quant_inner').layer.kernel
    assert losses[1] - losses[0] == pytest.approx(0.1 * np.sum(np.square(kernel)), rel=1e-4)


def test_a_run_is_resumed_and_its_best_model_has_all_bit_widths(blobs, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices(blobs).take(128).batch(32)

    def run(epochs, resume, folder):
        trainer = AdaptiveTraining(adaptive_model(blobs[0]))
        trainer.compile(N2UQAdam(1e-2), cross_entropy)
        return trainer.student, tf_n2uq.training.fit(
            trainer,
            batches,
            batches,
            epochs=epochs,
            run_dir=tmp_path / folder,
            resume=resume,
            monitor='val_accuracy_2bit',
            verbose=0,
        )

    run(1, False, 'parts')
    in_parts, rows = run(2, True, 'parts')
    at_once, expected = run(2, False, 'once')
    assert [row['val_accuracy_2bit'] for row in rows] == pytest.approx(
        [row['val_accuracy_2bit'] for row in expected]
    )
    for one, other in zip(in_parts.weights, at_once.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    best = keras.models.load_model(tmp_path / 'parts' / 'best.keras')
    assert tf_n2uq.bit_widths(best) == BITS


def test_occupancy_is_that_of_the_active_bit_width(blobs):
    points, _ = blobs
    model = adaptive_model(points, (3, 2), 'n2uq')
    for bits in (3, 2):
        tf_n2uq.set_bits(model, bits)
        (occupancy,) = tf_n2uq.training.level_occupancy(model, points).values()
        assert occupancy.shape == (2**bits,)
        assert occupancy.sum() == pytest.approx(1.0)


def test_synchronized_normalization_reaches_all_bit_widths(blobs):
    model = adaptive_model(blobs[0])
    copy = tf_n2uq.training.distribution.replicate(
        model, tf.distribute.get_strategy(), sync_batch_norm=True
    )
    layer = next(x for x in copy.layers if isinstance(x, SwitchableBatchNormalization))
    assert all(each.synchronized for each in layer.normalizations)


def test_wrong_arguments_are_named(blobs):
    points, _ = blobs
    model = adaptive_model(points)
    with pytest.raises(ValueError, match='has none to switch'):
        AdaptiveTraining(float_model())
    with pytest.raises(TypeError, match='inplace_distillation: expected True or False, got 1'):
        AdaptiveTraining(model, inplace_distillation=1)
    with pytest.raises(TypeError, match='from_logits: expected True, False or None'):
        AdaptiveTraining(model, from_logits='yes')
    with pytest.raises(ValueError, match='temperature: expected a number above zero'):
        AdaptiveTraining(model, temperature=0)
    with pytest.raises(ValueError, match='temperature: expected 1.0 without soft labels, got 2.0'):
        AdaptiveTraining(model, temperature=2.0)
    AdaptiveTraining(model, temperature=2.0, inplace_distillation=True)
    with pytest.raises(ValueError, match='got the same model'):
        AdaptiveTraining(model, model)
    trainer = AdaptiveTraining(model)
    with pytest.raises(ValueError, match='loss: expected a loss of labels'):
        trainer.compile('sgd')
    with pytest.raises(ValueError, match='loss_weights: expected None'):
        trainer.compile('sgd', cross_entropy, loss_weights=[1.0])
    with pytest.raises(ValueError, match='loss: expected None, because the teacher'):
        AdaptiveTraining(model, float_model(seed=3)).compile('sgd', cross_entropy)


def heads_model():
    """A network with a head of each kind: classes, a probability and a number."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = keras.layers.Dense(12, 'relu')(inputs)
    x = keras.layers.Dense(12, 'relu', name='inner')(x)
    heads = {
        'kind': keras.layers.Dense(3, 'softmax', name='kind')(x),
        'is_big': keras.layers.Dense(1, 'sigmoid', name='is_big')(x),
        'size': keras.layers.Dense(1, name='size')(x),
    }
    return keras.Model(inputs, heads)


@pytest.mark.parametrize('with_teacher', [False, True])
def test_every_head_has_the_metric_that_suits_it(blobs, with_teacher):
    points, labels = blobs
    teacher = heads_model()
    annotated = tfmot.quantization.keras.quantize_annotate_model(teacher)
    scheme = tf_n2uq.AdaBitsScheme((4, 2), 'sat', rescale='stddev')
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    tf_n2uq.calibrate(model, points, verbose=0)
    sizes = points[:, :1]
    targets = {'kind': labels, 'is_big': (sizes > 0).astype(int), 'size': sizes}
    trainer = AdaptiveTraining(model, teacher if with_teacher else None)
    losses = {'kind': 'sparse_categorical_crossentropy', 'is_big': 'binary_crossentropy'}
    trainer.compile('sgd', None if with_teacher else {**losses, 'size': 'mse'})
    found = trainer.evaluate(points, targets, batch_size=192, verbose=0, return_dict=True)
    tf_n2uq.set_bits(model, 2)
    kind, is_big, size = (model(points)[name].numpy() for name in ('kind', 'is_big', 'size'))
    assert found['kind_accuracy_2bit'] == pytest.approx(np.mean(kind.argmax(-1) == labels))
    assert found['is_big_accuracy_2bit'] == pytest.approx(np.mean((is_big > 0.5) == (sizes > 0)))
    assert found['size_mae_2bit'] == pytest.approx(np.abs(size - sizes).mean(), rel=1e-4)
