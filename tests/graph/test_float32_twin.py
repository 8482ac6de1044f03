import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.networks import float_network, images_for
from tf_n2uq.graph.float32_twin import float32_twin, half_precision_of, in_float32

_layers = keras.layers


@pytest.fixture(autouse=True)
def _float32_policy_afterwards():
    yield
    keras.mixed_precision.set_global_policy('float32')


def half(make, policy='mixed_float16'):
    keras.mixed_precision.set_global_policy(policy)
    model = make()
    keras.mixed_precision.set_global_policy('float32')
    return model


def difference(one, other, inputs):
    return np.abs(one.predict(inputs, verbose=0) - other.predict(inputs, verbose=0)).max()


@pytest.mark.parametrize('policy', ['mixed_float16', 'mixed_bfloat16'])
@pytest.mark.parametrize('name', ['residual', 'shared', 'separable'])
def test_the_twin_computes_what_the_model_is_in_float32(name, policy):
    model = half(lambda: float_network(name), policy)
    expected = float_network(name)
    twin = in_float32(model)
    images = images_for(model, 8)
    np.testing.assert_array_equal(
        twin.predict(images, verbose=0), expected.predict(images, verbose=0)
    )
    assert difference(model, expected, images) > 0
    assert half_precision_of(model) == policy
    assert half_precision_of(twin) is None
    assert twin.output_names == model.output_names


def test_a_model_without_half_precision_is_its_own_twin(caplog):
    model = float_network('residual')
    assert float32_twin(model) is model
    assert not caplog.records


def test_constants_of_half_precision_and_layers_in_wrappers_come_along():
    def make():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4, 6))
        x = _layers.TimeDistributed(_layers.Dense(5))(inputs)
        x = _layers.Bidirectional(_layers.LSTM(3))(x)
        return keras.Model(inputs, tf.cast(x, x.dtype) * tf.constant(0.3, x.dtype))

    expected, model = make(), half(make)
    twin = in_float32(model)
    examples = np.random.default_rng(0).random((5, 4, 6), np.float32)
    assert difference(twin, expected, examples) < 1e-4
    assert twin.output.dtype == tf.float32


def test_layers_that_are_float32_on_purpose_stay_so():
    def make():
        inputs = keras.Input((4,))
        return keras.Model(inputs, _layers.Dense(3, dtype='float32', name='head')(inputs))

    model = half(make)
    assert float32_twin(model) is model


def test_the_twin_is_said_once(caplog):
    model = half(lambda: float_network('dense_only'))
    with caplog.at_level('WARNING', logger='absl'):
        float32_twin(model, 'reference')
    assert [record.levelname for record in caplog.records] == ['WARNING']
    assert 'reference: layers of' in caplog.text
    assert 'mixed_float16' in caplog.text
    assert 'float32' in caplog.text


def test_a_subclassed_model_cannot_be_copied_and_the_warning_says_so(caplog):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = _layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    model = half(Own)
    model(np.zeros((1, 4), np.float32))
    with caplog.at_level('WARNING', logger='absl'):
        assert float32_twin(model) is model
    assert 'subclassed' in caplog.text
