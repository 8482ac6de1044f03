"""Distillation: its loss, its training, what it saves, and its errors."""

import pathlib
import subprocess
import sys
import textwrap

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import Distillation, N2UQAdam


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def hand_computed_loss(teacher_logits, student_logits, temperature=1.0):
    target = softmax(np.asarray(teacher_logits, np.float64) / temperature)
    prediction = softmax(np.asarray(student_logits, np.float64) / temperature)
    return temperature**2 * -np.sum(target * np.log(prediction), -1)


def probabilities_model(logits_model):
    return keras.Model(logits_model.input, keras.layers.Softmax()(logits_model.output))


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_loss_equals_hand_computed_soft_cross_entropy(dense_model, blobs, temperature):
    student, teacher = dense_model(1), dense_model(2)
    trainer = Distillation(student, teacher, temperature=temperature)
    trainer.compile(N2UQAdam(0.01, multipliers={}))
    points, labels = blobs
    result = trainer.evaluate(points, labels, batch_size=192, verbose=0, return_dict=True)
    logits = student(points).numpy()
    expected = hand_computed_loss(teacher(points), logits, temperature).mean()
    assert result['loss'] == pytest.approx(expected, rel=1e-5)
    assert result['accuracy'] == pytest.approx(np.mean(logits.argmax(-1) == labels))


@pytest.mark.parametrize('student_ends', ['logits', 'softmax_layer', 'softmax_activation'])
@pytest.mark.parametrize('teacher_ends', ['logits', 'softmax_layer', 'softmax_activation'])
def test_softmax_endings_are_detected_and_give_the_same_loss(
    dense_model, blobs, student_ends, teacher_ends
):
    def ending(seed, kind):
        model = dense_model(seed)
        if kind == 'softmax_layer':
            return probabilities_model(model)
        if kind == 'softmax_activation':
            same = dense_model(seed, activation='softmax')
            same.set_weights(model.get_weights())
            return same
        return model

    points, _ = blobs
    trainer = Distillation(ending(1, student_ends), ending(2, teacher_ends), temperature=2.0)
    trainer.compile()
    loss = trainer.evaluate(tf.data.Dataset.from_tensors(points), verbose=0)
    expected = hand_computed_loss(dense_model(2)(points), dense_model(1)(points), 2.0).mean()
    assert np.ravel(loss)[0] == pytest.approx(expected, rel=1e-5)


def test_softmax_is_found_behind_a_quantizer_and_inside_a_nested_model(dense_model, blobs):
    class Identity(keras.layers.Layer):
        quantizer = 'any'

    inner = dense_model(1, activation='softmax')
    inputs = keras.layers.Input((8,))
    student = keras.Model(inputs, Identity()(inner(inputs)))
    points, _ = blobs
    trainer = Distillation(student, dense_model(2))
    trainer.compile()
    loss = trainer.evaluate(tf.data.Dataset.from_tensors(points), verbose=0)
    probabilities = student(points).numpy()
    expected = -np.sum(softmax(dense_model(2)(points).numpy()) * np.log(probabilities), -1).mean()
    assert np.ravel(loss)[0] == pytest.approx(expected, rel=1e-5)


def test_from_logits_overrules_the_last_layer(dense_model, blobs):
    points, _ = blobs
    student, teacher = probabilities_model(dense_model(1)), dense_model(2)
    trainer = Distillation(student, teacher, from_logits=True)
    trainer.compile()
    loss = trainer.evaluate(tf.data.Dataset.from_tensors(points), verbose=0)
    expected = hand_computed_loss(teacher(points), student(points)).mean()
    assert np.ravel(loss)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    'metrics', ['accuracy', ['accuracy'], keras.metrics.SparseCategoricalAccuracy('accuracy')]
)
def test_metrics_are_one_or_several(dense_model, blobs, metrics):
    points, labels = blobs
    student = dense_model(1)
    trainer = Distillation(student, dense_model(2))
    trainer.compile(metrics=metrics)
    result = trainer.evaluate(points, labels, verbose=0, return_dict=True)
    expected = np.mean(student(points).numpy().argmax(-1) == labels)
    assert result['accuracy'] == pytest.approx(expected)


def test_there_may_be_no_metrics(dense_model, blobs):
    trainer = Distillation(dense_model(1), dense_model(2))
    trainer.compile(metrics=None)
    assert list(trainer.evaluate(*blobs, verbose=0, return_dict=True)) == ['loss']


def test_sample_weights_weight_the_examples(dense_model, blobs):
    points, labels = blobs
    weights = np.linspace(0, 2, len(labels)).astype(np.float32)
    student, teacher = dense_model(1), dense_model(2)
    trainer = Distillation(student, teacher)
    trainer.compile()
    result = trainer.evaluate(
        points, labels, sample_weight=weights, batch_size=192, verbose=0, return_dict=True
    )
    expected = np.mean(weights * hand_computed_loss(teacher(points), student(points)))
    assert result['loss'] == pytest.approx(expected, rel=1e-5)


def test_one_step_moves_the_student_along_the_gradient_of_the_loss(dense_model, blobs):
    points, _ = blobs
    trainer = Distillation(dense_model(1), dense_model(2))
    trainer.compile(keras.optimizers.SGD(0.5))
    trainer.fit(tf.data.Dataset.from_tensors(points), verbose=0)
    student, teacher = dense_model(1), dense_model(2)
    with tf.GradientTape() as tape:
        log_probabilities = tf.nn.log_softmax(student(points, training=True))
        target = tf.nn.softmax(teacher(points, training=False))
        loss = -tf.reduce_mean(tf.reduce_sum(target * log_probabilities, -1))
    gradients = tape.gradient(loss, student.trainable_variables)
    for gradient, before, after in zip(
        gradients, student.trainable_variables, trainer.student.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(after, before - 0.5 * gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('labels_are', ['true', 'wrong', 'missing'])
def test_labels_have_no_part_in_training(dense_model, blobs, labels_are):
    points, labels = blobs
    data = {
        'true': (points, labels),
        'wrong': (points, (labels + 1) % 3),
        'missing': (points,),
    }[labels_are]
    trainer = Distillation(dense_model(1), dense_model(2))
    trainer.compile(N2UQAdam(0.01, multipliers={}))
    history = trainer.fit(tf.data.Dataset.from_tensor_slices(data).batch(64), verbose=0).history
    assert ('accuracy' in history) == (labels_are != 'missing')
    reference = Distillation(dense_model(1), dense_model(2))
    reference.compile(N2UQAdam(0.01, multipliers={}))
    reference.fit(tf.data.Dataset.from_tensor_slices(blobs).batch(64), verbose=0)
    for one, other in zip(trainer.student.weights, reference.student.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ('policy', 'jit_compile'),
    [('float32', True), ('mixed_float16', None)],
)
def test_student_becomes_as_good_as_its_teacher_which_stays_as_it_was(
    dense_model, batches, policy, jit_compile
):
    teacher = dense_model(2, units=16)
    teacher.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=['accuracy'],
    )
    teacher.fit(batches, epochs=8, verbose=0)
    teacher_accuracy = teacher.evaluate(batches, verbose=0)[1]
    teacher_weights = teacher.get_weights()
    keras.mixed_precision.set_global_policy(policy)
    trainer = Distillation(dense_model(1), teacher)
    trainer.compile(N2UQAdam(0.02, multipliers={}), jit_compile=jit_compile)
    before = trainer.evaluate(batches, verbose=0, return_dict=True)
    history = trainer.fit(batches, validation_data=batches, epochs=12, verbose=0).history
    assert teacher_accuracy > 0.9
    assert before['accuracy'] < 0.8
    assert history['val_accuracy'][-1] > teacher_accuracy - 0.03
    assert history['val_loss'][-1] < 0.6 * before['loss']
    for one, other in zip(teacher.get_weights(), teacher_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert teacher.trainable


def test_quantized_student_learns_thresholds_from_its_teacher(
    dense_model, quantized_model, batches
):
    teacher = dense_model(2)
    trainer = Distillation(quantized_model(1), teacher)
    trainer.compile(N2UQAdam(0.02))
    weights = trainer.student.get_layer('quantizer').quantizer_weights
    before = {name: variable.numpy() for name, variable in weights.items()}
    losses = trainer.fit(batches, epochs=6, verbose=0).history['loss']
    assert losses[-1] < losses[0]
    for name, variable in weights.items():
        assert np.any(variable.numpy() != before[name]), name


def test_checkpoints_hold_student_and_optimizer_and_no_teacher(dense_model, batches, tmp_path):
    student, teacher = dense_model(1), dense_model(2, units=13)
    trainer = Distillation(student, teacher)
    trainer.compile(N2UQAdam(0.01, multipliers={}))
    trainer.fit(batches, verbose=0)
    assert {id(v) for v in trainer.variables} == {id(v) for v in student.variables}
    path = tf.train.Checkpoint(model=trainer).write(str(tmp_path / 'checkpoint'))
    stored = {name.split('/')[1] for name, _ in tf.train.list_variables(path) if '/' in name}
    assert stored == {'student', 'optimizer'}
    assert not any(13 in shape for _, shape in tf.train.list_variables(path))
    trainer.save_weights(str(tmp_path / 'trainer.weights.h5'))
    copy = Distillation(dense_model(3), dense_model(4, units=13))
    copy.compile(N2UQAdam(0.01, multipliers={}))
    copy.optimizer.build(copy.trainable_variables)
    copy.load_weights(str(tmp_path / 'trainer.weights.h5'))
    assert int(copy.optimizer.iterations) == len(batches)
    for one, other in zip(student.weights, copy.student.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('name', ['best.keras', 'best.h5', 'best.weights.h5'])
def test_callbacks_of_keras_keep_the_best_student(dense_model, batches, tmp_path, name):
    path = str(tmp_path / name)
    trainer = Distillation(dense_model(1), dense_model(2))
    trainer.compile(N2UQAdam(0.02, multipliers={}))
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, monitor='val_loss', save_best_only=True, save_weights_only='weights' in name
    )
    stop = keras.callbacks.EarlyStopping('val_accuracy', patience=1, restore_best_weights=True)
    trainer.fit(batches, validation_data=batches, epochs=4, callbacks=[checkpoint, stop], verbose=0)
    if 'weights' in name:
        loaded = dense_model(3)
        loaded.load_weights(path)
    else:
        loaded = keras.models.load_model(path)
    again = Distillation(loaded, dense_model(2))
    again.compile()
    best = again.evaluate(batches, verbose=0, return_dict=True)['loss']
    assert best == pytest.approx(checkpoint.best, rel=1e-5)


def test_two_replicas_train_like_one(tmp_path):
    script = textwrap.dedent(
        """
        import numpy as np, tensorflow as tf, tf_keras as keras
        from tf_n2uq.training import Distillation, N2UQAdam

        cpu = tf.config.list_physical_devices('CPU')[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()]*2)

        def build(seed):
            keras.utils.set_random_seed(seed)
            return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])

        def train(strategy):
            x = np.random.default_rng(0).standard_normal((64, 4)).astype('float32')
            data = tf.data.Dataset.from_tensor_slices((x, np.zeros(64, int))).batch(16)
            with strategy.scope():
                trainer = Distillation(build(1), build(2))
                groups = {'bias$': 0.1}
                trainer.compile(N2UQAdam(0.01, multipliers=groups, weight_decay=0.01))
                history = trainer.fit(data, epochs=3, verbose=0).history
            return history['loss'], trainer.student.get_weights()

        two = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
        assert two.num_replicas_in_sync == 2
        for one, other in zip(train(tf.distribute.get_strategy()), train(two)):
            for a, b in zip(one, other):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        print('same')
        """
    )
    result = subprocess.run(
        [sys.executable, '-c', script],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.stdout.endswith('same\n'), result.stderr[-3000:]


def unbuilt(_):
    return keras.Sequential([keras.layers.Dense(3)])


def subclassed(_):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(np.zeros((1, 8), np.float32))
    return model


def keras_3(_):
    return keras3.Sequential([keras3.layers.Input((8,)), keras3.layers.Dense(3)])


def four_classes(_):
    return keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(4)])


def other_inputs(_):
    return keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(3)])


def two_outputs(_):
    inputs = keras.layers.Input((8,))
    return keras.Model(inputs, [keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)])


def sharing(student):
    return keras.Model(student.input, keras.layers.Dense(3)(student.output))


@pytest.mark.parametrize(
    ('make_teacher', 'error', 'words'),
    [
        (lambda student: student, ValueError, 'got the same model'),
        (lambda _: None, TypeError, 'teacher: expected a tf_keras model'),
        (keras_3, TypeError, 'teacher: .* Keras 3.*tf_n2uq.from_keras3'),
        (unbuilt, ValueError, 'teacher: expected a model that is built'),
        (subclassed, ValueError, 'from_logits=True'),
        (
            four_classes,
            ValueError,
            r'teacher: expected outputs of the shapes \[\(None, 3\)\], .* got \[\(None, 4\)\]',
        ),
        (
            other_inputs,
            ValueError,
            r'teacher: expected inputs of the shapes \[\(None, 8\)\], .* got \[\(None, 5\)\]',
        ),
        (two_outputs, ValueError, 'teacher: expected outputs of the shapes'),
        (sharing, ValueError, 'teacher: expected variables of its own'),
    ],
)
def test_teachers_that_do_not_fit_are_refused(dense_model, make_teacher, error, words):
    student = dense_model(1)
    with pytest.raises(error, match=words):
        Distillation(student, make_teacher(student))


def test_subclassed_models_work_when_told_what_they_give(blobs):
    trainer = Distillation(subclassed(None), subclassed(None), from_logits=True)
    trainer.compile(N2UQAdam(0.05, multipliers={}))
    history = trainer.fit(*blobs, epochs=4, verbose=0).history['loss']
    assert history[-1] < history[0]


@pytest.mark.parametrize(
    ('options', 'error', 'words'),
    [
        ({'from_logits': 'yes'}, TypeError, 'from_logits: expected'),
        ({'temperature': 'hot'}, TypeError, 'temperature: expected'),
        ({'temperature': 0}, ValueError, 'temperature: expected'),
        ({'temperature': float('nan')}, ValueError, 'temperature: expected'),
        ({'labels_weight': 1.5}, ValueError, 'labels_weight: expected at most 1'),
        ({'loss_weights': -1}, ValueError, 'loss_weights: expected at least 0'),
        ({'loss_weights': 'all'}, TypeError, 'loss_weights: expected a number'),
        ({'loss': {'no_such': 'mse'}}, ValueError, 'loss: expected names of outputs'),
        ({'labels_loss': ['mse', 'mse']}, ValueError, 'labels_loss: expected 1 entries'),
    ],
)
def test_bad_options_are_named(dense_model, options, error, words):
    with pytest.raises(error, match=words):
        Distillation(dense_model(1), dense_model(2), **options)


def test_frozen_student_and_a_loss_of_ones_own_are_refused(dense_model):
    frozen = dense_model(1)
    frozen.trainable = False
    with pytest.raises(ValueError, match='student: expected a model with trainable variables'):
        Distillation(frozen, dense_model(2))
    trainer = Distillation(dense_model(1), dense_model(2))
    with pytest.raises(ValueError, match=r'loss: expected None.*Distillation\(loss=…\)'):
        trainer.compile(loss='mse')


def detector(seed, as_outputs=list):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8,))
    heads = [
        keras.layers.Dense(3, 'softmax', name='label')(inputs),
        keras.layers.Dense(4, name='box')(inputs),
    ]
    return keras.Model(inputs, as_outputs(heads))


def by_name(heads):
    return dict(zip(['label', 'box'], heads, strict=True))


def labels_of_detector(count):
    rng = np.random.default_rng(3)
    boxes = rng.random((count, 4)).astype(np.float32)
    return {'label': rng.integers(0, 3, count), 'box': boxes}


@pytest.mark.parametrize('as_outputs', [list, by_name])
@pytest.mark.parametrize('labels_weight', [None, 0.25])
def test_the_loss_of_several_outputs_is_the_weighted_sum_of_theirs(
    blobs, as_outputs, labels_weight
):
    points, _ = blobs
    labels = labels_of_detector(len(points))
    student, teacher = detector(1, as_outputs), detector(2, as_outputs)
    learned = {} if labels_weight is None else {'labels_loss': {'box': 'mae'}}
    share = labels_weight or 0.0
    trainer = Distillation(
        student,
        teacher,
        temperature=2.0,
        loss={'box': 'mse'},
        loss_weights={'box': 0.5},
        labels_weight=0.25,
        **learned,
    )
    trainer.compile()
    result = trainer.evaluate(points, labels, batch_size=192, verbose=0, return_dict=True)
    (one, of_box), (two, to_box) = (
        [each.numpy() for each in (nest if as_outputs is list else [nest['label'], nest['box']])]
        for nest in (student(points), teacher(points))
    )
    of_label = hand_computed_loss(np.log(two), np.log(one), 2.0).mean()
    of_teacher, absolute = np.mean((of_box - to_box) ** 2), np.mean(np.abs(of_box - labels['box']))
    expected = of_label + 0.5 * ((1 - share) * of_teacher + share * absolute)
    assert result['loss'] == pytest.approx(expected, rel=1e-4)
    assert result['label_loss'] == pytest.approx(of_label, rel=1e-4)
    assert result['box_loss'] == pytest.approx(of_teacher, rel=1e-4)
    assert result['box_mae'] == pytest.approx(absolute, rel=1e-4)
    assert result['label_accuracy'] == pytest.approx(np.mean(one.argmax(-1) == labels['label']))
    if labels_weight:
        assert result['labels_loss'] == pytest.approx(0.5 * share * absolute, rel=1e-4)
        assert result['teacher_loss'] + result['labels_loss'] == pytest.approx(result['loss'])
        assert result['box_labels_loss'] == pytest.approx(absolute, rel=1e-4)


def test_a_regression_follows_the_teacher_and_labels_as_they_are_weighed(blobs):
    points, _ = blobs
    targets = points[:, :1]

    def model(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])

    student, teacher = model(1), model(2)
    trainer = Distillation(student, teacher, labels_loss='mae', labels_weight=0.25)
    trainer.compile(keras.optimizers.SGD(0.01))
    before = trainer.evaluate(points, targets, batch_size=192, verbose=0, return_dict=True)
    numbers, taught = student(points).numpy(), teacher(points).numpy()
    expected = 0.75 * np.mean((numbers - taught) ** 2) + 0.25 * np.mean(np.abs(numbers - targets))
    assert before['loss'] == pytest.approx(expected, rel=1e-5)
    assert before['mae'] == pytest.approx(np.mean(np.abs(numbers - targets)), rel=1e-5)
    history = trainer.fit(points, targets, epochs=4, verbose=0).history
    assert history['loss'][-1] < 0.8 * before['loss']
    with pytest.raises(ValueError, match='data: expected labels, because there is a labels_loss'):
        trainer.evaluate(points, verbose=0)


def test_a_single_sigmoid_unit_trains(blobs):
    points, labels = blobs
    is_first = (labels == 0).astype(int)

    def model(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1, 'sigmoid')])

    student, teacher = model(1), model(2)
    trainer = Distillation(student, teacher)
    trainer.compile(keras.optimizers.Adam(0.1))
    before = trainer.evaluate(points, is_first, verbose=0, return_dict=True)
    p, q = (np.asarray(each(points), np.float64) for each in (teacher, student))
    expected = -np.mean(p * np.log(q) + (1 - p) * np.log(1 - q))
    assert before['loss'] == pytest.approx(expected, rel=1e-4)
    assert before['accuracy'] == pytest.approx(np.mean((q[:, 0] > 0.5) == is_first))
    trainer.fit(points, epochs=10, verbose=0)
    assert np.abs(student(points) - teacher(points)).mean() < 0.4 * np.abs(p - q).mean()


def test_data_come_in_every_form_that_keras_takes(blobs):
    points, _ = blobs
    labels = labels_of_detector(len(points))
    in_list = (labels['label'], labels['box'])
    weights = np.linspace(0.0, 2.0, len(points)).astype(np.float32)
    one_hot = {**labels, 'label': np.eye(3, dtype=np.float32)[labels['label']]}
    slices = tf.data.Dataset.from_tensor_slices
    data = {
        'dictionary': (points, labels),
        'list': (points, list(in_list)),
        'one-hot': (points, one_hot),
        'tf.data of dictionaries': (slices((points, labels)).batch(192),),
        'tf.data of tuples': (slices((points, in_list)).batch(192),),
        'weights': (slices((points, labels, weights)).batch(192),),
        'weights by name': (slices((points, labels, {'box': weights})).batch(192),),
    }
    losses = {}
    for name, given in data.items():
        trainer = Distillation(detector(1), detector(2), loss={'box': 'mse'})
        trainer.compile()
        found = trainer.evaluate(*given, batch_size=None if len(given) == 1 else 192, verbose=0)
        losses[name] = dict(zip(trainer.metrics_names, found, strict=True))
    same = ['dictionary', 'list', 'one-hot', 'tf.data of dictionaries', 'tf.data of tuples']
    for name in same[1:]:
        assert losses[name] == pytest.approx(losses['dictionary'], rel=1e-5), name
    assert losses['weights']['label_loss'] != pytest.approx(losses['list']['label_loss'], rel=1e-3)
    by_name = losses['weights by name']
    assert by_name['label_loss'] == pytest.approx(losses['list']['label_loss'], rel=1e-5)
    assert by_name['box_loss'] == pytest.approx(losses['weights']['box_loss'], rel=1e-5)


def test_weights_of_examples_weigh_the_pixels_of_maps():
    def model(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential(
            [keras.layers.Input((3, 3, 2)), keras.layers.Conv2D(1, 1, activation='sigmoid')]
        )

    images = np.random.default_rng(0).random((3, 3, 3, 2)).astype(np.float32)
    student, teacher, weights = model(1), model(2), np.float32([0.0, 1.0, 5.0])
    trainer = Distillation(student, teacher, loss='mse')
    trainer.compile()
    masks = np.zeros((3, 3, 3, 1), np.float32)
    found = trainer.evaluate(images, masks, sample_weight=weights, verbose=0, return_dict=True)
    losses = np.mean((student(images) - teacher(images)) ** 2, axis=(1, 2, 3))
    assert found['loss'] == pytest.approx(np.mean(weights * losses), rel=1e-4)


def test_class_weights_weigh_the_examples(dense_model, blobs):
    points, labels = blobs
    losses = []
    for given in (
        {'class_weight': {0: 1.0, 1: 0.0, 2: 3.0}},
        {'sample_weight': np.array([1, 0, 3], np.float32)[labels]},
    ):
        trainer = Distillation(dense_model(1), dense_model(2))
        trainer.compile(keras.optimizers.SGD(0.0))
        losses += trainer.fit(points, labels, batch_size=192, verbose=0, **given).history['loss']
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
