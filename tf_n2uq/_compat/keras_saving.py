"""How Keras reads saved models, for a reader that executes nothing that stands in a file."""

# The messages in a SavedModel's `keras_metadata.pb`: one per layer, with its config as JSON.
# `keras.models.load_model` reads them too, but also loads the TensorFlow graph beside them, which
# may hold any operation. Nothing public reads the config alone.
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

# The JSON of these configs has tuples and types of its own, which `decode` understands. Python's
# `json` leaves them as dictionaries. Nothing public replaces it.
from tf_keras.src.saving.legacy.saved_model import json_utils

# Refuses `Lambda` layers in all formats. The public `load_model(safe_mode=True)` does so for
# `.keras` files only; once it does for `.h5` files too, it replaces this class.
from tf_keras.src.saving.serialization_lib import SafeModeScope

__all__ = ['SafeModeScope', 'SavedMetadata', 'json_utils']
