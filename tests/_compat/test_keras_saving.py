import json

import h5py
import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq._compat.keras_saving import (
    Functional,
    ObjectSharingScope,
    SafeModeScope,
    SavedMetadata,
    json_utils,
    load_weights_from_hdf5_group,
)


def test_a_saved_models_metadata_holds_the_models_config(tmp_path):
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1, name='own')])
    model.save(tmp_path / 'model')
    read = SavedMetadata.FromString((tmp_path / 'model' / 'keras_metadata.pb').read_bytes())
    (root,) = [node for node in read.nodes if node.node_path == 'root']
    config = json_utils.decode(root.metadata)['config']
    assert config['layers'][1]['config']['name'] == 'own'


def test_tuples_come_back_as_tuples():
    text = json.dumps({'class_name': '__tuple__', 'items': [1, 2]})
    assert json_utils.decode(text) == (1, 2)


def test_in_safe_mode_an_h5_file_with_a_lambda_is_refused(tmp_path):
    path = tmp_path / 'model.h5'
    keras.Sequential([keras.Input([2]), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    with SafeModeScope(True), pytest.raises(ValueError, match='[Uu]nsafe|lambda'):
        keras.models.load_model(path)


def test_a_functional_model_is_of_the_class_that_its_file_names():
    image = keras.Input([2])
    model = keras.Model(image, keras.layers.Dense(1)(image))
    assert type(model) is Functional
    assert json.loads(model.to_json())['class_name'] == Functional.__name__


def test_an_object_that_is_described_twice_is_made_once():
    shared = keras.initializers.RandomNormal(seed=1)
    with ObjectSharingScope():
        described = [keras.saving.serialize_keras_object(shared) for _ in range(2)]
    with ObjectSharingScope():
        one, other = keras.saving.deserialize_keras_object(described)
    assert one is other
    one, other = keras.saving.deserialize_keras_object(described)
    assert one is not other


def test_weights_are_read_from_an_open_hdf5_file(tmp_path):
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    model.save(tmp_path / 'model.h5')
    before = model.get_weights()
    model.set_weights([np.ones_like(weight) for weight in before])
    with h5py.File(tmp_path / 'model.h5') as file:
        load_weights_from_hdf5_group(file['model_weights'], model)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
