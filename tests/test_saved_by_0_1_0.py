"""Networks that version 0.1.0 saved load as they are, and compute what they did.

`data/saved_by_0_1_0` holds a small network with batch normalization, an RPReLU that the file
computes and a layer normalization, calibrated and saved by that version in each format:
`N2UQScheme(2)`, `SATScheme(4)` with float tensors, whose last layer divides its bias, and
`AdaBitsScheme((8, 4, 2))`. `predictions.npz` has the images and what 0.1.0 predicted.
"""

import zipfile

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.rooms import ROOT
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.tflite.loading import load_model

FOLDER = ROOT / 'tests' / 'data' / 'saved_by_0_1_0'
NETWORKS = ('n2uq', 'sat_float', 'adabits')


@pytest.fixture(name='expected', scope='module')
def _expected():
    with np.load(FOLDER / 'predictions.npz') as file:
        return dict(file)


def path_of(name, suffix, folder):
    if suffix:
        return FOLDER / f'{name}{suffix}'
    with zipfile.ZipFile(FOLDER / f'{name}_savedmodel.zip') as archive:
        archive.extractall(folder)
    return folder / f'{name}_savedmodel'


@pytest.mark.parametrize('suffix', ['.keras', '.h5', ''])
@pytest.mark.parametrize('name', NETWORKS)
def test_a_network_predicts_as_before(name, suffix, expected, tmp_path):
    model = keras.models.load_model(path_of(name, suffix, tmp_path))
    got = model(expected['images'], training=False).numpy()
    np.testing.assert_allclose(got, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('suffix', ['.keras', '.h5', ''])
@pytest.mark.parametrize('name', NETWORKS)
def test_a_network_loads_as_an_untrusted_file_too(name, suffix, expected, tmp_path):
    model = load_model(path_of(name, suffix, tmp_path))
    got = model(expected['images'], training=False).numpy()
    np.testing.assert_allclose(got, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('optimize_for', ['latency', 'size'])
def test_a_network_gives_a_file_of_the_same_integers(optimize_for, expected):
    model = keras.models.load_model(FOLDER / 'n2uq.keras')
    content = tf_n2uq.tflite.convert(model, optimize_for=optimize_for)
    before = tf_n2uq.tflite.predict((FOLDER / 'n2uq.tflite').read_bytes(), expected['images'])
    np.testing.assert_array_equal(tf_n2uq.tflite.predict(content, expected['images']), before)


@pytest.mark.parametrize('bits', [8, 4, 2])
def test_a_network_of_several_bit_widths_can_be_switched_and_converted(bits, expected):
    model = keras.models.load_model(FOLDER / 'adabits.keras')
    tf_n2uq.set_bits(model, bits)
    images = expected['images']
    content = tf_n2uq.tflite.convert(model, bits=bits)
    file = tf_n2uq.tflite.predict(content, images)
    np.testing.assert_allclose(file, model(images, training=False), atol=1e-5)


def test_what_version_0_1_0_did_not_write_down_is_written_down_now(tmp_path):
    model = keras.models.load_model(FOLDER / 'n2uq.keras')
    inner = model.get_layer('quant_inner')
    assert inner.use().role is None
    assert inner.use().input_quantizer == 'inner_thresholds'
    model.save(tmp_path / 'again.keras')
    again = keras.models.load_model(tmp_path / 'again.keras')
    images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(images), model(images))
    kernels = [layer for layer in again.layers if isinstance(layer, QuantizedKernel)]
    assert all(kernel.bias_rounding() is not None for kernel in kernels)
