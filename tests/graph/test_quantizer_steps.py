import pytest
import tf_keras as keras

from tf_n2uq.graph.graph import Step
from tf_n2uq.graph.quantizer_steps import is_range, is_thresholds
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import (
    FixedRangeQuantizer,
    LearnableThresholdQuantizer,
    LSQInputQuantizer,
    PACTQuantizer,
    RangeQuantizer,
)


@pytest.mark.parametrize(
    'quantizer', [LearnableThresholdQuantizer(2), PACTQuantizer(4), LSQInputQuantizer(3)], ids=repr
)
def test_quantizers_to_levels_are_thresholds(quantizer):
    step = Step('quantizer', Quantize(quantizer))
    assert is_thresholds(step)
    assert not is_range(step)


@pytest.mark.parametrize('quantizer', [RangeQuantizer(8), FixedRangeQuantizer(0, 1, 8)], ids=repr)
def test_trained_and_fixed_ranges_are_ranges(quantizer):
    step = Step('range', Quantize(quantizer))
    assert is_range(step)
    assert not is_thresholds(step)


def test_other_layers_are_neither():
    step = Step('relu', keras.layers.ReLU())
    assert not is_range(step)
    assert not is_thresholds(step)
