"""Start values for a quantized network from one pass of float data."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from tf_n2uq.graph.checks import check_quantized_model
from tf_n2uq.schemes.adaptive.switching import Sharing, absorb, bit_widths, extract
from tf_n2uq.schemes.calibration.one_width import calibrate_one_width


def calibrate(model: keras.Model, dataset: Any, verbose: int = 1, seed: int = 0) -> None:
    """Sets the quantizers of a model to what they see when the network runs in float.

    The data goes once through the float network. Each input quantizer gets what suits the tensor
    that enters it: thresholds, scales and clipping values those with the smallest mean squared
    error (N2UQ's output scale also makes up for the norm that the quantized kernel behind it has
    lost), a learned step the start value of its paper, like the steps of kernels; each 8-bit range
    gets the smallest and largest value. Then the mean that quantization moves each output channel
    by is taken out of the moving mean or the bias behind the layer.

    In an adaptive model all that is done for each bit-width by itself; a bias that they share stays
    as it is.

    Source of the last step: "Data-Free Quantization Through Weight Equalization and Bias
    Correction" (ICCV 2019), section 4.2.

    Args:
        model: a model from `quantize_apply` with a scheme of this project; changed in place.
        dataset: a `tf.data.Dataset` or iterable of batches, or one array. A batch is the model's
            input or a tuple that starts with it, as for `fit`; labels are not read.
        verbose: 1 for a progress bar, 0 for silence.
        seed: chooses which positions of the tensors are looked at.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if the model has no quantizers, or the dataset is empty, has a wrong shape,
            or holds NaN or infinite values.
    """
    check_quantized_model(model)
    for bits in bit_widths(model):
        single = extract(model, bits)
        calibrate_one_width(single, dataset, verbose, seed)
        for sharing in (Sharing.OWN, Sharing.QUANTIZER):
            absorb(model, single, bits, sharing)
    if not bit_widths(model):
        calibrate_one_width(model, dataset, verbose, seed)
