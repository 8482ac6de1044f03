import numpy as np
import pytest
import tensorflow as tf

import tf_n2uq
from tests.networks import quantized_network
from tf_n2uq._compat.tflite_converter import ConverterError, modify_model_io_type


def test_a_file_gets_ends_of_another_type():
    content = tf_n2uq.tflite.convert(quantized_network('dense_only'))
    changed = bytes(modify_model_io_type(content, tf.int8, tf.uint8))
    interpreter = tf_n2uq.tflite.make_interpreter(changed)
    assert interpreter.get_input_details()[0]['dtype'] == np.int8
    assert interpreter.get_output_details()[0]['dtype'] == np.uint8


def test_the_converter_raises_this_error():
    function = tf.function(lambda x: tf.raw_ops.ResizeBicubic(images=x, size=[4, 4]))
    concrete = function.get_concrete_function(tf.TensorSpec([1, 2, 2, 1]))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    with pytest.raises(ConverterError, match="'tf.ResizeBicubic' op is neither"):
        converter.convert()
