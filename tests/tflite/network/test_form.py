import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.tflite.integer_calls import RESULT, integer_call, numbers, run_form
from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.tflite.network.form import AsInKeras, FunctionForm, IntegerCall


def test_a_layer_as_in_keras_has_no_kernels():
    call = integer_call(keras.layers.Flatten(), (1, 2, 3, 4))
    assert AsInKeras().kernels(call) == {}


def test_tensors_stand_where_the_call_of_the_layer_had_them():
    a, b = numbers((1, 4, 3)), numbers((1, 4, 3), seed=1)
    call = integer_call(keras.layers.Subtract(), (1, 4, 3), (1, 4, 3))
    np.testing.assert_array_equal(run_form(AsInKeras(), call, a, b), a - b)


def test_the_training_argument_of_a_call_is_left_out():
    dropout = keras.layers.Dropout(0.9)
    step = Step('dropout', dropout, (Ref('image'),), {'training': True})
    call = IntegerCall(step, [(1, 100)], (1, 100), [], None)
    x = numbers((1, 100))
    np.testing.assert_array_equal(AsInKeras().run(call, [x], {}), x)


def test_a_layer_that_is_random_by_default_runs_as_at_inference():
    x = numbers((1, 4, 4, 3))
    call = integer_call(keras.layers.RandomContrast(0.9), (1, 4, 4, 3))
    np.testing.assert_array_equal(run_form(AsInKeras(), call, x), x)


def test_a_function_form_computes_from_the_layer_and_its_input():
    x = numbers((1, 4))
    call = integer_call(keras.layers.Rescaling(3.0), (1, 4))
    form = FunctionForm(lambda layer, inputs: inputs * layer.scale)
    assert form.kernels(call) == {}
    np.testing.assert_array_equal(form.run(call, [x], {}), 3.0 * np.asarray(x))


def test_a_reshape_takes_the_batch_size_of_the_file():
    image = keras.Input((2, 3), batch_size=7)
    reshape = keras.layers.Reshape((3, 2))
    reshape(image)
    x = numbers((1, 2, 3))
    result = run_form(AsInKeras(), integer_call(reshape, (1, 2, 3)), x)
    np.testing.assert_array_equal(result, tf.reshape(x, (1, 3, 2)))


def test_a_call_tells_its_layer_its_channels_and_its_range():
    layer = keras.layers.ReLU()
    call = integer_call(layer, (1, 4, 4, 6))
    assert call.layer is layer
    assert call.channels == 6
    assert call.written() == RESULT


def test_a_missing_range_is_named_by_its_layer():
    call = integer_call(keras.layers.ReLU(name='bare'), (1, 4), result=None)
    with pytest.raises(ValueError, match=r"range behind 'bare'.*tensor_bits=8"):
        call.written()
