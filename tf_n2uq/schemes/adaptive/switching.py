"""Switching of models that run at several bit-widths, and extraction of one bit-width."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import all_layers
from tf_n2uq.graph.checks import check_model
from tf_n2uq.graph.graph import Graph, Step, copy_layer
from tf_n2uq.graph.quantizer_steps import role_of
from tf_n2uq.layers import Quantize, QuantizedKernel, SwitchableBatchNormalization
from tf_n2uq.quantizers import AdaptiveQuantizer
from tf_n2uq.schemes.adaptive.adaptive_config import AdaptiveQuantizeConfig

# A variable of an adaptive model, its counterpart in a model of one bit-width, and its owner.
_Pair: TypeAlias = 'tuple[tf.Variable, tf.Variable, Sharing]'


def bit_widths(model: keras.Model) -> tuple[int, ...]:
    """Returns the bit-widths of an adaptive model, from the highest to the lowest.

    Args:
        model: any tf_keras model.

    Returns:
        The bit-widths, 2..8 each; () for a model that is not adaptive.

    Raises:
        TypeError: if `model` is not a tf_keras model.
    """
    first = next(_switches(model), None)
    if first is None:
        return ()
    if isinstance(first, AdaptiveQuantizer):
        return tuple(first.quantizers)
    if isinstance(first, AdaptiveQuantizeConfig):
        return tuple(first.configs)
    return first.bit_widths


def active_bits(model: keras.Model) -> int:
    """Returns the bit-width that an adaptive model runs at.

    Args:
        model: a model from `quantize_apply` with `AdaBitsScheme`.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if `model` is not adaptive.
    """
    check_adaptive(model)
    return next(_switches(model)).active_bits


def set_bits(model: keras.Model, bits: int) -> None:
    """Switches an adaptive model to one of its bit-widths, in place.

    From then on, calls, `predict`, `evaluate`, `fit`, `save` and `summary` use this bit-width. A
    `tf.function` of the user that has been traced keeps the bit-width at which it was traced.

    Args:
        model: a model from `quantize_apply` with `AdaBitsScheme`.
        bits: one of its bit-widths.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if `model` is not adaptive, or does not have this bit-width. The error lists the
            bit-widths of the model.
    """
    check_bits_of(model, bits)
    for switch in _switches(model):
        switch.active_bits = bits
    for layer in all_layers(model):
        if isinstance(layer, keras.Model):
            # Keras has traced these functions at another bit-width.
            layer.train_function = layer.train_tf_function = None
            layer.test_function = layer.predict_function = None


@contextlib.contextmanager
def at_bits(model: keras.Model, bits: int) -> Iterator[None]:
    """Runs an adaptive model at one of its bit-widths, within a block that is being traced.

    Args:
        model: an adaptive model. After the block, it has its former bit-width again.
        bits: one of its bit-widths.
    """
    switches = list(_switches(model))
    before = [switch.active_bits for switch in switches]
    try:
        for switch in switches:
            switch.active_bits = bits
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.active_bits = value


def extract(model: keras.Model, bits: int) -> keras.Model:
    """Returns one bit-width of an adaptive model as a model of its own.

    The new model is the one that the scheme of the method makes for this bit-width, with the
    weights of the adaptive model. It can be trained further, saved, converted and compared.

    Args:
        model: a model from `quantize_apply` with `AdaBitsScheme`; it stays as it is.
        bits: one of its bit-widths.

    Returns:
        A Sequential or Functional model; no variable is shared with `model`.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if `model` is subclassed, not built or not adaptive, or does not have this
            bit-width.
    """
    check_model(model)
    check_bits_of(model, bits)
    graph = Graph.from_model(model)
    sources = {name: source for step in graph for name, source in _fix(graph, step, bits)}
    for step in graph:
        _read_from(step, sources)
    single = graph.to_model()
    for adaptive, own, _ in _pairs(model, single, bits):
        own.assign(tf.convert_to_tensor(adaptive))
    return single


class Sharing(enum.Enum):
    """The owner of a variable of an adaptive model."""

    OWN = 'one bit-width alone has the variable'
    QUANTIZER = 'a quantizer that does not switch has the variable'
    WEIGHT = 'all bit-widths learn the variable'


def absorb(
    model: keras.Model, single: keras.Model, bits: int, sharing: Sharing = Sharing.OWN
) -> None:
    """Copies some variables of a model of one bit-width into the adaptive model.

    Args:
        model: an adaptive model, changed in place.
        single: the model that `extract` has made for this bit-width, calibrated or trained since.
        bits: the bit-width.
        sharing: the owner of the variables to copy.
    """
    for adaptive, own, whose in _pairs(model, single, bits):
        if whose is sharing:
            adaptive.assign(tf.convert_to_tensor(own))


def copy_into(model: keras.Model, single: keras.Model, bits: int) -> None:
    """Copies all variables of a model of one bit-width into the adaptive model.

    Args:
        model: an adaptive model, changed in place.
        single: a model like the one that `extract` makes for this bit-width.
        bits: the bit-width.
    """
    for adaptive, own, _ in _pairs(model, single, bits):
        adaptive.assign(tf.convert_to_tensor(own))


def check_bits_of(model: keras.Model, bits: Any) -> None:
    """Checks that a model is adaptive and has a bit-width.

    Args:
        model: the value of the argument `model`.
        bits: the value of the argument `bits`.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if `model` is not adaptive, or does not have this bit-width.
    """
    check_adaptive(model)
    widths = bit_widths(model)
    if isinstance(bits, bool) or bits not in widths:
        listed = ', '.join(map(str, widths))
        raise ValueError(
            f'bits: expected a bit-width of model {model.name!r}, which are {listed}; got '
            f'{bits!r}; choose one of these, or add one with tf_n2uq.add_bits(model, bits, '
            'dataset).'
        )


def check_adaptive(model: Any) -> None:
    """Checks that a model is adaptive.

    Args:
        model: the value of the argument `model`.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if `model` is not adaptive.
    """
    if not bit_widths(model):
        raise ValueError(
            f'model: expected a model of several bit-widths, got {model.name!r}, which has none to '
            'switch. Quantize it with tfmot.quantization.keras.quantize_apply(annotated, '
            'scheme=tf_n2uq.AdaBitsScheme(bits=(8, 6, 5, 4))).'
        )


def _switches(model: Any) -> Iterator[Any]:
    """Yields the layers, configs and quantizers of a model that have `active_bits`."""
    if not isinstance(model, keras.Model):
        check_model(model)
    for layer in all_layers(model):
        if isinstance(layer, SwitchableBatchNormalization):
            yield layer
        elif isinstance(layer, Quantize) and isinstance(layer.quantizer, AdaptiveQuantizer):
            yield layer.quantizer
        elif isinstance(layer, QuantizedKernel) and _is_adaptive(layer):
            yield layer.quantize_config
            yield from (quantizer for _, quantizer, _ in layer.kernel_quantizers)


def _is_adaptive(layer: QuantizedKernel) -> bool:
    return isinstance(layer.quantize_config, AdaptiveQuantizeConfig)


def _fix(graph: Graph, step: Step, bits: int) -> Iterator[tuple[str, str | None]]:
    """Replaces a layer that switches by the layer that it is at one bit-width, without weights.

    Yields:
        The name of a removed quantizer, and the name of the quantizer in front of it or None. A
        quantizer is removed if it passes its input on at this bit-width.
    """
    layer = step.layer
    if isinstance(layer, SwitchableBatchNormalization):
        config = layer.normalization_config()
        step.layer = keras.layers.BatchNormalization.from_config(config)
    elif isinstance(layer, QuantizedKernel) and _is_adaptive(layer):
        config = layer.quantize_config.configs[bits]
        inner = copy_layer(layer.layer)
        step.layer = rewrapped(layer, inner, config)
    elif isinstance(layer, Quantize) and isinstance(layer.quantizer, AdaptiveQuantizer):
        quantizer = layer.quantizer.quantizers[bits]
        if quantizer is None:
            graph.remove(step)
            yield layer.name, layer.input_quantizer
            return
        step.layer = layer.with_quantizer(quantizer)
    else:
        return
    step.restore = []


def rewrapped(wrapper: QuantizedKernel, layer: keras.layers.Layer, config: Any) -> QuantizedKernel:
    """Returns a wrapper with another layer and config, and with the role of a given wrapper.

    Args:
        wrapper: the wrapper whose name, role and deployment the new wrapper gets.
        layer: the layer to wrap.
        config: the config of the layer.
    """
    role, deployment = wrapper.use().role, wrapper.deployment
    return QuantizedKernel(layer, config, wrapper.integer_bias, role, deployment, name=wrapper.name)


def _read_from(step: Step, sources: Mapping[str, str | None]) -> None:
    """Replaces the name of a removed quantizer by that of the quantizer in front of it."""
    layer = step.layer
    reader = layer.use() if isinstance(layer, QuantizedKernel) else layer
    name: str | None = getattr(reader, 'input_quantizer', None)
    if name is None or name not in sources:
        return
    role = role_of(step)
    if role is not None:
        layer.take_role(dataclasses.replace(role, input_quantizer=sources[name]))
    else:
        reader.input_quantizer = sources[name]


def _pairs(model: keras.Model, single: keras.Model, bits: int) -> Iterator[_Pair]:
    """Yields the variables of an adaptive model at a bit-width, with their counterparts."""
    layers = {step.name: step.layer for step in Graph.of_layers(model)}
    for own in single.layers:
        if not own.weights:
            continue
        layer: Any = layers[own.name]
        if isinstance(layer, SwitchableBatchNormalization):
            yield from _normalization_pairs(layer, own, bits)
        elif isinstance(layer, Quantize):
            yield from _quantizer_pairs(
                bits, layer.quantizer, layer.quantizer_weights, own.quantizer_weights
            )
        elif isinstance(layer, QuantizedKernel):
            yield from _shared(layer.layer, own.layer)
            for (_, quantizer, weights), (_, _, own_weights) in zip(
                layer.kernel_quantizers, own.kernel_quantizers, strict=True
            ):
                yield from _quantizer_pairs(bits, quantizer, weights, own_weights)
        else:
            yield from _shared(layer, own)


def _normalization_pairs(
    layer: SwitchableBatchNormalization, own: keras.layers.BatchNormalization, bits: int
) -> Iterator[_Pair]:
    statistics = layer.at(bits)
    affine: Any = layer if layer.shared_affine else statistics
    sharing = Sharing.WEIGHT if layer.shared_affine else Sharing.OWN
    for name in ('gamma', 'beta'):
        if getattr(own, name) is not None:
            yield getattr(affine, name), getattr(own, name), sharing
    for name in ('moving_mean', 'moving_variance'):
        yield getattr(statistics, name), getattr(own, name), Sharing.OWN


def _quantizer_pairs(
    bits: int,
    quantizer: Any,
    weights: Mapping[str, tf.Variable],
    own: Mapping[str, tf.Variable],
) -> Iterator[_Pair]:
    sharing = Sharing.QUANTIZER
    if isinstance(quantizer, AdaptiveQuantizer):
        weights, sharing = quantizer.weights_at(bits, weights), Sharing.OWN
    for name, variable in own.items():
        yield weights[name], variable, sharing


def _shared(layer: keras.layers.Layer, own: keras.layers.Layer) -> Iterator[_Pair]:
    for variable, counterpart in zip(layer.weights, own.weights, strict=True):
        yield variable, counterpart, Sharing.WEIGHT
