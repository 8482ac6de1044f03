"""The rewrite of a network that runs at several bit-widths."""

from __future__ import annotations

from collections.abc import Sequence

import tf_keras as keras

from tf_n2uq.graph.decisions import decide, source_of, write_roles
from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.layers import Quantize, QuantizedKernel, SwitchableBatchNormalization
from tf_n2uq.quantizers import AdaptiveQuantizer, RangeQuantizer
from tf_n2uq.schemes.adaptive.switching import Sharing, absorb, extract
from tf_n2uq.schemes.calibration.kernel_start import start_kernels
from tf_n2uq.schemes.methods.scheme import LowBitScheme
from tf_n2uq.schemes.rewrite.layout_transform import LowBitLayoutTransform

_INT8 = 8


class AdaptiveLayoutTransform(LowBitLayoutTransform):
    """Rewrites a model as for one bit-width, and then makes layers switch between bit-widths.

    Every bit-width gets its own quantizer for each kernel and input, its own range for each other
    tensor, and its own parameters of each batch normalization. All bit-widths share kernels,
    biases and slopes.
    """

    def __init__(
        self, scheme: LowBitScheme, bit_widths: Sequence[int], shared_affine: bool
    ) -> None:
        super().__init__(scheme)
        self._bit_widths = tuple(bit_widths)
        self._shared_affine = shared_affine

    def finish(self, graph: Graph) -> keras.Model:
        _check_calls(graph)
        for step in graph:
            quantize_at_8_bits(graph, step)
        for step in graph:
            _switch_range(step, self._bit_widths)
            _switch_normalization(step, self._bit_widths, self._shared_affine)
        write_roles(graph, decide(graph))
        model = graph.to_model()
        if any(map(_starts_from_kernel, model.layers)):
            for bits in self._bit_widths:
                single = extract(model, bits)
                start_kernels(Graph.of_layers(single))
                for sharing in (Sharing.OWN, Sharing.QUANTIZER):
                    absorb(model, single, bits, sharing)
        return model


def _check_calls(graph: Graph) -> None:
    """Refuses a network that calls a layer with weights several times."""
    for step in graph:
        calls = graph.calls_of(step.layer)
        if len(calls) > 1:
            raise ValueError(
                f'model: layer {step.layer.name!r} is called {len(calls)} times; expected one call '
                'of each layer in a network of several bit-widths. Use separate layers, or a '
                'scheme of one bit-width, such as N2UQScheme.'
            )


def _starts_from_kernel(layer: keras.layers.Layer) -> bool:
    """Tells whether `start_kernels` changes anything at a layer or behind it."""
    if not isinstance(layer, QuantizedKernel):
        return False
    for _, quantizer, weights in layer.kernel_quantizers:
        adaptive = isinstance(quantizer, AdaptiveQuantizer)
        each = quantizer.quantizers.values() if adaptive else [quantizer]
        # Quantizers of other packages are assumed to keep the scale.
        if weights or not all(getattr(one, 'keeps_scale', True) for one in each):
            return True
    return False


def quantize_at_8_bits(graph: Graph, step: Step) -> None:
    """Gives an adaptive quantizer a range at 8 bits, if it needs one and has none.

    A quantizer behind an 8-bit range needs none: at 8 bits it passes its input on.

    Args:
        graph: the graph of an adaptive network.
        step: a step of the graph, changed in place.
    """
    quantizer = step.layer.quantizer if isinstance(step.layer, Quantize) else None
    if not isinstance(quantizer, AdaptiveQuantizer) or None not in quantizer.quantizers.values():
        return
    if not _gives_8_bits(source_of(graph, step.inputs[0])):
        quantizers = {
            bits: each or RangeQuantizer(_INT8) for bits, each in quantizer.quantizers.items()
        }
        adaptive = AdaptiveQuantizer(quantizers, quantizer.active_bits)
        step.layer = step.layer.with_quantizer(adaptive)


def _gives_8_bits(step: Step) -> bool:
    if not isinstance(step.layer, Quantize):
        return False
    quantizer = step.layer.quantizer
    own = quantizer.quantizers.values() if isinstance(quantizer, AdaptiveQuantizer) else [quantizer]
    return all(isinstance(each, RangeQuantizer) for each in own)


def _switch_range(step: Step, bit_widths: Sequence[int]) -> None:
    # A fixed range is the same at all bit-widths.
    if isinstance(step.layer, Quantize) and type(step.layer.quantizer) is RangeQuantizer:
        config = step.layer.quantizer.get_config()
        ranges = {bits: RangeQuantizer(**config) for bits in bit_widths}
        step.layer = step.layer.with_quantizer(AdaptiveQuantizer(ranges))


def _switch_normalization(step: Step, bit_widths: Sequence[int], shared_affine: bool) -> None:
    if type(step.layer) is not keras.layers.BatchNormalization:
        return
    config = step.layer.get_config()
    layer = SwitchableBatchNormalization(bit_widths, shared_affine, **config)
    restore = []
    for _, arrays in step.restore:
        *affine, mean, variance = arrays
        if shared_affine:
            restore.append((layer, [*affine, *[mean, variance] * len(bit_widths)]))
        else:
            restore += [(each, arrays) for each in layer.normalizations]
    step.layer, step.restore = layer, restore
