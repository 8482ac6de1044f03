import pytest
import tensorflow_model_optimization as tfmot

from tests.known_layers.specs import known_spec
from tf_n2uq._compat.tfmot import QuantizeLayer
from tf_n2uq.layers import Quantize
from tf_n2uq.layers.layer_spec import Kind, kind_of, spec_of
from tf_n2uq.quantizers import LearnableThresholdQuantizer, RangeQuantizer


@pytest.mark.parametrize('quantizer', [LearnableThresholdQuantizer(2), RangeQuantizer(8)], ids=repr)
def test_thresholds_and_ranges_are_quantizers_without_an_operator(quantizer):
    layer = Quantize(quantizer)
    assert kind_of(layer) is Kind.QUANTIZE
    assert known_spec(layer).form is None


def test_the_quantizing_layer_of_tfmot_is_unknown():
    quantizers = tfmot.quantization.keras.quantizers
    quantizer = quantizers.AllValuesQuantizer(8, False, False, False)
    assert spec_of(QuantizeLayer(quantizer)) is None
