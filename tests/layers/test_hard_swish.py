import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import HardSigmoid, HardSwish

_VALUES = np.array([-5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0], np.float32)


def test_hard_sigmoid_rises_from_minus_three_to_three():
    expected = [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    np.testing.assert_allclose(HardSigmoid()(_VALUES), expected, rtol=1e-6)


def test_hard_swish_is_its_input_times_hard_sigmoid():
    expected = _VALUES * HardSigmoid()(_VALUES)
    np.testing.assert_array_equal(HardSwish()(_VALUES), expected)
    # As Keras' MobileNetV3 computes it.
    inner = keras.layers.ReLU(6.0)(_VALUES + 3.0) * (1.0 / 6.0)
    np.testing.assert_array_equal(HardSwish()(_VALUES), _VALUES * inner)


@pytest.mark.parametrize('kind', [HardSigmoid, HardSwish])
def test_it_passes_masks_shapes_and_types_on(kind):
    layer = kind(dtype='float16')
    assert layer.supports_masking
    assert layer.compute_output_shape((None, 4, 3)) == (None, 4, 3)
    assert layer(tf.ones((2, 3))).dtype == tf.float16


@pytest.mark.parametrize('ending', ['keras', 'h5'])
def test_it_is_saved_without_a_scope(tmp_path, ending):
    model = keras.Sequential([keras.Input((7,)), HardSigmoid(), HardSwish(name='own')])
    model.save(tmp_path / f'model.{ending}')
    loaded = keras.models.load_model(tmp_path / f'model.{ending}')
    assert [type(layer) for layer in loaded.layers] == [HardSigmoid, HardSwish]
    assert loaded.layers[1].name == 'own'
    np.testing.assert_array_equal(loaded(_VALUES[None]), model(_VALUES[None]))
