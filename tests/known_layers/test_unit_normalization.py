import numpy as np
import pytest
import tf_keras as keras

from tests.known_layers.taken_apart import as_file, in_float
from tf_n2uq.layers.layer_spec import refusal_of

UnitNormalization = keras.layers.UnitNormalization


@pytest.mark.parametrize('shape', [(8,), (4, 5, 8)])
def test_the_parts_compute_what_the_layer_does(shape):
    expected, got = in_float(UnitNormalization(), shape)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_the_file_computes_what_keras_does():
    exact, in_keras, in_file = as_file(lambda x: UnitNormalization()(x), (8, 8, 3))
    assert np.max(np.abs(in_file - in_keras)) < 1.01
    assert np.mean(np.abs(in_file - in_keras) > 0.5) < 0.01
    assert np.corrcoef(in_keras.ravel(), exact.ravel())[0, 1] > 0.995


def test_other_axes_are_refused():
    assert 'normalizes axis 1; expected the last' in refusal_of(
        UnitNormalization(1), (None, 4, 5, 8)
    )
