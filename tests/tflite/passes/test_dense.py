import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant, kernels, operators, run
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.dense import connect_fully
from tf_n2uq.tflite.running.interpreter import make_interpreter, xnnpack_delegation

FEATURES, UNITS = 12, 6


def pixel_convolution(x, features=FEATURES):
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.01, 0.05, UNITS).astype(np.float32)
    kernel = rng.choice([-3.0, -1.0, 1.0, 3.0], (1, 1, features, UNITS)).astype(np.float32)
    x = tf.reshape(x, [1, 1, 1, features])
    x = tf.nn.conv2d(x, kernel_fake_quant(kernel * scale, scale), 1, 'VALID')
    return x + rng.normal(size=UNITS).astype(np.float32)


def dense(x):
    return fake_quant(tf.reshape(pixel_convolution(fake_quant(x, 0.02)), [1, UNITS]), 0.02)


def rectified(x):
    return fake_quant(
        tf.nn.relu(tf.reshape(pixel_convolution(fake_quant(x, 0.02)), [1, UNITS])), 0.02, -128
    )


def flattened(x):
    x = pixel_convolution(fake_quant(x, 0.02))
    return fake_quant(tf.reshape(x, [1, UNITS]), 0.02)


def connected(content):
    return flatbuffer.write(connect_fully(flatbuffer.read(content)))


@pytest.mark.parametrize(
    ('function', 'shape', 'names'),
    [
        (dense, [1, FEATURES], ['FULLY_CONNECTED']),
        (rectified, [1, FEATURES], ['FULLY_CONNECTED']),
        (flattened, [1, 2, 2, 3], ['RESHAPE', 'FULLY_CONNECTED']),
    ],
)
def test_a_convolution_of_one_pixel_becomes_dense_with_the_same_results(function, shape, names):
    before = convert(function, shape)
    after = connected(before)
    assert operators(after) == names
    rng = np.random.default_rng(1)
    for _ in range(5):
        x = rng.integers(-128, 128, shape, np.int8)
        expected = run(before, x)
        np.testing.assert_array_equal(run(after, x), expected)
        np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)
    delegation = xnnpack_delegation(after)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)


@pytest.mark.parametrize(('function', 'shape'), [(dense, [1, FEATURES]), (flattened, [1, 2, 2, 3])])
def test_dense_layers_take_any_batch(function, shape):
    content = connected(convert(function, shape))
    interpreter = make_interpreter(content, 1)
    x = np.random.default_rng(1).integers(-128, 128, (4, *shape[1:]), np.int8)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]['index'], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
    np.testing.assert_array_equal(outputs, np.concatenate([run(content, one[None]) for one in x]))


def test_kernel_integers_stay_on_their_grid():
    content = connected(convert(dense, [1, FEATURES]))
    kind, kernel = kernels(content)[0]
    assert kind == 'INT8'
    assert kernel.shape == (UNITS, FEATURES)
    assert set(np.unique(kernel)) == {-3, -1, 1, 3}


def test_a_convolution_whose_pixel_is_an_output_stays():
    def pixel(x):
        return fake_quant(pixel_convolution(fake_quant(x, 0.02)), 0.02)

    assert 'CONV_2D' in operators(connected(convert(pixel, [1, FEATURES])))


def test_a_convolution_of_many_pixels_stays():
    def image(x):
        kernel = np.ones((1, 1, 3, 2), np.float32)
        x = tf.nn.conv2d(fake_quant(x, 0.02), kernel_fake_quant(kernel, kernel[0, 0, 0]), 1, 'SAME')
        return fake_quant(tf.reshape(fake_quant(x, 0.5), [1, 32]), 0.5)

    assert operators(connected(convert(image, [1, 4, 4, 3]))) == ['CONV_2D', 'RESHAPE']


def test_a_reshape_that_others_read_stays():
    def shared(x):
        x = fake_quant(tf.reshape(fake_quant(x, 0.02), [1, 1, 1, FEATURES]), 0.02)
        scale = np.full(FEATURES, 0.03, np.float32)
        kernel = np.ones((1, 1, FEATURES, FEATURES), np.float32) * scale
        y = fake_quant(tf.nn.conv2d(x, kernel_fake_quant(kernel, scale), 1, 'SAME'), 0.05)
        y = fake_quant(tf.reshape(y, [1, FEATURES]), 0.05)
        return fake_quant(y + tf.reshape(fake_quant(tf.nn.relu(x), 0.02), [1, FEATURES]), 0.05)

    before = convert(shared, [1, FEATURES])
    after = connected(before)
    x = np.random.default_rng(1).integers(-128, 128, (1, FEATURES), np.int8)
    np.testing.assert_array_equal(run(after, x), run(before, x))
    assert 'FULLY_CONNECTED' in operators(after)
