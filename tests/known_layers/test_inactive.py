import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.known_layers.taken_apart import as_file
from tests.networks import quantize
from tf_n2uq.layers.layer_spec import Kind, kind_of, refusal_of

layers = keras.layers
INACTIVE = [
    lambda: layers.Identity(),
    lambda: layers.ActivityRegularization(0.1),
    lambda: layers.AlphaDropout(0.5),
    lambda: layers.Dropout(0.5),
    lambda: layers.GaussianDropout(0.5),
    lambda: layers.GaussianNoise(0.5),
    lambda: layers.RandomBrightness(0.5),
    lambda: layers.RandomContrast(0.5),
    lambda: layers.RandomFlip(),
    lambda: layers.RandomRotation(0.3),
    lambda: layers.RandomTranslation(0.3, 0.3),
    lambda: layers.RandomZoom(0.3),
    lambda: layers.SpatialDropout2D(0.5),
]
RESIZING = [layers.RandomCrop(4, 4), layers.RandomHeight(0.2), layers.RandomWidth(0.2)]


def name_of(each):
    return each.name if isinstance(each, keras.layers.Layer) else each().name


@pytest.mark.parametrize('make', INACTIVE, ids=name_of)
def test_they_return_their_input_at_inference(make):
    layer = make()
    x = np.arange(96, dtype=np.float32).reshape(2, 4, 4, 3)
    assert kind_of(layer) is Kind.SAME_SCALE
    np.testing.assert_array_equal(layer(x, training=False), x)


@pytest.mark.parametrize('layer', RESIZING, ids=name_of)
def test_layers_that_change_sizes_are_refused_with_the_layers_to_take_instead(layer):
    assert kind_of(layer) is None
    assert 'RandomZoom or RandomTranslation' in str(refusal_of(layer))


def test_a_random_crop_is_refused_when_it_is_annotated():
    image = keras.Input((8, 8, 3))
    x = layers.RandomCrop(6, 6, name='crop')(image)
    model = keras.Model(image, layers.Conv2D(2, 3)(x))
    with pytest.raises(ValueError, match=r"'crop' changes the size .* leave_out='crop'"):
        tf_n2uq.annotate(model)


def test_a_file_has_nothing_in_their_place():
    def inside(x):
        return layers.RandomContrast(0.5)(layers.GaussianNoise(0.5)(layers.ReLU()(x)))

    _, in_keras, in_file = as_file(inside, (8, 8, 3))
    np.testing.assert_allclose(in_file, in_keras, atol=1e-3)


def test_augmentation_still_works_in_training_after_quantization():
    image = keras.Input((6, 6, 3))
    x = layers.RandomBrightness(0.9, value_range=(0, 1), seed=1, name='augment')(image)
    quantized = quantize(keras.Model(image, layers.Conv2D(2, 3, name='conv')(x)))
    images = np.full((4, 6, 6, 3), 0.5, np.float32)
    in_training, at_inference = (quantized(images, training=each)[:, 0] for each in (True, False))
    assert np.ptp(in_training, axis=0).max() > 0.05
    assert np.ptp(at_inference, axis=0).max() == 0


def small_base():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(8, 3)(x)
    return keras.Model(image, layers.ReLU(6.0)(layers.BatchNormalization()(x)), name='base')


def mobilenet_base():
    return keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), include_top=False, weights=None, alpha=0.35
    )


def transfer_learning(base):
    """Returns the network of Keras' guide to transfer learning around a base."""
    augmentation = keras.Sequential([layers.RandomFlip('horizontal'), layers.RandomRotation(0.2)])
    base.trainable = False
    inputs = keras.Input(base.input_shape[1:])
    x = augmentation(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(1)(x))


@pytest.mark.parametrize(
    'make_base', [small_base, pytest.param(mobilenet_base, marks=pytest.mark.nightly)]
)
def test_the_network_of_kerass_guide_to_transfer_learning_becomes_a_file(make_base):
    keras.utils.set_random_seed(0)
    quantized = tfmot.quantization.keras.quantize_apply(
        tf_n2uq.annotate(transfer_learning(make_base())), scheme=tf_n2uq.N2UQScheme(bits=4)
    )
    types = {type(layer) for layer in quantized.layers}
    assert {layers.RandomFlip, layers.RandomRotation, layers.Dropout} <= types
    shape = quantized.input_shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.float32)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    quantized.compile('sgd', keras.losses.BinaryCrossentropy(from_logits=True))
    quantized.fit(images, np.array([0, 1, 0, 1]), verbose=0)
    content = tf_n2uq.tflite.convert(quantized)
    expected = quantized.predict(images, verbose=0)
    step = float(quantized.layers[-1].int8_scale())
    np.testing.assert_allclose(tf_n2uq.tflite.predict(content, images), expected, atol=1.01 * step)
