import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize

layers = keras.layers


def _chain(shape, *inner):
    first = layers.Conv1D if len(shape) == 2 else layers.Conv2D
    last = [layers.Flatten(), layers.Dense(3)]
    body = [first(8, 3, padding='same'), layers.ReLU(), *inner, *last]
    return keras.Sequential([keras.Input(shape), *body])


NETWORKS = {
    'series': lambda: _chain((16, 3), layers.Conv1D(8, 3), layers.ReLU()),
    'nearest': lambda: _chain((6, 6, 3), layers.UpSampling2D(2)),
    'bilinear': lambda: _chain((6, 6, 3), layers.UpSampling2D(2, interpolation='bilinear')),
    'permuted': lambda: _chain((6, 4, 3), layers.Permute((2, 1, 3)), layers.Conv2D(4, 3)),
    'normalized': lambda: _chain((6, 6, 3), layers.LayerNormalization(), layers.Conv2D(4, 3)),
    'groups': lambda: _chain((6, 6, 3), layers.GroupNormalization(2), layers.Conv2D(4, 3)),
    'transposed': lambda: _chain(
        (6, 6, 3), layers.Conv2DTranspose(4, 3, strides=2, padding='same')
    ),
    'reshaped': lambda: _chain((8, 8, 3), layers.Reshape((16, 32)), layers.Conv1D(4, 3)),
    'cropped': lambda: _chain((8, 8, 3), layers.Cropping2D(1), layers.Conv2D(4, 3)),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_an_input_may_be_resized_to_a_batch(name):
    model = quantize(NETWORKS[name]())
    shape = model.input_shape[1:]
    images = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model)
    interpreter = tf.lite.Interpreter(model_content=content)
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given['index'], [4, *shape])
    interpreter.allocate_tensors()
    interpreter.set_tensor(given['index'], images)
    interpreter.invoke()
    expected = tf_n2uq.tflite.predict(content, images)
    np.testing.assert_array_equal(interpreter.get_tensor(result['index']), expected)
