import json
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.networks import images_for, quantized_network
from tf_n2uq.tflite.loading import load_model


@pytest.fixture(scope='module')
def model():
    return quantized_network('dense_only')


def _with_layer(layer):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), layer])


def _changed(source, target, change):
    """A copy of a .keras file with another config."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            if name == 'config.json':
                content = json.dumps(change(json.loads(content))).encode()
            new.writestr(name, content)


@pytest.mark.parametrize('name', ['model.keras', 'model.h5', 'saved_model'])
def test_a_quantized_model_is_loaded_from_every_format(model, tmp_path, name):
    # It matters to training only, and its code is not read.
    model.compile('sgd', lambda expected, got: tf.reduce_mean(expected - got))
    model.save(tmp_path / name)
    loaded = load_model(tmp_path / name)
    images = images_for(model)
    np.testing.assert_array_equal(loaded(images), model(images))
    for expected, got in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize('name', ['model.keras', 'model.h5', 'saved_model'])
@pytest.mark.parametrize('kind', ['lambda', 'operation'])
def test_code_is_refused_in_every_format(tmp_path, name, kind):
    ran = tmp_path / 'ran'
    witness = str(ran)
    if kind == 'lambda':
        code = keras.layers.Lambda(lambda x: (open(witness, 'w'), x)[1])  # noqa: SIM115
        model = _with_layer(code)
    else:
        image = keras.Input((4,))
        model = keras.Model(image, tf.math.sin(image))
    model.save(tmp_path / name)
    ran.unlink(missing_ok=True)
    with pytest.raises(ValueError, match='holds code'):
        load_model(tmp_path / name)
    assert not ran.exists()


@pytest.mark.parametrize(
    'named',
    [
        {'class_name': 'function', 'config': 'system', 'module': 'os'},
        {'class_name': 'function', 'config': 'os.system', 'module': 'tf_keras.src.utils.io_utils'},
        {'class_name': 'Popen', 'config': {}, 'module': 'subprocess'},
    ],
)
def test_functions_and_classes_of_other_packages_are_refused(tmp_path, named):
    def change(config):
        config['config']['layers'][1]['config']['activation'] = {'registered_name': None, **named}
        return config

    _with_layer(keras.layers.ReLU()).save(tmp_path / 'model.keras')
    _changed(tmp_path / 'model.keras', tmp_path / 'forged.keras', change)
    with pytest.raises(ValueError, match='it names .* of the module'):
        load_model(tmp_path / 'forged.keras')
    with zipfile.ZipFile(tmp_path / 'forged.keras') as archive:
        config = archive.read('config.json')
    with h5py.File(tmp_path / 'forged.h5', 'w') as file:
        file.attrs['model_config'] = config
    with pytest.raises(ValueError, match='it names .* of the module'):
        load_model(tmp_path / 'forged.h5')


def test_the_config_that_is_checked_is_the_one_that_is_loaded(tmp_path):
    _with_layer(keras.layers.Lambda(lambda x: x)).save(tmp_path / 'code.h5')
    _with_layer(keras.layers.ReLU()).save(tmp_path / 'harmless.keras')
    # HDF5 files begin with their signature, zip archives end with their directory.
    both = (tmp_path / 'code.h5').read_bytes() + (tmp_path / 'harmless.keras').read_bytes()
    (tmp_path / 'both.h5').write_bytes(both)
    assert zipfile.is_zipfile(tmp_path / 'both.h5')
    with pytest.raises(ValueError, match='holds code'):
        load_model(tmp_path / 'both.h5')


def test_what_is_no_model_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / 'missing.keras')
    (tmp_path / 'text.h5').write_text('no model')
    with pytest.raises(ValueError, match="teacher: expected a model.*text.h5', which cannot"):
        load_model(tmp_path / 'text.h5', 'teacher')
    model.save_weights(tmp_path / 'only.weights.h5')
    with pytest.raises(ValueError, match='holds weights, but no network'):
        load_model(tmp_path / 'only.weights.h5')
    with pytest.raises(ValueError, match='keras_metadata.pb'):
        load_model(tmp_path)
