import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate
from tf_n2uq.layers import Quantize, SwitchableBatchNormalization
from tf_n2uq.schemes.adaptive.added_bits import add_bits

layers = keras.layers
IMAGES = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)


def adaptive(bits, **arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Dense(6, input_shape=(4,)),
            layers.BatchNormalization(name='bn'),
            layers.ReLU(),
            layers.Dense(6, name='inner'),
            layers.ReLU(),
            layers.Dense(3),
        ]
    )
    scheme = tf_n2uq.AdaBitsScheme(bits, **{'method': 'lsq', **arguments})
    model = tfmot.quantization.keras.quantize_apply(annotate(model), scheme=scheme)
    tf_n2uq.calibrate(model, IMAGES, verbose=0)
    return model


@pytest.mark.parametrize(('bits', 'new'), [((4, 2), 3), ((4, 2), 8), ((8, 4), 2)])
def test_the_new_bit_width_has_its_place_and_its_own_values(bits, new):
    model = adaptive(bits)
    wider = add_bits(model, new, IMAGES, verbose=0)
    assert tf_n2uq.bit_widths(wider) == tuple(sorted([*bits, new], reverse=True))
    assert tf_n2uq.bit_widths(model) == bits
    single = tf_n2uq.extract(wider, new)
    wrapper = single.get_layer('quant_inner')
    assert [quantizer.bits for _, quantizer, _ in wrapper.kernel_quantizers] == [new]
    outputs = [np.ravel(tf_n2uq.extract(wider, each)(IMAGES)) for each in (new, bits[0])]
    assert np.corrcoef(outputs)[0, 1] > 0.8


def test_normalizations_start_like_the_nearest_bit_width_and_get_statistics_of_their_own():
    model = adaptive((8, 2))
    (normalization,) = (x for x in model.layers if isinstance(x, SwitchableBatchNormalization))
    normalization.at(8).gamma.assign(np.full(6, 8.0))
    normalization.at(2).gamma.assign(np.full(6, 2.0))
    (wider,) = (
        x
        for x in add_bits(model, 3, IMAGES, verbose=0).layers
        if isinstance(x, SwitchableBatchNormalization)
    )
    np.testing.assert_array_equal(wider.at(3).gamma, np.full(6, 2.0))
    assert not np.allclose(wider.at(3).moving_mean, wider.at(2).moving_mean)


def test_inputs_that_do_not_switch_keep_their_8_bits():
    wider = add_bits(adaptive((4, 2), weight_only=True), 3, IMAGES, verbose=0)
    assert not any(layer.name == 'inner_thresholds' for layer in wider.layers)
    config = wider.get_layer('quant_inner').quantize_config.configs[3]
    assert (config.weight_bits, config.activation_bits) == (3, 8)


def test_every_quantizer_of_the_wider_model_still_has_a_layer_that_is_there():
    wider = add_bits(adaptive((4, 2)), 8, IMAGES, verbose=0)
    names = {layer.name for layer in wider.layers}
    sources = [layer.input_quantizer for layer in wider.layers if isinstance(layer, Quantize)]
    assert {source for source in sources if source is not None} <= names
    assert tf_n2uq.active_bits(wider) == 4


@pytest.mark.parametrize(
    ('bits', 'error', 'message'),
    [
        (4, ValueError, 'bits: expected .* does not have yet, got 4; choose another one than 4, 2'),
        (1, ValueError, 'bits: expected .* from 2 to 8, got 1'),
        (3.0, TypeError, 'bits: expected'),
    ],
)
def test_wrong_bit_widths_are_named(bits, error, message):
    with pytest.raises(error, match=message):
        add_bits(adaptive((4, 2)), bits, IMAGES)
