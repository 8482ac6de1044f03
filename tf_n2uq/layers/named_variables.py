"""The names of a layer's variables in a model that has been loaded."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class NamedVariables:
    """Mixin that gives the variables of a layer the layer's name in front, also after loading.

    When Keras loads a `.keras` file, it builds layers outside of their name scopes. The variables
    of two layers then share their names, and so do the slots of an optimizer, which an HDF5 file
    cannot hold. The mixin stands in front of the layer class.
    """

    name: str

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer with the shapes of a `.keras` file."""
        layer: Any = super()
        with tf.name_scope(self.name):
            layer.build_from_config(config)
