import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate
from tf_n2uq.layers import QuantizedKernel, SwitchableBatchNormalization
from tf_n2uq.schemes.adaptive.switching import (
    Sharing,
    absorb,
    active_bits,
    at_bits,
    bit_widths,
    check_bits_of,
    copy_into,
    extract,
    rewrapped,
    set_bits,
)

layers = keras.layers


def network():
    return keras.Sequential(
        [
            layers.Dense(6, input_shape=(4,), name='first'),
            layers.BatchNormalization(name='bn'),
            layers.ReLU(),
            layers.Dense(6, name='inner'),
            layers.ReLU(),
            layers.Dense(3, name='last'),
        ]
    )


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    scheme = tf_n2uq.AdaBitsScheme((8, 4, 2), method='lsq')
    return tfmot.quantization.keras.quantize_apply(annotate(network()), scheme=scheme)


IMAGES = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)


def test_bit_widths_are_those_of_the_scheme_and_the_highest_is_active(model):
    assert bit_widths(model) == (8, 4, 2)
    assert active_bits(model) == 8
    assert bit_widths(network()) == ()


@pytest.mark.parametrize(
    ('layers_of_one_width', 'method'), [({}, 'n2uq'), ({'inner': 4}, 'n2uq')], ids=str
)
def test_any_layer_that_switches_tells_the_bit_widths(layers_of_one_width, method):
    scheme = tf_n2uq.AdaBitsScheme((4, 2), method=method, layers=layers_of_one_width)
    model = tfmot.quantization.keras.quantize_apply(annotate(network()), scheme=scheme)
    assert bit_widths(model) == (4, 2)


def test_switching_reaches_every_layer(model):
    set_bits(model, 2)
    assert active_bits(model) == 2
    wrapper = model.get_layer('quant_inner')
    assert wrapper.quantize_config.active_bits == 2
    assert [quantizer.active_bits for _, quantizer, _ in wrapper.kernel_quantizers] == [2]
    assert len(np.unique(wrapper.quantized_kernels()['kernel'])) <= 4
    (normalization,) = (x for x in model.layers if isinstance(x, SwitchableBatchNormalization))
    assert normalization.active_bits == 2


def test_a_block_at_other_bits_ends_at_the_bits_before_also_after_an_error(model):
    set_bits(model, 4)
    with at_bits(model, 2):
        assert active_bits(model) == 2
    assert active_bits(model) == 4
    with pytest.raises(KeyError), at_bits(model, 8):
        raise KeyError
    assert active_bits(model) == 4


def test_an_extracted_model_computes_the_same_and_does_not_switch(model):
    set_bits(model, 2)
    expected = model(IMAGES).numpy()
    set_bits(model, 8)
    single = extract(model, 2)
    np.testing.assert_allclose(single(IMAGES), expected, rtol=1e-5, atol=1e-6)
    assert bit_widths(single) == ()
    assert active_bits(model) == 8
    assert isinstance(single.get_layer('bn'), layers.BatchNormalization)


def test_at_eight_bits_readers_name_the_quantizer_in_front_of_one_that_is_gone():
    scheme = tf_n2uq.AdaBitsScheme((8, 4, 2), method='n2uq')
    model = tfmot.quantization.keras.quantize_apply(annotate(network()), scheme=scheme)
    names = {layer.name for layer in extract(model, 8).layers}
    for layer in extract(model, 8).layers:
        source = getattr(layer, 'input_quantizer', None)
        assert source is None or source in names
    assert 'inner_thresholds' not in names
    assert 'inner_thresholds' in {layer.name for layer in extract(model, 4).layers}


def changed(model, bits):
    """An extracted model, every variable of which is 1 more."""
    single = extract(model, bits)
    for variable in single.weights:
        if variable.dtype.is_floating:
            variable.assign(variable + 1.0)
    return single


def values(model):
    return {variable.name: variable.numpy() for variable in model.weights}


def test_absorbing_takes_the_variables_of_one_bit_width_alone(model):
    before, others = values(model), [values(extract(model, bits)) for bits in (8, 4)]
    absorb(model, changed(model, 2), 2)
    after = values(model)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert any('moving_mean' in name for name in moved)
    assert not any(name.endswith(('/kernel:0', '/bias:0')) for name in moved)
    for bits, old in zip((8, 4), others, strict=True):
        for name, value in values(extract(model, bits)).items():
            np.testing.assert_array_equal(value, old[name], err_msg=name)


def test_absorbing_weights_takes_kernels_and_biases(model):
    before = values(model)
    absorb(model, changed(model, 2), 2, Sharing.WEIGHT)
    after = values(model)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {name for name in before if name.endswith(('/kernel:0', '/bias:0'))}


def test_copying_takes_everything(model):
    single = changed(model, 2)
    copy_into(model, single, 2)
    got = values(extract(model, 2))
    for name, value in values(single).items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_a_rewrapped_layer_has_the_same_work(model):
    wrapper = model.get_layer('quant_inner')
    config = wrapper.quantize_config.configs[4]
    new = rewrapped(wrapper, layers.Dense(6, name='inner'), config)
    assert isinstance(new, QuantizedKernel)
    assert (new.name, new.use().role, new.integer_bias) == (wrapper.name, wrapper.use().role, True)
    assert (new.quantize_config, new.deployment) == (config, wrapper.deployment)


@pytest.mark.parametrize('bits', [3, True, '4', None])
def test_a_wrong_bit_width_is_told_those_that_there_are(model, bits):
    with pytest.raises(ValueError, match=f'bits: expected .* which are 8, 4, 2; got {bits!r}'):
        check_bits_of(model, bits)
