"""Layers that public reports about quantization-aware training could not use."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.reports.journey import check_file, quantized, random_images

layers = keras.layers


def test_slices_of_the_output_as_outputs():
    """A segmentation network returns slices of its channels (tensorflow/model-optimization#1139).

    Quantization stopped at `tf.__operators__.getitem`. Expected: an output for each slice.
    """
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding='same', activation='relu')(image)
    x = layers.Conv2D(6, 1)(x)
    outputs = [x[:, :, :, :2], x[:, :, :, 2:4], x[:, :, :, 4:]]
    images = random_images(8, 8, 3)
    check_file(quantized(keras.Model(image, outputs), images), images)


def test_up_sampling_and_transposed_convolutions():
    """UpSampling2D, Conv2DTranspose and Subtract were unsupported (#602, #372).

    Expected: integer operators for all of them.
    """
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding='same', activation='relu')(image)
    up = layers.UpSampling2D(2)(x)
    transposed = layers.Conv2DTranspose(8, 3, strides=2, padding='same', activation='relu')(x)
    x = layers.Subtract()([up, transposed])
    x = layers.Conv2D(2, 1)(layers.ReLU()(x))
    images = random_images(6, 6, 3)
    content = check_file(quantized(keras.Model(image, x), images), images)
    assert tf_n2uq.tflite.inspect(content).integer_only


def test_a_transposed_convolution_with_a_batch_normalization():
    """Conv2DTranspose → BatchNormalization → activation was no known pattern (tensorflow#43939).

    Expected: integer operators, one of which computes normalization and activation together.
    """
    image = keras.Input((5, 5, 4))
    x = layers.Conv2DTranspose(8, 3, strides=2, use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(image, layers.Conv2D(3, 3)(x))
    _move_statistics(model)
    images = random_images(5, 5, 4)
    report = tf_n2uq.tflite.inspect(check_file(quantized(model, images), images))
    assert report.integer_only
    assert dict(report.operators)['DEPTHWISE_CONV_2D'] == 1


def test_a_chain_of_transposed_convolutions_gives_what_keras_gives():
    """An image codec's file was wrong where Conv2DTranspose was quantized (#771).

    The mean squared error went from 1.7 to 4377. Expected: that of Keras.
    """
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 4, strides=2, padding='same'),
            layers.Conv2D(12, 4, strides=2, padding='same'),
            layers.Conv2DTranspose(8, 4, strides=2, padding='same'),
            layers.Conv2DTranspose(3, 4, strides=2, padding='same'),
        ]
    )
    images = random_images(16, 16, 3)
    network = quantized(model, images, bits=4)
    content = check_file(network, images)
    errors = [
        np.square(output - images).mean()
        for output in (network(images), tf_n2uq.tflite.predict(content, images))
    ]
    assert errors[1] == pytest.approx(errors[0], rel=0.01)


def test_a_hard_swish_that_is_written_with_functions():
    """MobileNetV3's hard swish is TFOpLambdas (#1145): 'list' object has no attribute 'dtype'.

    Expected: `x * relu6(x + 3) / 6` is the layer that it stands for.
    """
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3)(image))
    x = x * layers.ReLU(6.0)(x + 3.0) * (1 / 6)
    images = random_images(8, 8, 3)
    model = quantized(keras.Model(image, layers.Conv2D(4, 3)(x)), images)
    content = check_file(model, images)
    assert tf_n2uq.tflite.inspect(content).integer_only


def test_a_sigmoid_in_a_dense_layer():
    """Boxes are regressed by Dense(4, activation='sigmoid') (tensorflow#48925).

    'Only some Keras activations are supported.' Expected: a sigmoid in the file.
    """
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3, strides=2, activation='relu')(image))
    x = layers.Dense(16, activation='relu')(x)
    images = random_images(8, 8, 3)
    model = keras.Model(image, layers.Dense(4, activation='sigmoid', name='box')(x))
    content = check_file(quantized(model, images), images)
    assert [end.name for end in tf_n2uq.tflite.inspect(content).outputs] == ['box']


def test_a_rescaling_inside_the_model():
    """Layer rescaling is not supported, though all others are (#647). Expected: it is."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 127.5, offset=-1.0),
            layers.Conv2D(8, 3, activation='relu'),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype(np.float32)
    check_file(quantized(model, images), images)


def test_a_batch_normalization_between_a_convolution_and_a_relu_is_folded():
    """Conv2D → BatchNormalization → ReLU stayed apart in the file (tensorflow#43882, #1131).

    Expected: one CONV_2D for the three layers.
    """
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    _move_statistics(model)
    images = random_images(8, 8, 3)
    content = check_file(quantized(model, images), images)
    operators = dict(tf_n2uq.tflite.inspect(content).operators)
    assert operators['CONV_2D'] == 1
    # A normalization that stands alone is a depthwise convolution.
    assert 'DEPTHWISE_CONV_2D' not in operators


def test_a_batch_normalization_behind_other_layers():
    """BatchNormalization behind a pooling or a dense layer was refused (#363, #1089).

    Expected: it is right wherever it stands.
    """
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Dense(5),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Dropout(0.4),
            layers.Conv2D(6, 3),
            layers.GlobalMaxPooling2D(),
            layers.BatchNormalization(),
            layers.Dense(4),
        ]
    )
    _move_statistics(model)
    images = random_images(8, 8, 3)
    check_file(quantized(model, images), images)


def test_a_softmax_in_the_middle_is_named():
    """A Conv2D had activation='softmax' in the middle of a network (#363).

    No int8 operator of XNNPACK computes it there. Expected: a sentence that names the layer.
    """
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, activation='softmax', name='gate'),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, name='last'),
        ]
    )
    images = random_images(8, 8, 3)
    with pytest.raises(ValueError, match=r'(?s)gate.*allow_float=True'):
        tf_n2uq.tflite.convert(quantized(model, images), representative_dataset=images)


@keras.saving.register_keras_serializable(package='tests.reports')
class _Block(layers.Layer):
    """A layer with layers inside and no variables of its own."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.convolution = layers.Conv2D(filters, 3, padding='same', use_bias=False)
        self.normalization = layers.BatchNormalization()

    def call(self, inputs):
        return tf.nn.relu(self.normalization(self.convolution(inputs)))

    def get_config(self):
        return {**super().get_config(), 'filters': self.filters}


def test_a_layer_with_layers_inside():
    """Blocks that are layers of layers could not be quantized (#638).

    Expected: the layers inside are.
    """
    image = keras.Input((8, 8, 3))
    x = _Block(6)(_Block(6)(image))
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    images = random_images(8, 8, 3)
    content = check_file(quantized(model, images), images)
    assert dict(tf_n2uq.tflite.inspect(content).operators)['CONV_2D'] == 2


def _move_statistics(model: keras.Model) -> None:
    """Gives batch normalizations other values than those that they start with."""
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    gamma * generator.uniform(0.5, 1.5, gamma.shape),
                    beta + 0.2 * generator.normal(size=beta.shape),
                    mean + 0.2 * generator.normal(size=mean.shape),
                    variance * generator.uniform(0.5, 1.5, variance.shape),
                ]
            )
