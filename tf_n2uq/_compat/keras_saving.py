"""How Keras reads saved models, for a reader that executes nothing that stands in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# The messages in a SavedModel's `keras_metadata.pb`: one per layer, with its config as JSON.
# `keras.models.load_model` reads them too, but also loads the TensorFlow graph beside them, which
# may hold any operation. Nothing public reads the config alone.
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata
from tf_keras.src import activations

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
    'save_by_name',
]


def save_by_name(function: Callable[..., Any], name: str) -> None:
    """Makes layers write the name of an activation function into their config, and no more.

    Keras writes a registered function as a dictionary, and then finds it in `.keras` files, but not
    in `.h5` files. It finds a registered name in both. Nothing public says how a function is
    written.

    Args:
        function: a registered function with a `__name__` that no other function has.
        name: the name that it is registered by.
    """
    activations._TF_ACTIVATIONS_V2[function.__name__] = name
