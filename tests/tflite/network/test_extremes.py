import numpy as np
import pytest
import tf_keras as keras

from tests.tflite.integer_calls import RESULT, integer_call, numbers, run_form
from tf_n2uq.tflite.network.extremes import ExtremeForm
from tf_n2uq.tflite.network.ranges import Range

SHAPE = (1, 5, 6, 4)


@pytest.mark.parametrize('is_maximum', [True, False])
def test_it_is_the_extreme_of_the_rounded_numbers(is_maximum):
    ranges = [Range(0.02, -10), Range(0.05, 30)]
    layer = keras.layers.Maximum() if is_maximum else keras.layers.Minimum()
    call = integer_call(layer, SHAPE, SHAPE, sources=ranges)
    parts = [numbers(SHAPE, seed, each) for seed, each in enumerate(ranges)]
    result = RESULT.quantize(run_form(ExtremeForm(is_maximum), call, *parts))
    steps = np.abs(result - RESULT.quantize(layer(parts))) / RESULT.scale
    assert steps.max() < 1.01
    assert np.mean(steps > 0.5) < 0.02
