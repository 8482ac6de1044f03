"""Float models of `mixed_float16` and `mixed_bfloat16`, from `annotate` to the file."""

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.float32_twin import in_float32
from tf_n2uq.training import AdaptiveTraining, Distillation, N2UQAdam

POLICIES = ['mixed_float16', 'mixed_bfloat16']
_layers = keras.layers


def network():
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, padding='same', use_bias=False)(image)
    x = _layers.ReLU()(_layers.BatchNormalization()(x))
    x = _layers.Add()([x, _layers.Conv2D(8, 3, padding='same')(x)])
    x = _layers.Conv2D(8, 3, activation='swish')(x)
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Activation('softmax', dtype='float32')(_layers.Dense(4)(x)))


@pytest.fixture(scope='module')
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 64)
    images = rng.random((64, 8, 8, 3)).astype(np.float32) / 2
    for image, label in zip(images, labels, strict=True):
        image[(label // 2) * 4 :, (label % 2) * 4 :] += 0.5
    return images, labels


def said(caplog):
    """What the warnings of this package are about; TensorFlow may have some of its own."""
    return [each.message.split(':')[0] for each in caplog.records if each.name == 'absl']


def quantized(model, data, scheme=None):
    scheme = scheme or tf_n2uq.N2UQScheme(bits=2)
    apply = tfmot.quantization.keras.quantize_apply
    found = apply(tf_n2uq.annotate(model), scheme=scheme)
    tf_n2uq.calibrate(found, data[0], verbose=0)
    return found


@pytest.mark.parametrize('policy', POLICIES)
def test_it_is_trained_and_the_file_is_that_of_float32(policy, data, caplog):
    keras.mixed_precision.set_global_policy(policy)
    model = quantized(network(), data)
    model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])
    scaled = isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert scaled == (policy == 'mixed_float16')
    losses = model.fit(*data, epochs=6, verbose=0).history['loss']
    assert losses[-1] < losses[0]
    content = tf_n2uq.tflite.convert(model)
    keras.mixed_precision.set_global_policy('float32')
    twin = in_float32(model)
    assert tf_n2uq.tflite.convert(twin) == content
    with caplog.at_level('WARNING', logger='absl'):
        report = tf_n2uq.tflite.compare(model, content, data[0][:16])
    assert said(caplog) == ['model']
    expected = tf_n2uq.tflite.compare(twin, content, data[0][:16])
    assert str(report) == str(expected)
    assert max(each.xnnpack_share for each in report.quantizers) < 0.002


@pytest.mark.parametrize('policy', POLICIES)
def test_evaluate_judges_the_reference_in_float32(policy, data, caplog):
    keras.mixed_precision.set_global_policy(policy)
    model = quantized(network(), data)
    keras.mixed_precision.set_global_policy('float32')
    content, twin = tf_n2uq.tflite.convert(model), in_float32(model)
    in_half = np.abs(model.predict(data[0], verbose=0) - twin.predict(data[0], verbose=0)).max()
    assert in_half > 1e-4
    with caplog.at_level('WARNING', logger='absl'):
        found = tf_n2uq.tflite.evaluate(content, data, model)
    assert said(caplog) == ['reference']
    assert found == tf_n2uq.tflite.evaluate(content, data, twin)


def test_a_student_of_half_precision_learns_from_its_teacher(data):
    keras.mixed_precision.set_global_policy('mixed_float16')
    teacher = network()
    student = quantized(teacher, data)
    trainer = Distillation(student, teacher, labels_loss='sparse_categorical_crossentropy')
    trainer.compile(N2UQAdam(2e-3))
    losses = trainer.fit(*data, epochs=5, verbose=0).history['loss']
    assert losses[-1] < losses[0]
    assert isinstance(trainer.optimizer, keras.mixed_precision.LossScaleOptimizer)


def test_several_bit_widths_learn_with_a_loss_scale(data):
    keras.mixed_precision.set_global_policy('mixed_float16')
    model = quantized(network(), data, tf_n2uq.AdaBitsScheme(bits=(4, 2), method='n2uq'))
    trainer = AdaptiveTraining(model)
    trainer.compile(keras.optimizers.Adam(2e-3), 'sparse_categorical_crossentropy')
    assert isinstance(trainer.optimizer, keras.mixed_precision.LossScaleOptimizer)
    losses = trainer.fit(*data, epochs=5, verbose=0).history['loss']
    assert losses[-1] < losses[0]
