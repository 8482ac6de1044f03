"""SAT's scheme, and its layers against the published ones in training and inference."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.ops.references import assert_equal
from tests.ops.test_sat_reference import CASES, active, layout, settings
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import DoReFaQuantizer, PACTQuantizer

quantize_apply = tfmot.quantization.keras.quantize_apply


def published_layer(case):
    """The case's layer as the scheme makes it, with the case's weights."""
    kernel = layout(case, 'weight')
    if case['kind'] == 'linear':
        layer = keras.layers.Dense(kernel.shape[-1])
    else:
        layer = keras.layers.Conv2D(kernel.shape[-1], 3, padding='same', use_bias=False)
    config = tf_n2uq.SATQuantizeConfig(**settings(case))
    inputs, wrapper = Quantize(config.input_quantizer()), QuantizedKernel(layer, config)
    wrapper(inputs(layout(case, 'x')))
    inputs.quantizer_weights['clip_value'].assign([case['alpha'][active(case)]])
    bias = [case['bias']] if 'bias' in case else []
    layer.set_weights([kernel, *bias])
    return inputs, wrapper


@pytest.mark.parametrize('case', CASES, ids=range(len(CASES)))
def test_a_layer_equals_the_published_one(case):
    inputs, wrapper = published_layer(case)
    x, dy = (tf.constant(layout(case, name)) for name in ('x', 'dy'))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = wrapper(inputs(x, training=True), training=True)
    variables = [inputs.quantizer_weights['clip_value'], *wrapper.layer.trainable_weights]
    dx, d_clip, d_kernel, *d_bias = tape.gradient(y, [x, *variables], dy)
    assert_equal(y, layout(case, 'y'))
    assert_equal(dx, layout(case, 'dx'))
    assert_equal(d_clip, case['dalpha'][[active(case)]])
    assert_equal(d_kernel, layout(case, 'dweight'))
    for gradient in d_bias:
        assert_equal(gradient, case['dbias'])
    predicted = wrapper(inputs(x, training=False), training=False)
    assert_equal(predicted, layout(case, 'y_inference'))


def test_the_scheme_hands_its_levels_and_rescaling_to_the_kernels():
    scheme = tf_n2uq.SATScheme(3, levels='centered_symmetric', rescale='constant', weight_bits=2)
    config = scheme.default_config()
    expected = DoReFaQuantizer(2, 'centered_symmetric', 'constant', -1)
    assert config.kernel_quantizer(-1) == expected
    assert config.input_quantizer() == PACTQuantizer(3, 'calibrated')
    default = tf_n2uq.SATQuantizeConfig(3).kernel_quantizer(-1)
    assert default == DoReFaQuantizer(3, 'modified', 'stddev', -1)


@pytest.mark.parametrize(
    'make',
    [
        lambda: tf_n2uq.SATScheme(2),
        lambda: tf_n2uq.SATScheme(4, weight_bits=2),
        lambda: tf_n2uq.SATScheme(4, layers={'inner': 2, 'other': 2}),
        lambda: tf_n2uq.AdaBitsScheme((8, 4, 2), method='sat'),
        lambda: tf_n2uq.AdaBitsScheme((8, 4), layers={'inner': 2}),
        lambda: tf_n2uq.AdaBitsScheme((8, 2), layers={'inner': 2}),
    ],
)
def test_modified_levels_of_two_bits_are_warned_of_once(make, caplog):
    make().default_config()
    (message,) = caplog.messages
    assert "'modified' levels of 2 bits" in message
    assert "levels='centered_symmetric'" in message


@pytest.mark.parametrize(
    'make',
    [
        lambda: tf_n2uq.SATScheme(2, levels='centered_symmetric'),
        lambda: tf_n2uq.SATScheme(3, activation_bits=2),
        lambda: tf_n2uq.SATScheme(4, layers={'inner': None}),
        lambda: tf_n2uq.AdaBitsScheme((8, 2), levels='centered_symmetric'),
        lambda: tf_n2uq.AdaBitsScheme((8, 4)),
        lambda: tf_n2uq.AdaBitsScheme((8, 2), method='lsq'),
    ],
)
def test_other_levels_and_bits_are_not_warned_of(make, caplog):
    make().default_config()
    assert not caplog.messages


@pytest.mark.parametrize('kind', [tf_n2uq.SATScheme, tf_n2uq.SATQuantizeConfig])
def test_unknown_levels_and_rescaling_are_errors_that_name_the_known_ones(kind):
    known = "'original', 'modified', 'centered_symmetric' for kernels"
    for levels in ('centered', 'centered_asymmetric'):
        with pytest.raises(ValueError, match=f"levels: expected one of {known}, got '{levels}'"):
            kind(2, levels=levels)
    with pytest.raises(ValueError, match="rescale: expected None or one of 'constant', 'stddev'"):
        kind(2, rescale='other')


def test_a_last_layer_in_float_tensors_converts_as_it_predicts():
    image = keras.Input([12])
    x = keras.layers.Dense(16, activation='relu')(image)
    x = keras.layers.Dense(16, activation='relu')(x)
    model = keras.Model(image, keras.layers.Dense(3, name='last')(x))
    scheme = tf_n2uq.SATScheme(4, tensor_bits=None, layers={'last': 4})
    quantized = quantize_apply(tf_n2uq.annotate(model), scheme=scheme)
    data = np.random.default_rng(0).normal(size=[64, 12]).astype(np.float32)
    tf_n2uq.calibrate(quantized, data, verbose=0)
    assert float(quantized.get_layer('last').bias_divisor()) < 0.9
    content = tf_n2uq.tflite.convert(quantized, representative_dataset=data)
    predicted, expected = tf_n2uq.tflite.predict(content, data), quantized.predict(data, verbose=0)
    # Float tensors have been rounded to 8 bits on the way, so that some levels are others.
    assert np.corrcoef(predicted.ravel(), expected.ravel())[0, 1] > 0.99
    factor = np.sum(predicted * expected) / np.sum(np.square(expected))
    assert factor == pytest.approx(1, abs=0.03)
