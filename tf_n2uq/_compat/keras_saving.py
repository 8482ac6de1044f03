"""How Keras reads saved models, for a reader that executes nothing that stands in a file."""

# The messages in a SavedModel's `keras_metadata.pb`: one per layer, with its config as JSON.
# `keras.models.load_model` reads them too, but also loads the TensorFlow graph beside them, which
# may hold any operation. Nothing public reads the config alone.
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

# The class that a file names for every functional model. The public `keras.Model(inputs, outputs)`
# makes objects of it, but it has no public name. Keras 3 has none either.
from tf_keras.src.engine.functional import Functional

# Sets the weights of a model from a group of an open HDF5 file. The public `model.load_weights`
# opens a file by itself, and takes one whose name ends in `.weights.h5` for another format.
from tf_keras.src.saving.legacy.hdf5_format import load_weights_from_hdf5_group

# The JSON of these configs has tuples and types of its own, which `decode` understands. Python's
# `json` leaves them as dictionaries. Nothing public replaces it.
from tf_keras.src.saving.legacy.saved_model import json_utils

# `ObjectSharingScope`: within it, a `.keras` config that describes an object twice gives one
# object. The public `load_model` uses it, but makes the model and reads files in one step.
# `SafeModeScope`: refuses `Lambda` layers in all formats. The public `load_model(safe_mode=True)`
# does so for `.keras` files only; once it does for `.h5` files too, it replaces this class.
from tf_keras.src.saving.serialization_lib import ObjectSharingScope, SafeModeScope

__all__ = [
    'Functional',
    'ObjectSharingScope',
    'SafeModeScope',
    'SavedMetadata',
    'json_utils',
    'load_weights_from_hdf5_group',
]
