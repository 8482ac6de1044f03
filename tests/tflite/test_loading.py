from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, images_for, quantize, quantized_network
from tests.tflite.hostile_files import ARCHIVE, FORMATS, HDF5, SAVED_MODEL, entry, network, write
from tf_n2uq.tflite.loading import load_model

_layers = keras.layers


def _check_loaded(model: keras.Model, path: Path, **arguments: Any) -> None:
    """Saves and loads a model, and compares outputs and weights."""
    generator = np.random.default_rng(0)
    inputs = generator.random((2, *model.input_shape[1:]), np.float32)
    # Tracing takes most of the time that saving takes; the graph is not read.
    model.save(path, **({} if path.suffix else {'save_traces': False}))
    loaded = load_model(path, **arguments)
    np.testing.assert_array_equal(loaded(inputs, training=False), model(inputs, training=False))
    assert len(loaded.weights) == len(model.weights)
    for expected, got in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def _small() -> keras.Model:
    return keras.Sequential(
        [
            _layers.Conv2D(4, 3, activation='relu', input_shape=(8, 8, 3)),
            _layers.Conv2D(4, 3, use_bias=False),
            _layers.BatchNormalization(),
            _layers.ReLU(),
            _layers.GlobalAveragePooling2D(),
            _layers.Dense(4),
        ]
    )


def _images() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Rescaling([1.0, 2.0, 3.0], 0.5)(image)
    x = _layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    x = _layers.RandomFlip()(_layers.Resizing(6, 6)(_layers.CenterCrop(7, 7)(x)))
    x = _layers.Conv2D(
        4,
        3,
        padding='same',
        activation=keras.activations.gelu,
        kernel_initializer='he_normal',
        kernel_regularizer='l2',
        bias_constraint=keras.constraints.MaxNorm(1.0),
    )(x)
    x = _layers.PReLU()(_layers.BatchNormalization()(x))
    y = _layers.Activation(tf.nn.relu6)(_layers.SeparableConv2D(4, 3, padding='same')(x))
    y = _layers.DepthwiseConv2D(3, padding='same', activation='hard_sigmoid')(y)
    x = _layers.Concatenate()([_layers.Multiply()([x, y]), _layers.Maximum()([x, y])])
    x = _layers.LeakyReLU()(_layers.Conv2DTranspose(4, 3, strides=2)(_layers.ZeroPadding2D()(x)))
    x = _layers.UpSampling2D()(_layers.MaxPooling2D()(_layers.Cropping2D(1)(x)))
    x = _layers.Dropout(0.5)(_layers.GroupNormalization(2)(_layers.AveragePooling2D(4)(x)))
    x = _layers.Dense(4, kernel_initializer=keras.initializers.Orthogonal())(_layers.Flatten()(x))
    return keras.Model(image, _layers.Softmax()(x))


def _sequences() -> keras.Model:
    text = keras.Input((6, 4))
    x = _layers.MultiHeadAttention(2, 4)(text, text, attention_mask=None)
    x = _layers.LayerNormalization()(_layers.Add()([text, x]))
    x = _layers.Attention()([x, _layers.Permute((1, 2))(x)])
    x = _layers.TimeDistributed(keras.Sequential([_layers.Dense(4, activation='tanh')]))(x)
    x = _layers.Bidirectional(_layers.LSTM(2, return_sequences=True))(_layers.Masking()(x))
    x = _layers.RNN([_layers.GRUCell(3), _layers.SimpleRNNCell(2)])(_layers.Conv1D(4, 2)(x))
    x = _layers.EinsumDense('ab,bc->ac', 4)(_layers.Reshape((2,))(x))
    return keras.Model(text, x)


def _nested() -> keras.Model:
    image = keras.Input((4, 4, 2))
    inner = keras.Sequential([_layers.Conv2D(2, 1), _layers.ReLU()])
    x = keras.Input((4, 4, 2))
    outer = keras.Model(x, _layers.Add()([inner(x), inner(inner(x))]))
    # How it was compiled does not matter, and names a function that no file can hold.
    outer.compile('sgd', lambda expected, got: tf.reduce_mean(expected - got))
    return keras.Model(image, outer(outer(image)))


def _mixed_precision() -> keras.Model:
    policy = keras.mixed_precision.Policy('mixed_float16')
    return keras.Sequential([keras.Input((4,)), _layers.Dense(2, dtype=policy)])


def _built_late() -> keras.Model:
    model = keras.Sequential([_layers.Dense(2), _layers.ReLU()])
    model(np.ones((1, 4), np.float32))
    return model


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    'make', [_small, _images, _sequences, _nested, _mixed_precision, _built_late]
)
def test_a_float_model_is_loaded_from_every_format(
    tmp_path: Path, form: str, make: Callable[[], keras.Model]
):
    _check_loaded(make(), tmp_path / form)


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    'scheme',
    [
        tf_n2uq.N2UQScheme(2),
        tf_n2uq.LSQScheme(3),
        tf_n2uq.PACTScheme(4),
        tf_n2uq.DoReFaScheme(2),
        tf_n2uq.SATScheme(4),
        tf_n2uq.AdaBitsScheme((8, 4, 2)),
    ],
    ids=lambda scheme: type(scheme).__name__,
)
def test_a_model_of_every_scheme_is_loaded_from_every_format(
    tmp_path: Path, form: str, scheme: Any
):
    annotated = annotate(_small())
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    _check_loaded(model, tmp_path / form)


@pytest.mark.parametrize('form', FORMATS)
def test_a_published_network_is_loaded_from_every_format(tmp_path: Path, form: str):
    network_of_keras = keras.applications.MobileNetV2((32, 32, 3), 0.35, weights=None, classes=4)
    _check_loaded(network_of_keras, tmp_path / form)


@pytest.mark.parametrize('form', FORMATS)
def test_an_annotated_model_is_loaded_from_every_format(tmp_path: Path, form: str):
    _check_loaded(annotate(_small()), tmp_path / form)


@pytest.mark.parametrize('form', [HDF5, SAVED_MODEL])
def test_a_model_of_tfmots_own_scheme_is_loaded(tmp_path: Path, form: str):
    image = keras.Input((8, 8, 3))
    x = _layers.ReLU()(_layers.BatchNormalization()(_layers.Conv2D(4, 3)(image)))
    x = _layers.DepthwiseConv2D(3, activation='relu')(x)
    x = _layers.Dense(4, activation='softmax')(_layers.Flatten()(x))
    _check_loaded(tfmot.quantization.keras.quantize_model(keras.Model(image, x)), tmp_path / form)


def test_a_keras_file_of_tfmots_own_scheme_is_read_by_nobody(tmp_path: Path):
    """TFMOT's layers make other variables when they are loaded; this shall be known if it ends."""
    tfmot.quantization.keras.quantize_model(_small_for_tfmot()).save(tmp_path / ARCHIVE)
    with tfmot.quantization.keras.quantize_scope(), pytest.raises(ValueError, match='variables'):
        keras.models.load_model(tmp_path / ARCHIVE, compile=False)
    with pytest.raises(ValueError, match='cannot be loaded .*variables'):
        load_model(tmp_path / ARCHIVE)


def _small_for_tfmot() -> keras.Model:
    return keras.Sequential([_layers.Conv2D(2, 3, input_shape=(4, 4, 1)), _layers.Flatten()])


@pytest.mark.parametrize('form', FORMATS)
def test_how_a_model_was_compiled_is_left_out(tmp_path: Path, form: str):
    model = quantized_network('dense_only')
    # It matters to training only, and its code is not read.
    model.compile('sgd', lambda expected, got: tf.reduce_mean(expected - got))
    _check_loaded(model, tmp_path / form)
    assert load_model(tmp_path / form).optimizer is None


@pytest.mark.parametrize('form', FORMATS)
def test_a_function_that_older_versions_describe_is_loaded(tmp_path: Path, form: str):
    for registered in ('relu', 'function'):
        relu = entry('function', 'relu', module='builtins', registered_name=registered)
        path = write(tmp_path, form, network(entry('Dense', {'units': 2, 'activation': relu})))
        assert load_model(path).layers[-1].activation is keras.activations.relu


class _Twice(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


@keras.saving.register_keras_serializable(package='Own')
class _Registered(_Twice):
    pass


def _halved(x):
    return x / 2


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    ('make', 'own'),
    [
        (_Twice, {'_Twice': _Twice}),
        (_Registered, {'Own>_Registered': _Registered}),
        (lambda: _layers.Activation(_halved), {'_halved': _halved}),
        (lambda: _layers.UpSampling1D(2), {'UpSampling1D': _layers.UpSampling1D}),
        (lambda: _layers.LSTM(2, unroll=True), {'LSTM': _layers.LSTM}),
    ],
)
def test_only_the_callers_own_classes_and_functions_are_loaded(
    tmp_path: Path, form: str, make: Callable[[], keras.layers.Layer], own: dict[str, Any]
):
    model = keras.Sequential([keras.Input((3, 4)), _layers.Dense(4), make()])
    _check_loaded(model, tmp_path / form, custom_objects=own)
    (name,) = own
    with pytest.raises(ValueError, match=f"'{name}'.* pass custom_objects={{'{name}': …}}"):
        load_model(tmp_path / form)


@pytest.mark.parametrize('form', FORMATS)
def test_a_callers_class_is_used_whatever_module_the_file_names(tmp_path: Path, form: str):
    layer = entry('Own', {}, module='antigravity', registered_name=None)
    path = write(tmp_path, form, network(entry('Dense', {'units': 2}), layer))
    loaded = load_model(path, custom_objects={'Own': _Twice})
    assert isinstance(loaded.layers[-1], _Twice)


@pytest.mark.parametrize('form', FORMATS)
def test_code_in_a_file_is_refused_even_in_a_class_of_the_callers(tmp_path: Path, form: str):
    ran = tmp_path / 'ran'
    witness = str(ran)
    code = _layers.Lambda(lambda x: (open(witness, 'w'), x)[1])  # noqa: SIM115
    keras.Sequential([keras.Input((4,)), _layers.Dense(2), code]).save(tmp_path / form)
    ran.unlink(missing_ok=True)
    for own in (None, {'Lambda': _layers.Lambda}):
        with pytest.raises(ValueError, match='path: expected'):
            load_model(tmp_path / form, custom_objects=own)
        assert not ran.exists()


@pytest.mark.parametrize('form', FORMATS)
def test_tensorflow_functions_are_refused(tmp_path: Path, form: str):
    image = keras.Input((4,))
    keras.Model(image, tf.math.sin(image)).save(tmp_path / form)
    with pytest.raises(ValueError, match="holds the class 'TFOpLambda'"):
        load_model(tmp_path / form)


def test_the_config_that_is_checked_is_the_one_that_is_loaded(tmp_path: Path):
    code = keras.Sequential([keras.Input((4,)), _layers.Lambda(lambda x: x)])
    code.save(tmp_path / 'code.h5')
    _small().save(tmp_path / 'harmless.keras')
    # HDF5 files begin with their signature, zip archives end with their directory.
    both = (tmp_path / 'code.h5').read_bytes() + (tmp_path / 'harmless.keras').read_bytes()
    (tmp_path / 'both.h5').write_bytes(both)
    assert zipfile.is_zipfile(tmp_path / 'both.h5')
    with pytest.raises(ValueError, match="holds the class 'Lambda'"):
        load_model(tmp_path / 'both.h5')


def test_a_saved_models_graph_is_not_loaded(tmp_path: Path):
    model = quantize(_small(), bits=2)
    model.save(tmp_path / SAVED_MODEL)
    (tmp_path / SAVED_MODEL / 'saved_model.pb').write_bytes(b'no graph')
    shutil.rmtree(tmp_path / SAVED_MODEL / 'assets')
    inputs = images_for(model)
    np.testing.assert_array_equal(load_model(tmp_path / SAVED_MODEL)(inputs), model(inputs))


def test_hdf5_files_are_read_whatever_their_name_is(tmp_path: Path):
    model = _small()
    model.save(tmp_path / HDF5)
    for name in ('model.weights.h5', 'model.keras', 'model'):
        shutil.copy(tmp_path / HDF5, tmp_path / name)
        np.testing.assert_array_equal(
            load_model(tmp_path / name).get_weights()[0], model.get_weights()[0]
        )


def test_what_is_no_model_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / 'missing.keras')
    (tmp_path / 'text.h5').write_text('no model')
    with pytest.raises(ValueError, match="teacher: expected a model.*text.h5', which cannot"):
        load_model(tmp_path / 'text.h5', 'teacher')
    _small().save_weights(tmp_path / 'only.weights.h5')
    with pytest.raises(ValueError, match='holds weights, but no network'):
        load_model(tmp_path / 'only.weights.h5')
    with pytest.raises(ValueError, match='keras_metadata.pb'):
        load_model(tmp_path)


def test_a_model_without_an_input_shape_is_named(tmp_path: Path):
    keras.Sequential([_layers.Dense(2)]).save(tmp_path / ARCHIVE)
    with pytest.raises(ValueError, match='saved before its input shape was known'):
        load_model(tmp_path / ARCHIVE)
