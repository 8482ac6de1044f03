"""Models that TFMOT has pruned or clustered: wrappers that are still there, and zeros that go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.quantizers import AdaptiveQuantizer

# The classes are in no public module of TFMOT.
_PACKAGE = 'tensorflow_model_optimization.'
_WAYS_OUT = {
    'PruneLowMagnitude': 'tfmot.sparsity.keras.strip_pruning(model)',
    'PruneLowMagnitude2by4': 'tfmot.sparsity.keras.strip_pruning(model)',
    'ClusterWeights': 'tfmot.clustering.keras.strip_clustering(model)',
    'ClusterWeightsMHA': 'tfmot.clustering.keras.strip_clustering(model)',
}
# From this share of zeros on, somebody has pruned a kernel.
_SPARSE = 0.3


def check_stripped(layers: Iterable[keras.layers.Layer]) -> None:
    """Refuses the wrappers by which TFMOT prunes and clusters kernels.

    Args:
        layers: the layers of a float model.

    Raises:
        ValueError: if a layer is such a wrapper.
    """
    for layer in layers:
        kind = type(layer).__name__
        if kind in _WAYS_OUT and type(layer).__module__.startswith(_PACKAGE):
            raise ValueError(
                f'model: expected a model whose training with TFMOT has ended, got layer '
                f'{layer.name!r}, which is a {kind} and changes its kernel itself. Call '
                f'{_WAYS_OUT[kind]} first, and quantize the model that it returns.'
            )


def tell_sparse(model: keras.Model) -> None:
    """Warns of pruned kernels whose quantizer has no level 0, so that their zeros go.

    Args:
        model: a quantized model.
    """
    kernels = [layer for layer in model.layers if isinstance(layer, QuantizedKernel)]
    found = {layer.layer.name: _zeros_that_go(layer) for layer in kernels}
    sparse = [name for name, share in found.items() if share >= _SPARSE]
    if sparse:
        logging.warning(
            'model: %d of %d quantized kernels are pruned, and their method has no level 0: '
            '%.0f %% of the weights of %r are zeros, and become the smallest level on one side. '
            'Take a method with a level 0 (tf_n2uq.LSQScheme, LSQPlusScheme, SATScheme), or 8 bits '
            'for these layers, layers={...: 8}.',
            len(sparse),
            len(kernels),
            100 * found[sparse[0]],
            sparse[0],
        )


def _zeros_that_go(layer: QuantizedKernel) -> float:
    """Returns the largest share of zeros of a kernel that are other numbers once quantized."""
    shares = [0.0]
    for attribute, quantizer, _ in layer.kernel_quantizers:
        kernel = np.asarray(getattr(layer.layer, attribute), np.float32)
        zeros = kernel == 0
        if zeros.mean() < _SPARSE:
            continue
        # Channels of zeros may stay zeros without a level 0, as their scale is 0.
        quantized = (np.asarray(each(tf.constant(kernel), False)) for each in _odd(quantizer))
        shares += [float((zeros & (each != 0)).mean()) for each in quantized]
    return max(shares)


def _odd(quantizer: Any) -> Iterator[Any]:
    """Yields the quantizers of all bit-widths that have no level 0. None of them has variables."""
    adaptive = isinstance(quantizer, AdaptiveQuantizer)
    for each in quantizer.quantizers.values() if adaptive else [quantizer]:
        if getattr(each, 'has_odd_integers', False):
            yield each
