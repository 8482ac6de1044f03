"""One quantizer of several bit-widths: which is at work, and with whose variables."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import (
    AdaptiveQuantizer,
    DoReFaQuantizer,
    LearnableThresholdQuantizer,
    PACTQuantizer,
    RangeQuantizer,
)
from tf_n2uq.quantizers.adaptive_quantizer import in_use

VALUES = tf.constant(np.linspace(-0.5, 2.5, 31, dtype=np.float32)[None])


def owner_of(quantizers):
    layer = Owner(AdaptiveQuantizer(quantizers))
    layer(VALUES)
    return layer


def test_the_active_bit_width_quantizes_with_its_own_variables():
    layer = owner_of({4: PACTQuantizer(4), 2: PACTQuantizer(2)})
    names = {variable.name.split('/')[-1] for variable in layer.weights}
    assert names == {'tensor_4bit_clip_value:0', 'tensor_2bit_clip_value:0'}
    layer.quantizer_weights['4bit_clip_value'].assign([1.5])
    layer.quantizer_weights['2bit_clip_value'].assign([3.0])
    for bits, clip in ((4, 1.5), (2, 3.0)):
        layer.quantizer.active_bits = bits
        levels = np.rint(np.clip(VALUES, 0, clip) / clip * (2**bits - 1))
        np.testing.assert_allclose(layer(VALUES), levels * clip / (2**bits - 1), atol=1e-6)
        assert layer.quantizer.bits == bits


def test_only_the_active_bit_width_gets_a_gradient():
    layer = owner_of({4: PACTQuantizer(4), 2: PACTQuantizer(2)})
    layer.quantizer.active_bits = 2
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(VALUES))
    of_4, of_2 = tape.gradient(
        total, [layer.quantizer_weights[f'{bits}bit_clip_value'] for bits in (4, 2)]
    )
    assert of_4 is None
    assert float(of_2[0]) != 0.0


def test_without_a_quantizer_the_tensor_passes():
    layer = owner_of({8: None, 4: PACTQuantizer(4)})
    assert layer.quantizer.is_identity
    assert layer.quantizer.bits == 8
    np.testing.assert_array_equal(layer(VALUES), VALUES)
    with pytest.raises(ValueError, match='active_bits: .* has a quantizer, got 8'):
        _ = layer.quantizer.active
    layer.quantizer.active_bits = 4
    assert not layer.quantizer.is_identity


def test_kernels_give_the_integers_of_the_active_bit_width():
    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 4, 5)), tf.float32)
    quantizer = AdaptiveQuantizer({6: DoReFaQuantizer(6), 3: DoReFaQuantizer(3)})
    for bits in (6, 3):
        quantizer.active_bits = bits
        alone = DoReFaQuantizer(bits)
        for got, expected in zip(quantizer.integers(kernel), alone.integers(kernel), strict=True):
            np.testing.assert_array_equal(got, expected)
        assert quantizer.keeps_scale == alone.keeps_scale
        assert quantizer.has_odd_integers == alone.has_odd_integers


def test_what_is_in_use_is_found_with_its_variables():
    layer = owner_of({8: None, 3: LearnableThresholdQuantizer(3)})
    assert in_use(layer.quantizer, layer.quantizer_weights)[0] is layer.quantizer
    layer.quantizer.active_bits = 3
    quantizer, weights = in_use(layer.quantizer, layer.quantizer_weights)
    assert quantizer == LearnableThresholdQuantizer(3)
    assert weights['intervals'] is layer.quantizer_weights['3bit_intervals']
    plain = RangeQuantizer(8)
    assert in_use(plain, {}) == (plain, {})


def test_it_is_what_its_config_says():
    quantizer = AdaptiveQuantizer({8: None, 4: PACTQuantizer(4), 2: RangeQuantizer(8)}, 4)
    serialized = keras.utils.legacy.serialize_keras_object(quantizer)
    again = keras.utils.legacy.deserialize_keras_object(serialized)
    assert again == quantizer
    assert hash(again) == hash(quantizer)
    again.active_bits = 2
    assert again != quantizer


@pytest.mark.parametrize(
    ('quantizers', 'active', 'message'),
    [
        ({2: None, 4: None}, None, r'quantizers: expected each bit-width once.*give \(4, 2\)'),
        ({}, None, 'at least one bit-width'),
        ({4: None}, 3, r'active_bits: expected one of \(4,\), got 3'),
    ],
)
def test_wrong_bit_widths_are_named(quantizers, active, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveQuantizer(quantizers, active)
