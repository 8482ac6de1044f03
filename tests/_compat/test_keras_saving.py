import json

import pytest
import tf_keras as keras

from tf_n2uq._compat.keras_saving import SafeModeScope, SavedMetadata, json_utils


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
