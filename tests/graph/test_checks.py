import keras as keras3
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tests.networks import quantize
from tf_n2uq.graph.checks import check_model, check_quantized_model, layers_inside

layers = keras.layers


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def dense():
    return keras.Sequential([layers.Dense(3, input_shape=(4,)), layers.Dense(2)], name='dense')


def test_built_sequential_and_functional_models_pass():
    inputs = keras.Input((4,))
    for model in (dense(), keras.Model(inputs, layers.Dense(2)(inputs))):
        check_model(model)
    unbuilt = keras.Sequential([layers.Dense(3)])
    unbuilt.build((None, 4))
    check_model(unbuilt)


@pytest.mark.parametrize('given', ['model.h5', None, layers.Dense(2)])
def test_other_objects_are_told_what_was_expected(given):
    with pytest.raises(TypeError, match='teacher: expected a tf_keras model, got .* of type'):
        check_model(given, 'teacher')


def test_a_keras_3_model_is_told_how_to_become_one_of_keras_2():
    model = keras3.Sequential([keras3.Input((4,)), keras3.layers.Dense(2)], name='modern')
    with pytest.raises(
        TypeError, match="'modern' of Keras 3.*tf_n2uq.from_keras3.*import tf_keras"
    ):
        check_model(model)


def test_subclassed_and_unbuilt_models_are_refused():
    with pytest.raises(ValueError, match='expected a Sequential or Functional.*Subclassed'):
        check_model(Subclassed())
    with pytest.raises(ValueError, match='expected a built model.*model.build'):
        check_model(keras.Sequential([layers.Dense(2)]))


def test_a_model_of_our_own_scheme_passes_as_quantized():
    check_quantized_model(quantize(dense(), bits=4))
    check_quantized_model(quantize(dense(), bits=4, tensor_bits=None, boundary_bits=8))


def test_a_float_model_is_told_how_it_is_quantized():
    with pytest.raises(ValueError, match="got the float model 'dense'.*quantize_apply"):
        check_quantized_model(dense())


def test_a_model_that_tfmot_has_quantized_is_not_called_a_float_model():
    model = tfmot.quantization.keras.quantize_model(dense())
    with pytest.raises(ValueError, match="which TFMOT's own scheme has quantized.*scheme="):
        check_quantized_model(model)


def test_a_model_around_a_quantized_one_passes_as_quantized():
    inner = quantize(keras.Sequential([keras.layers.Dense(3, input_shape=(4,))]))
    softmax = keras.layers.Softmax()
    around = keras.Sequential([inner, softmax])
    check_quantized_model(around)
    assert list(layers_inside(around)) == [*inner.layers, softmax]


def test_two_quantized_models_with_layers_of_one_name_are_refused():
    image = keras.Input((4,))
    models = [
        keras.Sequential([keras.layers.Dense(3, name='same', input_shape=(4,))], name=name)
        for name in ('a', 'b')
    ]
    outputs = [quantize(each)(image) for each in models]
    with pytest.raises(ValueError, match=r"different names .* 'same_input_range'"):
        check_quantized_model(keras.Model(image, outputs))
