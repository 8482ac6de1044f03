"""Properties that every quantizer has."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tests.quantizers.layers import Owner
from tf_n2uq import quantizers

QUANTIZERS = [
    quantizers.LearnableThresholdQuantizer(3),
    quantizers.EntropyPreservingQuantizer(2),
    quantizers.EntropyPreservingQuantizer(2, channel_axis=(-2, -1)),
    quantizers.PACTQuantizer(4),
    quantizers.PACTQuantizer(4, gradient='calibrated'),
    quantizers.DoReFaQuantizer(2),
    quantizers.DoReFaQuantizer(2, 'centered_symmetric', 'stddev', channel_axis=(-2, -1)),
    quantizers.DoReFaInputQuantizer(3),
    quantizers.LSQQuantizer(3),
    quantizers.LSQQuantizer(3, signed=False),
    quantizers.LSQInputQuantizer(3),
    quantizers.LSQPlusQuantizer(3),
    quantizers.LSQPlusInputQuantizer(3),
    quantizers.RangeQuantizer(),
    quantizers.RangeQuantizer(bits=7, decay=0.5),
    quantizers.SymmetricQuantizer(),
    quantizers.SymmetricQuantizer(bits=4, channel_axis=(-2, -1)),
]
OF_TENSORS = [
    quantizers.LearnableThresholdQuantizer(3),
    quantizers.PACTQuantizer(4),
    quantizers.PACTQuantizer(4, gradient='paper'),
    quantizers.DoReFaInputQuantizer(4),
    quantizers.LSQQuantizer(3),
    quantizers.LSQInputQuantizer(3),
    quantizers.LSQPlusInputQuantizer(3),
    quantizers.RangeQuantizer(),
]
each = pytest.mark.parametrize('quantizer', QUANTIZERS, ids=repr)
each_of_tensors = pytest.mark.parametrize('quantizer', OF_TENSORS, ids=repr)


@each
def test_survives_its_config_as_json(quantizer):
    config = json.loads(json.dumps(quantizer.get_config()))
    again = type(quantizer).from_config(config)
    assert again == quantizer
    assert hash(again) == hash(quantizer)
    assert isinstance(quantizer, tfmot.quantization.keras.quantizers.Quantizer)


@each
def test_survives_keras_serialization_without_custom_objects(quantizer):
    for serialization in (keras.utils.legacy, keras.saving):
        data = serialization.serialize_keras_object(quantizer)
        assert serialization.deserialize_keras_object(json.loads(json.dumps(data))) == quantizer


@each
def test_differs_from_all_others(quantizer):
    assert [other == quantizer for other in QUANTIZERS].count(True) == 1
    assert quantizer != 'quantizer'


@each
def test_repr_is_the_call_that_makes_it(quantizer):
    assert eval(repr(quantizer), vars(quantizers)) == quantizer


@pytest.mark.parametrize('kind', sorted({type(q) for q in QUANTIZERS}, key=repr))
@pytest.mark.parametrize(('bits', 'error'), [(1, ValueError), (9, ValueError), (2.5, TypeError)])
def test_wrong_bits_are_named(kind, bits, error):
    with pytest.raises(error, match='bits: expected an integer from 2 to 8'):
        kind(bits=bits)


@each_of_tensors
@pytest.mark.parametrize('weights', [{}, None])
def test_missing_variable_is_named(quantizer, weights):
    name = next(iter(quantizer.build(None, 'tensor', keras.layers.Layer())))
    with pytest.raises(
        ValueError,
        match=f"weights: expected the entries .*'{name}'.* for {type(quantizer).__name__}, got",
    ):
        quantizer(tf.ones([2]), False, weights=weights)


@each_of_tensors
@pytest.mark.parametrize('policy', ['mixed_float16', 'mixed_bfloat16'])
def test_variables_are_float32_under_mixed_precision(quantizer, policy):
    layer = Owner(quantizer, dtype=policy)
    x = tf.random.normal([4, 3], dtype=layer.compute_dtype)
    assert layer(x, training=True).dtype == layer.compute_dtype
    assert {v.dtype for v in layer.variables} == {tf.float32}
    # Keras casts variables of such a layer when they are read in its call, but for these.
    assert all(not hasattr(v, '_cast_dtype') for v in layer.quantizer_weights.values())


@each_of_tensors
def test_variables_are_named_after_the_tensor(quantizer):
    layer = Owner(quantizer, name='owner')
    layer(tf.ones([2]))
    expected = {f'owner/tensor_{name}:0' for name in layer.quantizer_weights}
    assert {v.name for v in layer.variables} == expected


@pytest.mark.parametrize(
    'quantizer',
    [q for q in OF_TENSORS if not isinstance(q, quantizers.DoReFaInputQuantizer)],
    ids=repr,
)
def test_learns_in_a_model_of_unknown_batch_size(quantizer):
    inputs = keras.Input([5])
    model = keras.Model(inputs, keras.layers.Dense(1)(Owner(quantizer)(inputs)))
    model.compile('sgd', 'mse')
    learned = model.layers[1].trainable_variables or model.layers[1].variables
    before = [np.array(v) for v in learned]
    x = 3 * np.random.default_rng(0).standard_normal([10, 5])
    model.fit(x, x[:, :1], batch_size=4, epochs=2, verbose=0)
    after = [np.array(v) for v in learned]
    assert all(np.all(np.isfinite(a)) for a in after)
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize('axis', ['-1', 1.0, None, [1.5]])
@pytest.mark.parametrize(
    'kind', [quantizers.EntropyPreservingQuantizer, quantizers.SymmetricQuantizer]
)
def test_wrong_channel_axis_is_named(kind, axis):
    with pytest.raises(TypeError, match='channel_axis: expected an integer or a tuple'):
        kind(bits=4, channel_axis=axis)


@each_of_tensors
def test_the_output_is_whole_steps(quantizer):
    owner = Owner(quantizer)
    outputs = owner(tf.random.uniform([500], -1.0, 3.0), training=True).numpy()
    step = quantizer.step(owner.quantizer_weights)
    assert step.dtype == tf.float64
    levels = outputs / float(step)
    np.testing.assert_allclose(levels, np.rint(levels), atol=2e-3)
    assert np.ptp(levels) <= 2**quantizer.bits - 1 + 1e-3


@each_of_tensors
def test_the_step_can_be_read_inside_of_a_function(quantizer):
    owner = Owner(quantizer)
    owner(tf.ones([2]))
    traced = tf.function(lambda: quantizer.step(owner.quantizer_weights))
    assert float(traced()) == float(quantizer.step(owner.quantizer_weights))
