"""Calibration: start values for the quantizers of a network, of one or several bit-widths."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from tf_n2uq.graph.checks import check_quantized_model
from tf_n2uq.schemes.adaptive.switching import Sharing, absorb, bit_widths, extract
from tf_n2uq.schemes.calibration.one_width import calibrate_one_width


def calibrate(
    model: keras.Model,
    dataset: Any,
    verbose: int = 1,
    seed: int = 0,
    steps: int | None = None,
) -> None:
    """Gives the quantizers of a model start values that suit the data.

    The data goes once through the float network. The tensor that enters a quantizer decides about
    its start values:

    - Thresholds, scales and clipping values become those with the smallest mean squared error.
      The output scale of N2UQ also makes up for the norm that the quantized kernel behind it has
      lost.
    - A learned step gets the start value of its paper. The steps of kernels do, too.
    - An 8-bit range reaches from the smallest to the largest value.

    Quantization then moves the mean of each output channel. The last step takes this difference
    out of the moving mean of the batch normalization behind the layer, or else out of the layer's
    bias.

    In an adaptive model, each bit-width is calibrated by itself. A bias that all bit-widths share
    stays as it is.

    Source of the last step: "Data-Free Quantization Through Weight Equalization and Bias
    Correction" (ICCV 2019), section 4.2.

    Args:
        model: a model from `quantize_apply` with a scheme of this project; changed in place.
        dataset: a `tf.data.Dataset`, a `keras.utils.Sequence` or another iterable of batches; or
            arrays as for `predict`: one, or for several inputs a list in their order or a
            dictionary by their names. A batch is the model's input, or a tuple that starts with the
            input, as for `fit`. Labels are not read.
        verbose: 1 for a progress bar, 0 for silence.
        seed: the seed of the random positions at which tensors are sampled.
        steps: the number of batches to read at most; None for all. A dataset that repeats for ever
            needs it.

    Raises:
        TypeError: if `model` is not a tf_keras model, or `dataset` is none of these.
        ValueError: if the model has no quantizers, or the dataset is empty or infinite, has a
            wrong shape, or holds NaN or infinite values; or if `steps` is no number of batches.
    """
    check_quantized_model(model)
    for bits in bit_widths(model):
        single = extract(model, bits)
        calibrate_one_width(single, dataset, verbose, seed, steps)
        for sharing in (Sharing.OWN, Sharing.QUANTIZER):
            absorb(model, single, bits, sharing)
    if not bit_widths(model):
        calibrate_one_width(model, dataset, verbose, seed, steps)
