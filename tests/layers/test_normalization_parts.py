import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.layers import BorderScale, ChannelAffine, ChannelMean, InverseDeviation, Quantize
from tf_n2uq.quantizers import RangeQuantizer


@pytest.mark.parametrize('shape', [(8,), (4, 8), (3, 4, 8)])
def test_the_parts_together_are_a_layer_normalization(shape):
    inputs = keras.Input(shape)
    mean = ChannelMean()(inputs)
    centered = keras.layers.Subtract()([inputs, mean])
    variance = ChannelMean()(keras.layers.Multiply()([centered, centered]))
    normalized = keras.layers.Multiply()([centered, InverseDeviation(1e-3)(variance)])
    model = keras.Model(inputs, ChannelAffine()(normalized))
    x = np.random.default_rng(0).normal(2.0, 3.0, (4, *shape)).astype(np.float32)
    expected = keras.layers.LayerNormalization(epsilon=1e-3)
    np.testing.assert_allclose(model(x), expected(x), atol=1e-5)


def test_a_variance_of_zero_counts_as_half_a_step_of_its_range():
    inputs = keras.Input((1, 1, 1))
    model = keras.Model(inputs, InverseDeviation(0.0)(Quantize(RangeQuantizer())(inputs)))
    model.set_weights([0.0, 255.0])
    values = np.asarray([0.0, 1.0, 4.0], np.float32).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(model(values).numpy().ravel(), [2**0.5, 1.0, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    'layer', [ChannelMean(), ChannelAffine(), InverseDeviation(0.5), BorderScale([1, 2], [1, 3])]
)
@pytest.mark.parametrize('extension', ['.keras', '.h5'])
def test_they_are_loaded_without_a_scope(layer, extension, tmp_path):
    inputs = keras.Input((2, 2, 3))
    model = keras.Model(inputs, type(layer).from_config(layer.get_config())(inputs))
    model.set_weights([weight + 0.5 for weight in model.get_weights()])
    model.save(tmp_path / f'model{extension}')
    copy = keras.models.load_model(tmp_path / f'model{extension}')
    x = np.random.default_rng(0).uniform(0.5, 2.0, (2, 2, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(copy(x), model(x))
    assert copy.output_shape == model.output_shape
