"""Random networks, from Keras to the file: each part of a file computes what Keras does.

The small file of a network computes what the fast one does, to the bit.

`make fuzz` runs many more of them.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import tf_keras as keras

from tests.tflite.forced import run_forced, unexplained
from tests.tflite.random_networks import random_images, random_quantized
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import RangeQuantizer
from tf_n2uq.tflite import convert, predict

# Seeds that once failed, and what was wrong.
FAILED_BEFORE = {
    2: 'channels with a gamma of 0: what was added to them was rounded to a coarse unit',
    54: 'a tensor with images and rows on one axis was not found, and its input taken in its place',
}
SEEDS = sorted({*range(int(os.environ.get('FUZZ_SEEDS', '12'))), *FAILED_BEFORE})
# Probabilities have the scale 1/256 in the file; TFLite makes them with tables.
_OUTPUT_TOLERANCE = 1 / 128


def _dead_ranges(model: keras.Model) -> set[str]:
    """Ranges of tensors that are zero, which are wider in the file if a sum needs that."""
    ranges = [
        layer
        for layer in model.layers
        if isinstance(layer, Quantize) and isinstance(layer.quantizer, RangeQuantizer)
    ]
    return {
        layer.name
        for layer in ranges
        if np.ptp(layer.quantizer.bounds(layer.quantizer_weights)) < 1e-5
    }


@pytest.mark.parametrize('seed', SEEDS)
def test_every_part_of_a_random_networks_file_computes_what_keras_does(seed: int) -> None:
    model, data = random_quantized(seed)
    content = convert(model, representative_dataset=data)
    images = np.concatenate([data[:2], random_images(model, seed + 1, 2)])
    run = run_forced(model, content, images, data)
    assert unexplained(run) == []
    assert set(run.not_compared) <= _dead_ranges(model)
    assert run.output_difference <= _OUTPUT_TOLERANCE
    small = convert(model, representative_dataset=data, optimize_for='size')
    np.testing.assert_array_equal(predict(small, images), predict(content, images))
