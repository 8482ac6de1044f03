"""Adding of a bit-width that an adaptive model was not trained for."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from tf_n2uq.graph.checks import check_model
from tf_n2uq.graph.graph import Graph, Step, copy_layer
from tf_n2uq.layers import Quantize, QuantizedKernel, SwitchableBatchNormalization
from tf_n2uq.quantizers import AdaptiveQuantizer, RangeQuantizer, check_bits
from tf_n2uq.quantizers.base import ConfiguredQuantizer
from tf_n2uq.schemes.adaptive.adaptive_config import AdaptiveQuantizeConfig
from tf_n2uq.schemes.adaptive.adaptive_transform import quantize_at_8_bits
from tf_n2uq.schemes.adaptive.switching import (
    absorb,
    bit_widths,
    check_adaptive,
    copy_into,
    extract,
    rewrapped,
)
from tf_n2uq.schemes.calibration.batch_norm import recalibrate_batch_norm
from tf_n2uq.schemes.calibration.one_width import calibrate_one_width

_INT8 = 8


def add_bits(model: keras.Model, bits: int, dataset: Any, verbose: int = 1) -> keras.Model:
    """Returns an adaptive model with one more bit-width, without training.

    The new bit-width takes over the scale and offset of normalizations from the nearest bit-width
    of the model. It gets thresholds, clipping values and ranges from the data, as by `calibrate`,
    and statistics of batch normalizations from the data, as by `recalibrate_batch_norm`.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths" (CVPR
    2020), direct adaptation.

    Args:
        model: a trained model from `quantize_apply` with `AdaBitsScheme`; it stays as it is.
        bits: the new bit-width, 2..8.
        dataset: as for `tf_n2uq.calibrate`; use batches as large as in training.
        verbose: 1 for progress bars, 0 for silence.

    Returns:
        A model that runs at the bit-widths of `model`, with the same results, and at the new one.

    Raises:
        TypeError: if `model` is not a tf_keras model, or `bits` is not an integer.
        ValueError: if the model is subclassed, not built or not adaptive; if it has this bit-width
            already, or 8 bits only; or if the dataset is empty, has a wrong shape, or holds NaN or
            infinite values.
    """
    check_model(model)
    check_adaptive(model)
    _check_new(model, check_bits(bits))
    widths = bit_widths(model)
    graph = Graph.from_model(model)
    for step in graph:
        _widen(step, bits)
    if bits == _INT8:
        for step in graph:
            quantize_at_8_bits(graph, step)
    wider = graph.to_model()
    for width in widths:
        copy_into(wider, extract(model, width), width)
    nearest = min(widths, key=lambda width: abs(width - bits))
    single = extract(wider, bits)
    _start_like(single, extract(model, nearest))
    calibrate_one_width(single, dataset, verbose, seed=0)
    absorb(wider, single, bits)
    if any(isinstance(layer, SwitchableBatchNormalization) for layer in wider.layers):
        # A new extraction has the trained values of those quantizers that do not switch.
        single = extract(wider, bits)
        recalibrate_batch_norm(single, dataset, verbose)
        absorb(wider, single, bits)
    return wider


def _check_new(model: keras.Model, bits: int) -> None:
    widths = bit_widths(model)
    if bits in widths:
        raise ValueError(
            f'bits: expected a bit-width that model {model.name!r} does not have yet, got {bits}; '
            f'choose another one than {", ".join(map(str, widths))}.'
        )
    if widths == (_INT8,):
        raise ValueError(
            f'model: expected a bit-width below 8 besides 8, got {model.name!r} with 8 only; '
            'quantize the float model with AdaBitsScheme and more bit-widths.'
        )


def _widen(step: Step, bits: int) -> None:
    """Makes room for one more bit-width in a step with an adaptive layer.

    The new layer has no weights yet.
    """
    layer = step.layer
    if isinstance(layer, SwitchableBatchNormalization):
        widths = sorted([*layer.bit_widths, bits], reverse=True)
        config = {**layer.get_config(), 'bits': widths}
        step.layer = SwitchableBatchNormalization.from_config(config)
    elif isinstance(layer, Quantize) and isinstance(layer.quantizer, AdaptiveQuantizer):
        step.layer = layer.with_quantizer(_widened(layer.quantizer, bits))
    elif isinstance(layer, QuantizedKernel) and isinstance(
        layer.quantize_config, AdaptiveQuantizeConfig
    ):
        config = layer.quantize_config.with_bits(bits)
        inner = copy_layer(layer.layer)
        step.layer = rewrapped(layer, inner, config)
    else:
        return
    step.restore = []


def _widened(quantizer: AdaptiveQuantizer, bits: int) -> AdaptiveQuantizer:
    # The lowest bit-width has the method's own quantizer, unless the tensor has 8 bits at all.
    lowest = list(quantizer.quantizers.values())[-1]
    assert lowest is not None
    new: ConfiguredQuantizer | None = None
    if isinstance(lowest, RangeQuantizer):
        new = type(lowest)(**lowest.get_config())
    elif bits != _INT8:
        new = type(lowest)(**{**lowest.get_config(), 'bits': bits})
    quantizers = {**quantizer.quantizers, bits: new}
    ordered = dict(sorted(quantizers.items(), reverse=True))
    return AdaptiveQuantizer(ordered, quantizer.active_bits)


def _start_like(model: keras.Model, other: keras.Model) -> None:
    """Copies the variables of another network that have the same name and shape."""
    variables = {variable.name: variable for variable in other.weights}
    for variable in model.weights:
        counterpart = variables.get(variable.name)
        if counterpart is not None and counterpart.shape == variable.shape:
            variable.assign(counterpart)
