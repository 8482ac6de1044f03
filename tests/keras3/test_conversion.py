"""`from_keras3`: the same names, weights and outputs, for models in memory and in files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import keras as keras3
import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from keras import ops

import tf_n2uq
from tests.keras3.keras3_models import application, chain, randomize

layers = keras3.layers


def small(**options: Any) -> Any:
    """Returns a small network of Keras 3 whose names, options and weights tell layers apart."""
    inputs = keras3.Input((8, 8, 3), name='image')
    x = layers.Conv2D(4, 3, padding='same', activation='hard_sigmoid', name='conv')(inputs)
    x = layers.BatchNormalization(name='norm', **options)(x)
    x = ops.relu(x + 0.1)
    x = layers.GlobalAveragePooling2D(name='mean')(x)
    model = keras3.Model(inputs, layers.Dense(3, name='head')(x), name='small')
    randomize(model)
    return model


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def assert_equal_outputs(ours: keras.Model, theirs: Any, inputs: Any) -> None:
    expected = np.asarray(theirs(inputs, training=False))
    np.testing.assert_allclose(ours(inputs, training=False), expected, rtol=1e-5, atol=1e-6)


def test_names_weights_and_outputs_are_those_of_keras_3():
    theirs = small()
    ours = tf_n2uq.from_keras3(theirs)
    assert ours.name == 'small'
    assert {layer.name for layer in theirs.layers} <= {layer.name for layer in ours.layers}
    assert {'add', 'relu'} <= {layer.name.split('_')[0] for layer in ours.layers}
    for name in ('conv', 'norm', 'head'):
        pairs = zip(ours.get_layer(name).get_weights(), theirs.get_layer(name).weights, strict=True)
        assert all(np.array_equal(own, np.asarray(other)) for own, other in pairs)
    assert_equal_outputs(ours, theirs, images(2, 8, 8, 3))


def test_a_keras_file_gives_the_same_as_the_model(tmp_path: Path):
    theirs = small()
    theirs.compile('adam', 'mse')
    theirs.fit(images(4, 8, 8, 3), np.ones((4, 3)), verbose=0)
    theirs.save(tmp_path / 'model.keras')
    assert_equal_outputs(tf_n2uq.from_keras3(tmp_path / 'model.keras'), theirs, images(2, 8, 8, 3))


def test_weights_of_a_file_take_the_place_of_the_models_own(tmp_path: Path):
    trained, fresh = small(), keras3.models.clone_model(small())
    trained.save_weights(tmp_path / 'trained.weights.h5')
    fresh.save(tmp_path / 'fresh.keras')
    (tmp_path / 'fresh.json').write_text(fresh.to_json(), encoding='utf-8')
    for source in (fresh, tmp_path / 'fresh.keras', tmp_path / 'fresh.json'):
        ours = tf_n2uq.from_keras3(source, weights=tmp_path / 'trained.weights.h5')
        assert_equal_outputs(ours, trained, images(2, 8, 8, 3))


def test_nested_and_shared_models_stay_nested_and_shared(tmp_path: Path):
    inner = chain(layers.Dense(6, activation='relu'), layers.BatchNormalization(), shape=(6,))
    inputs = keras3.Input((6,))
    shared = layers.Dense(6, name='shared')
    once = shared(inner(inputs))
    theirs = keras3.Model(inputs, {'once': once, 'twice': [inner(shared(once)), inputs]})
    randomize(theirs)
    theirs.save(tmp_path / 'model.keras')
    for source in (theirs, tmp_path / 'model.keras'):
        ours = tf_n2uq.from_keras3(source)
        assert isinstance(ours.get_layer(inner.name), keras.Sequential)
        assert len(ours.weights) == len(theirs.weights)
        given, expected = ours(images(2, 6)), theirs(images(2, 6))
        assert set(given) == {'once', 'twice'}
        np.testing.assert_allclose(given['twice'][0], np.asarray(expected['twice'][0]), rtol=1e-5)


def test_random_generators_have_no_part_in_the_weights():
    theirs = chain(
        layers.RandomFlip(seed=1), layers.Dropout(0.5, seed=2), layers.Conv2D(2, 3), shape=(8, 8, 3)
    )
    ours = tf_n2uq.from_keras3(theirs)
    assert [variable.shape.rank for variable in ours.trainable_weights] == [4, 1]


def test_annotate_takes_a_model_of_keras_3():
    annotated = tf_n2uq.annotate(small())
    scheme = tf_n2uq.LSQScheme(bits=4)
    quantized = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    assert {'quant_conv', 'quant_head'} <= {layer.name for layer in quantized.layers}


def test_statistics_of_normalization_are_those_that_keras_3_computes_with(tmp_path: Path):
    layer = layers.Normalization()
    layer.adapt(images(20, 4) * 3 + 1)
    theirs = keras3.Sequential([keras3.Input((4,)), layer, layers.Rescaling(2.0, offset=0.5)])
    theirs.save(tmp_path / 'model.keras')
    for source in (theirs, tmp_path / 'model.keras'):
        assert_equal_outputs(tf_n2uq.from_keras3(source), theirs, images(3, 4))


@pytest.mark.parametrize('policy', ['mixed_float16', 'mixed_bfloat16'])
def test_layers_keep_their_dtype_policy(policy: str):
    ours = tf_n2uq.from_keras3(chain(layers.Dense(4, dtype=policy), shape=(6,)))
    assert ours.layers[-1].dtype_policy.name == policy


def test_outputs_that_differ_are_an_error_that_names_the_layer():
    @keras.saving.register_keras_serializable('wrong')
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2.0

    @keras3.saving.register_keras_serializable('right')
    class Thrice(layers.Layer):
        def call(self, inputs):
            return inputs * 3.0

    theirs = chain(layers.Dense(3), Thrice(name='odd'), shape=(4,))
    with pytest.raises(ValueError, match="difference of 0.33.*begins in layer 'odd'"):
        tf_n2uq.from_keras3(theirs, custom_objects={'Thrice': Twice})
    tf_n2uq.from_keras3(theirs, custom_objects={'Thrice': Twice}, verify=False)


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda: small(renorm=True), "'norm'.*renorm=True.*build the layer with renorm=False"),
        (lambda: chain(layers.RMSNormalization(), shape=(4,)), 'RMSNormalization.*custom_objects'),
        (lambda: chain(layers.Lambda(lambda x: x), shape=(4,)), 'Lambda.*no counterpart'),
        (
            lambda: chain(layers.LayerNormalization(rms_scaling=True), shape=(4,)),
            'rms_scaling=True',
        ),
        (lambda: chain(layers.Dense(4, lora_rank=2), shape=(4,)), 'lora_rank=2'),
        (
            lambda: chain(layers.Resizing(4, 4, antialias=True), shape=(8, 8, 1)),
            'antialias=True.*antialias=False',
        ),
        (lambda: keras3.Sequential([layers.Dense(2)]), 'model.build'),
        (
            lambda: keras3.Model(i := keras3.Input((4,)), ops.cumsum(i, axis=1)),
            'keras.ops.Cumsum.*Keras layers',
        ),
        (
            lambda: keras3.Model(i := keras3.Input((4,), optional=True), layers.Dense(2)(i)),
            'optional=True',
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_its_name(make: Any, words: str):
    with pytest.raises(ValueError, match=words):
        tf_n2uq.from_keras3(make())


def test_a_subclassed_model_is_refused():
    class Own(keras3.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match='Own.*functional API'):
        tf_n2uq.from_keras3(Own(name='own'))


@pytest.mark.parametrize('value', [keras.Sequential(), 3, None, layers.Dense(2)])
def test_what_is_no_model_of_keras_3_is_a_type_error(value: Any):
    with pytest.raises(TypeError, match='model: expected a model of Keras 3'):
        tf_n2uq.from_keras3(value)


def test_weights_alone_are_no_model(tmp_path: Path):
    small().save_weights(tmp_path / 'a.weights.h5')
    with pytest.raises(ValueError, match='holds weights alone; give the model and weights='):
        tf_n2uq.from_keras3(tmp_path / 'a.weights.h5')


def test_weights_of_another_network_are_refused_by_the_layer(tmp_path: Path):
    chain(layers.Dense(5), shape=(4,)).save_weights(tmp_path / 'a.weights.h5')
    theirs = chain(layers.Dense(3, name='head'), shape=(4,))
    with pytest.raises(ValueError, match="'head'.*weights of the shapes.*5"):
        tf_n2uq.from_keras3(theirs, weights=tmp_path / 'a.weights.h5')


def test_a_file_needs_no_keras_3(tmp_path: Path):
    small().save(tmp_path / 'model.keras')
    program = """
        import sys, warnings
        sys.modules['keras'] = None
        import numpy as np, tf_n2uq
        model = tf_n2uq.from_keras3(sys.argv[1])
        assert not any(name.startswith('keras.') for name in sys.modules)
        np.save(sys.argv[2], model(np.ones((1, 8, 8, 3), np.float32)))
    """
    out = run(program, str(tmp_path / 'model.keras'), str(tmp_path / 'out.npy'))
    assert 'were not compared with those of Keras 3' in out
    expected = tf_n2uq.from_keras3(tmp_path / 'model.keras')(np.ones((1, 8, 8, 3), np.float32))
    np.testing.assert_allclose(np.load(tmp_path / 'out.npy'), expected, rtol=1e-5)


def test_models_on_pytorch_with_their_channels_first_come_over(tmp_path: Path):
    program = """
        import sys
        import keras, numpy as np
        from keras import layers, ops
        assert keras.backend.backend() == 'torch'
        keras.config.set_image_data_format('channels_first')
        inputs = keras.Input((3, 13, 12))
        x = layers.Rescaling([1.0, 2.0, 3.0])(inputs)
        x = layers.Conv2D(8, 3, strides=2, activation='hard_silu')(layers.ZeroPadding2D(1)(x))
        short = ops.relu(layers.BatchNormalization(axis=1)(x))
        x = layers.Add()([layers.DepthwiseConv2D(3, padding='same')(short), short])
        x = layers.MaxPooling2D(2)(layers.Concatenate(axis=1)([x, short]))
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Multiply()([x, layers.Conv2D(16, 1, activation='sigmoid')(gate)])
        model = keras.Model(inputs, [layers.Dense(4)(layers.Flatten()(x)), x])
        generator = np.random.default_rng(0)
        for variable in model.weights:
            variable.assign(generator.uniform(0.5, 1.5, tuple(variable.shape)))
        import tf_n2uq
        ours = tf_n2uq.from_keras3(model)
        images = np.random.default_rng(1).normal(size=(2, 3, 13, 12)).astype(np.float32)
        for given, expected in zip(ours(images), model(images), strict=True):
            expected = expected.detach().numpy()
            np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())
        before = [np.asarray(each) for each in model.get_weights()]
        for variable in ours.trainable_weights:
            variable.assign(variable * 2.0)
        tf_n2uq.to_keras3_weights(ours, model)
        assert np.allclose(model.get_weights()[0], 2.0 * before[0])
        model.save(sys.argv[1])
    """
    run(program, str(tmp_path / 'model.keras'), KERAS_BACKEND='torch')
    # Keras 3 on TensorFlow does not run these convolutions on a CPU: the file is read without it.
    ours = tf_n2uq.from_keras3(tmp_path / 'model.keras')
    permutations = [each for each in ours.layers if isinstance(each, keras.layers.Permute)]
    assert len(permutations) == 2
    assert ours(images(2, 3, 13, 12))[0].shape == (2, 4)


def run(program: str, *arguments: str, **environment: str) -> str:
    """Runs a program in a process of its own, and returns what it prints."""
    result = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize('name', ['MobileNetV2', 'ResNet50', 'DenseNet121'])
@pytest.mark.nightly
def test_networks_go_on_to_an_integer_file_as_their_twins_do(name: str):
    theirs = application(name)
    twin = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=10)
    twin.set_weights(theirs.get_weights())
    check_same_files(theirs, twin)


@pytest.mark.nightly
def test_a_mobilenet_goes_on_to_an_integer_file_as_its_twin_does():
    options = {'input_shape': (32, 32, 3), 'alpha': 0.25, 'classes': 10, 'weights': None}
    theirs = keras3.applications.MobileNet(**options)
    randomize(theirs)
    twin = keras.applications.MobileNet(**options)
    twin.set_weights(theirs.get_weights())
    check_same_files(theirs, twin)


def check_same_files(theirs: Any, twin: keras.Model) -> None:
    data = np.random.default_rng(5).uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32)
    outputs = []
    for model in (theirs, twin):
        scheme = tf_n2uq.LSQScheme(bits=4)
        annotated = tf_n2uq.annotate(model)
        quantized = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
        tf_n2uq.calibrate(quantized, data)
        content = tf_n2uq.tflite.convert(quantized)
        assert json.dumps(str(tf_n2uq.tflite.inspect(content)))
        outputs.append(np.asarray(tf_n2uq.tflite.predict(content, data)))
    np.testing.assert_array_equal(*outputs)
