import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq._compat.tfmot import QuantizeAnnotate


def test_the_wrapper_is_the_one_of_tfmots_public_function():
    annotated = tfmot.quantization.keras.quantize_annotate_layer(keras.layers.Dense(1))
    assert type(annotated) is QuantizeAnnotate
