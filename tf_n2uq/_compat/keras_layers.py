"""Layer classes that Keras does not publish, and what a layer keeps to itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

# ConvNeXt and InceptionResNetV2 of `keras.applications` hold these layers, which are in no public
# module, so that the models can only be taken apart with the classes from here. Classes that were
# registered as serializable would be found by `keras.saving.get_registered_object` instead.
from tf_keras.src.applications.convnext import LayerScale, StochasticDepth
from tf_keras.src.applications.inception_resnet_v2 import CustomScaleLayer

# What `model.add_loss` and `model.add_metric` of a tensor put into a model. Nothing public tells
# them from other layers.
from tf_keras.src.engine.base_layer import AddLoss, AddMetric

# Keras wraps TensorFlow functions of symbolic tensors (`x + 1`, `x[:, 0]`, `x.shape`) into these.
# Whoever rewrites a model has to know them. Nothing replaces them in tf_keras; Keras 3 has
# `keras.Operation`, which is public.
from tf_keras.src.layers.core.tf_op_layer import (
    ClassMethod,
    InstanceProperty,
    SlicingOpLambda,
    TFOpLambda,
)

__all__ = [
    'AddLoss',
    'AddMetric',
    'ClassMethod',
    'CustomScaleLayer',
    'DeclaredOutput',
    'InstanceProperty',
    'LayerScale',
    'SlicingOpLambda',
    'StochasticDepth',
    'TFOpLambda',
    'expects_mask',
    'expects_training',
    'inner_layers',
    'losses_of_tensors',
    'losses_without_inputs',
    'rename',
    'with_tensors',
]


def rename(layer: Any, name: str) -> None:
    """Gives a layer, a metric or a model another name.

    Keras takes a name when a layer is made, and has no setter. A copy from a changed config would
    do for a layer that is not built, but not for a user's class without a config. Keras 3's
    `layer.name = …` replaces this function.

    Args:
        layer: something that is not yet part of a model, as a model keeps its layers' names.
        name: the new name.
    """
    layer._name = name


def expects_training(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer's `call` takes `training`.

    Keras also finds it behind decorators and `**kwargs`, which `inspect.signature` does not.
    """
    return layer._expects_training_arg


def losses_without_inputs(layer: keras.layers.Layer) -> list[Any]:
    """Returns the functions that `layer.add_loss` got, those of regularizers of weights included.

    The public `layer.losses` has their values, among those of all inner layers.
    """
    return list(layer._callable_losses)


@contextlib.contextmanager
def losses_of_tensors(layer: keras.layers.Layer) -> Iterator[list[Any]]:
    """Yields a list that gets the losses which a layer adds in a context, from symbolic tensors.

    Keras keeps them in the layer, from where nothing public takes them again.

    Args:
        layer: the layer whose `call` is called in the context, and not the layer itself.
    """
    found: list[Any] = []
    count = len(layer._losses)
    try:
        yield found
    finally:
        found += layer._losses[count:]
        del layer._losses[count:]


def expects_mask(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer's `call` takes the `mask` that another layer has made.

    Keras also finds it behind decorators and `**kwargs`, which `inspect.signature` does not.
    """
    return layer._expects_mask_arg


def with_tensors(layer: keras.layers.Layer, tensors: Mapping[str, Any]) -> keras.layers.Layer:
    """Returns a twin of a layer that computes with tensors in place of variables.

    The twin shares all else with the layer, losses included. The layer itself does not change, so
    that several threads may call it. Keras 3's `StatelessScope` replaces this function.

    Args:
        layer: a built layer.
        tensors: `{attribute: tensor}`, for example `{'kernel': …}`.
    """
    twin = object.__new__(type(layer))
    # Past Keras' own `__setattr__`, which would make a change of owners of this.
    twin.__dict__.update(vars(layer))
    # Saving as SavedModel leaves a `call` on the layer that computes with the layer's variables.
    twin.__dict__.pop('call', None)
    compiled = getattr(layer, '_jit_compiled_convolution_op', None)
    if compiled is not None:
        # A compiled method is compiled anew for each object. This one gets the kernel as argument.
        twin.__dict__['_jit_compiled_convolution_op'] = compiled
    twin.__dict__.update(tensors)
    return twin


def inner_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers that a layer holds as attributes, and those that these hold.

    The public `layer.submodules` also has metrics and anything else that is a `tf.Module`.
    """
    return list(layer._flatten_layers(include_self=False))


class DeclaredOutput:
    """Mixin for layers that say by themselves what they return for symbolic tensors.

    To learn shape and type of a result, Keras traces `call` of every layer that is connected. For
    a layer whose `call` is large that is most of the time that building a model takes. This mixin
    calls the layer's `compute_output_signature` instead, a public method that a layer overrides.
    Keras' own returns the shape of `compute_output_shape`, which has to be a `tf.TensorShape`
    then, and the layer's compute type. Keras itself calls it for layers with `dynamic=True`, which
    cannot be saved as a graph; no public option makes Keras do so for others.

    The mixin goes in front of the layer class:

        class Quantize(DeclaredOutput, keras.layers.Layer):
    """

    def connected(self, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        """Is called whenever the layer is connected to symbolic tensors; by default does nothing.

        The layer is built by then. `layers_in_front` tells what made the tensors. No call with
        numbers and no traced call comes here.

        Args:
            inputs: the KerasTensors, a nest as `call` gets it.
            kwargs: the keyword arguments of the call.
        """

    def _infer_output_signature(self, inputs: Any, args: Any, kwargs: Any, input_masks: Any) -> Any:
        """Builds the layer, and returns KerasTensors as `compute_output_signature` says."""
        del input_masks
        layer: Any = self
        with tf.name_scope(layer._name_scope()):
            layer._maybe_build(inputs)
        layer._set_save_spec(inputs, args, kwargs)
        self.connected(inputs, kwargs)
        specs = tf.nest.map_structure(lambda tensor: tensor.type_spec, inputs)
        signature = layer.compute_output_signature(specs)
        return tf.nest.map_structure(keras.__internal__.KerasTensor, signature)
