import numpy as np
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant
from tf_n2uq.tflite.running._delegation import count

UNITS = np.full(4, 1 / 127, np.float32)


def convolved(x):
    kernel = np.eye(4, dtype=np.float32).reshape(1, 1, 4, 4)
    return fake_quant(tf.nn.conv2d(x, kernel_fake_quant(kernel, UNITS), 1, 'SAME'), 0.05)


def test_operators_are_counted_by_the_side_of_the_partition_that_they_are_on():
    def function(x):
        x = convolved(convolved(fake_quant(x, 0.05)))
        x = fake_quant(tf.nn.softmax(x), 1 / 256, -128)
        return convolved(x)

    found = count(convert(function, [1, 3, 3, 4]))
    # XNNPACK computes no SOFTMAX of int8, which splits the network.
    assert found == {'partitions': 2, 'inside': [0, 1, 3], 'operators': 4}


def test_a_file_without_an_operator_of_xnnpack_has_no_partition():
    content = convert(lambda x: tf.math.floormod(x, 2.0), [1, 4], tf.float32)
    found = count(content)
    assert found['partitions'] == 0
    assert found['inside'] == []
    assert found['operators'] >= 1
