import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import DeclaredOutput, expects_training, rename
from tf_n2uq._compat.keras_models import layers_in_front


@keras.saving.register_keras_serializable(package='tests')
class Scaled(DeclaredOutput, keras.layers.Layer):
    """Counts how often Keras calls it and connects it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls, self.in_front = 0, []

    def build(self, input_shape):
        self.scale = self.add_weight('scale', [input_shape[-1]], initializer='ones')
        super().build(input_shape)

    def call(self, inputs):
        self.calls += 1
        return tf.cast(inputs * self.scale, tf.float16)

    def compute_output_signature(self, input_signature):
        return tf.TensorSpec(input_signature.shape, tf.float16)

    def connected(self, inputs, kwargs):
        self.in_front.append([layer.name for layer in layers_in_front(inputs)])


def test_a_layer_is_connected_without_tracing_its_call():
    layer = Scaled()
    output = layer(keras.Input([None, 3]))
    assert layer.calls == 0
    assert layer.built
    assert (tuple(output.shape), output.dtype) == ((None, None, 3), tf.float16)
    assert layer.scale.name == 'scaled/scale:0'


def test_by_default_a_result_has_the_shape_that_the_layer_computes_and_its_own_type():
    class Halved(DeclaredOutput, keras.layers.Layer):
        def compute_output_shape(self, input_shape):
            return tf.TensorShape([input_shape[0], input_shape[1] // 2])

    output = Halved(dtype='float16')(keras.Input([6]))
    assert (tuple(output.shape), output.dtype) == ((None, 3), tf.float16)


def test_the_hook_is_called_for_every_symbolic_call_and_no_other():
    layer = Scaled()
    image = keras.Input([3], name='image')
    model = keras.Model(image, layer(keras.layers.ReLU(name='before')(image)))
    model(np.ones([2, 3], np.float32))
    model.predict(np.ones([2, 3], np.float32), verbose=0)
    assert layer.in_front == [['before', 'image']]
    layer(image)
    assert layer.in_front == [['before', 'image'], ['image']]


def test_the_hook_is_called_in_a_copy_and_in_a_sequential_model_that_is_built_late():
    model = keras.Sequential([keras.layers.ReLU(name='before'), Scaled()])
    model(np.ones([2, 3], np.float32))
    copied = keras.models.clone_model(model)
    for each in (model, copied):
        (connections,) = each.layers[-1].in_front
        assert connections[0] == 'before'


@pytest.mark.parametrize('suffix', ['.keras', '.h5', ''])
def test_a_model_with_it_is_saved_in_every_format(tmp_path, suffix):
    model = keras.Sequential([keras.Input([3]), Scaled()])
    model.layers[0].scale.assign([1.0, 2.0, 4.0])
    model.save(tmp_path / f'model{suffix}')
    loaded = keras.models.load_model(tmp_path / f'model{suffix}', compile=False)
    np.testing.assert_array_equal(loaded(np.ones([1, 3], np.float32)), [[1.0, 2.0, 4.0]])


def test_a_layer_gets_another_name():
    layer = keras.layers.Dense(1, name='old')
    rename(layer, 'new')
    layer(keras.Input([2]))
    assert layer.name == 'new'
    assert layer.kernel.name == 'new/kernel:0'


def test_a_layer_tells_whether_it_takes_training():
    assert expects_training(keras.layers.Dropout(0.5))
    assert not expects_training(keras.layers.Dense(1))
