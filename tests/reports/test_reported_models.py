"""Kinds of models, and ways to train and keep them, that public reports could not use."""

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.reports.journey import check_file, quantized, random_images

layers = keras.layers


def _features():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name='features',
    )


def test_a_model_inside_a_model():
    """'Quantizing a tf.keras Model inside another tf.keras Model is not supported' (#957).

    Expected (tensorflow#57034 too): the layers of both are quantized.
    """
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(_features()(image))
    images = random_images(8, 8, 3)
    model = quantized(keras.Model(image, layers.Dense(3)(x)), images)
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]
    check_file(model, images)


def test_a_quantized_base_and_a_quantized_head_in_one_model():
    """Transfer learning put a quantized head behind a quantized base (#377).

    Expected: a model of the two converts.
    """
    images = random_images(8, 8, 3)
    base = quantized(_features(), images)
    shape = base.output_shape[1:]
    head = keras.Sequential([keras.Input(shape), layers.GlobalAveragePooling2D(), layers.Dense(2)])
    head = quantized(head, np.asarray(base(images)))
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, head(base(image)))
    check_file(model, images)


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(4, 3)

    def call(self, inputs):
        return tf.nn.relu(self.convolution(inputs))


def test_a_subclassed_model_is_told_the_way_out():
    """Subclassed models have no graph to rewrite (tensorflow#40699, #812).

    Expected: a sentence that says what to give in their place.
    """
    model = _Subclassed()
    model(random_images(8, 8, 3))
    with pytest.raises(ValueError, match=r'Sequential or Functional') as raised:
        tf_n2uq.annotate(model)
    assert '\n' not in str(raised.value)


def test_a_model_of_keras_3():
    """A layer of tf.keras is none of tf_keras since TensorFlow 2.16 (#1140, #1180, #1181).

    'You passed an instance of type: Dense.' Expected: the model is taken as it is.
    """
    model = keras3.Sequential(
        [
            keras3.Input((20,)),
            keras3.layers.Dense(20, activation='relu'),
            keras3.layers.Dense(20, activation='relu'),
            keras3.layers.Dense(3),
        ]
    )
    images = random_images(20)
    check_file(quantized(model, images), images)


def test_only_some_layers_are_quantized():
    """Some layers were annotated, and the converter stopped at DEQUANTIZE (tensorflow#45328).

    Expected: the others become 8-bit layers, with ranges from the data.
    """
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation='relu', name='first'),
            layers.Conv2D(4, 3, activation='relu', name='second'),
            layers.Conv2D(4, 3, name='third'),
        ]
    )

    def annotated(layer):
        if layer.name != 'second':
            return layer
        return tfmot.quantization.keras.quantize_annotate_layer(layer)

    clone = keras.models.clone_model(model, clone_function=annotated)
    scheme = tf_n2uq.N2UQScheme(bits=2, boundary_bits=None)
    network = tfmot.quantization.keras.quantize_apply(clone, scheme=scheme)
    images = random_images(8, 8, 3)
    tf_n2uq.calibrate(network, images, verbose=0)
    content = tf_n2uq.tflite.convert(network, representative_dataset=images)
    assert tf_n2uq.tflite.inspect(content).integer_only


@pytest.mark.parametrize('end', ['.keras', '.h5', ''])
def test_a_trained_model_is_saved_and_loaded_without_a_scope(tmp_path, end):
    """Saved quantized models did not load, or were not saved at all (#292, keras#16152).

    Expected: every format of Keras, also with Conv2DTranspose, gives the same predictions.
    """
    image = keras.Input((4, 4, 3))
    x = layers.Conv2DTranspose(4, 3, strides=2, activation='relu')(image)
    images = random_images(4, 4, 3)
    model = quantized(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))), images)
    model.compile('adam', 'mse')
    model.fit(images, np.zeros((8, 2)), verbose=0)
    model.save(tmp_path / f'model{end}')
    loaded = keras.models.load_model(tmp_path / f'model{end}')
    np.testing.assert_array_equal(loaded(images), model(images))
