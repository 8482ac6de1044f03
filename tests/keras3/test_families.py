"""Each layer of Keras 3 computes the same in tf_keras, with the options that differ."""

from __future__ import annotations

from typing import Any

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.keras3.keras3_models import chain, randomize
from tf_n2uq.keras3.options import OTHER_ACTIVATIONS, SAME_ACTIVATIONS
from tf_n2uq.layers import HardSigmoid, HardSwish
from tf_n2uq.tflite.loading import load_model

layers = keras3.layers
IMAGES, SERIES, VOLUMES = (9, 8, 4), (10, 6), (6, 7, 6, 2)
# Several layers in one chain, so that few models are built.
CHAINS = {
    'regularization': (
        IMAGES,
        lambda: [
            layers.ActivityRegularization(0.1),
            layers.AlphaDropout(0.2),
            layers.Dropout(0.2, seed=3),
            layers.GaussianDropout(0.2),
            layers.GaussianNoise(0.2),
            layers.SpatialDropout2D(0.2),
        ],
    ),
    'augmentation': (
        IMAGES,
        lambda: [
            layers.RandomFlip(seed=1),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomContrast(0.1),
            layers.RandomBrightness(0.1),
        ],
    ),
    'convolutions': (
        IMAGES,
        lambda: [
            layers.Conv2D(6, 3, padding='same', groups=2, activation='hard_sigmoid'),
            layers.Conv2DTranspose(4, 3, strides=2, padding='same', activation='celu'),
            layers.DepthwiseConv2D(3, depth_multiplier=2, activation='hard_silu'),
            layers.SeparableConv2D(5, 3, activation='hard_swish', depth_multiplier=2),
            layers.EinsumDense('abcd,de->abce', (14, 12, 5), bias_axes='e'),
            layers.Dense(3, activation='log_sigmoid', kernel_regularizer='l2'),
        ],
    ),
    'normalization': (
        IMAGES,
        lambda: [
            layers.BatchNormalization(synchronized=False, scale=False),
            layers.GroupNormalization(2),
            layers.LayerNormalization(axis=[1, 2]),
            layers.LayerNormalization(center=False),
            layers.UnitNormalization(),
            layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 3, 4]),
            layers.Rescaling([1.0, 2.0, 3.0, 4.0], offset=0.5),
        ],
    ),
    'rectifiers': (
        IMAGES,
        lambda: [
            layers.LeakyReLU(negative_slope=0.07),
            layers.PReLU(shared_axes=[1, 2]),
            layers.ELU(0.5),
            layers.ReLU(5.0, 0.1, 0.2),
            layers.Softmax(axis=[1, 2]),
        ],
    ),
    'moving': (
        IMAGES,
        lambda: [
            layers.ZeroPadding2D(((1, 2), (0, 1))),
            layers.Cropping2D(((1, 0), (0, 1))),
            layers.UpSampling2D(2, interpolation='bilinear'),
            layers.Resizing(11, 7, interpolation='nearest'),
            layers.CenterCrop(8, 6),
            layers.Identity(),
            layers.Permute((2, 1, 3)),
            layers.Reshape((-1, 12, 4)),
            layers.MaxPooling2D(2, 1, 'same'),
            layers.AveragePooling2D(2, padding='same'),
            layers.GlobalMaxPooling2D(keepdims=True),
            layers.Flatten(),
            layers.RepeatVector(3),
        ],
    ),
    'series': (
        SERIES,
        lambda: [
            layers.ZeroPadding1D((1, 2)),
            layers.Conv1D(6, 3, dilation_rate=2, padding='causal', activation='sparse_plus'),
            layers.SeparableConv1D(5, 3),
            layers.DepthwiseConv1D(3),
            layers.Conv1DTranspose(3, 3, 2, 'same'),
            layers.UpSampling1D(2),
            layers.Cropping1D((1, 2)),
            layers.SpatialDropout1D(0.2),
            layers.AveragePooling1D(2),
            layers.MaxPooling1D(2),
            layers.TimeDistributed(layers.Dense(3, activation='squareplus')),
            layers.GlobalAveragePooling1D(keepdims=True),
            layers.GlobalMaxPooling1D(),
        ],
    ),
    'volumes': (
        VOLUMES,
        lambda: [
            layers.Conv3D(3, 2),
            layers.UpSampling3D(2),
            layers.ZeroPadding3D(1),
            layers.MaxPooling3D(2),
            layers.Conv3DTranspose(2, 2),
            layers.Cropping3D(1),
            layers.AveragePooling3D(2),
            layers.SpatialDropout3D(0.1),
            layers.GlobalAveragePooling3D(keepdims=True),
            layers.GlobalMaxPooling3D(),
        ],
    ),
    'recurrent': (
        SERIES,
        lambda: [
            layers.Masking(),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.GRU(5, recurrent_activation='hard_sigmoid', return_sequences=True),
            layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(4)], return_sequences=True),
            layers.RNN(layers.LSTMCell(3), return_sequences=True),
            layers.Bidirectional(layers.GRU(4, reset_after=False), merge_mode='sum'),
        ],
    ),
    'convolutions over time': (
        (3, 6, 6, 2),
        lambda: [layers.ConvLSTM2D(3, 3, return_sequences=True), layers.ConvLSTM2D(2, 3)],
    ),
}


@pytest.mark.parametrize('name', CHAINS)
def test_layers_compute_the_same_in_memory_and_from_a_file(name, tmp_path):
    shape, make = CHAINS[name]
    theirs = chain(*make(), shape=shape)
    theirs.save(tmp_path / 'model.keras')
    # `from_keras3` compares the outputs by itself.
    ours = tf_n2uq.from_keras3(theirs)
    stored = tf_n2uq.from_keras3(tmp_path / 'model.keras')
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    for own, other in zip(ours.get_weights(), stored.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)


def merging() -> Any:
    first, second = keras3.Input(IMAGES), keras3.Input(IMAGES)
    pair = [first, second]
    flat = [layers.Flatten()(each) for each in pair]
    return keras3.Model(
        pair,
        {
            'z': layers.Add()(pair),
            'y': [layers.Average()(pair), layers.Concatenate(axis=1)(pair)],
            'x': layers.Maximum()(pair),
            'w': layers.Minimum()(pair),
            'v': layers.Multiply()(pair),
            'u': layers.Subtract()(pair),
            't': layers.Dot(axes=-1, normalize=True)(flat),
        },
    )


def attention() -> Any:
    queries, values = keras3.Input((7, 4)), keras3.Input((5, 4))
    several = layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=6)
    own, scores = layers.MultiHeadAttention(2, 3)(
        queries, queries, return_attention_scores=True, use_causal_mask=True
    )
    plain = layers.Attention(use_scale=True, score_mode='concat')([queries, values])
    additive = layers.AdditiveAttention()([queries, values])
    results = [several(queries, values, values), own, scores, plain, additive]
    return keras3.Model([queries, values], results)


def states() -> Any:
    words = keras3.Input((7,), dtype='int32')
    x = layers.Embedding(11, 5, mask_zero=True)(words)
    x, hidden, cell = layers.LSTM(3, return_state=True, return_sequences=True)(x)
    return keras3.Model(words, [layers.LSTM(3)(x, initial_state=[hidden, cell]), cell])


@pytest.mark.parametrize('make', [merging, attention, states])
def test_layers_of_several_tensors_compute_the_same(make, tmp_path):
    theirs = make()
    randomize(theirs)
    theirs.save(tmp_path / 'model.keras')
    tf_n2uq.from_keras3(theirs)
    tf_n2uq.from_keras3(tmp_path / 'model.keras')


@pytest.mark.parametrize('name', sorted(SAME_ACTIVATIONS | set(OTHER_ACTIVATIONS)))
def test_activations_compute_the_same_as_functions_and_as_layers(name):
    theirs = chain(layers.Dense(5, activation=name), layers.Activation(name), shape=(6,))
    tf_n2uq.from_keras3(theirs)


def test_hard_sigmoid_is_not_that_of_tf_keras():
    ours = tf_n2uq.from_keras3(chain(layers.Activation('hard_sigmoid'), shape=(1,)))
    numbers = np.linspace(-4, 4, 81, dtype=np.float32)[:, None]
    expected = np.asarray(keras3.activations.hard_sigmoid(numbers))
    np.testing.assert_allclose(ours(numbers), expected, atol=1e-6)
    assert np.abs(keras.activations.hard_sigmoid(tf.constant(numbers)) - expected).max() > 0.06


def test_hard_functions_become_layers_that_the_schemes_know():
    functions = ('hard_sigmoid', 'hard_silu', 'hard_swish')
    ours = tf_n2uq.from_keras3(chain(*map(layers.Activation, functions), shape=(6,)))
    assert [type(layer) for layer in ours.layers] == [HardSigmoid, HardSwish, HardSwish]


@pytest.mark.parametrize('form', ['model.keras', 'model.h5'])
def test_models_with_functions_that_tf_keras_lacks_load_again(form, tmp_path):
    names = sorted(set(OTHER_ACTIVATIONS))
    ours = tf_n2uq.from_keras3(
        chain(*[layers.Dense(3, activation=name) for name in names], shape=(6,))
    )
    ours.save(tmp_path / form)
    numbers = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    for load in (keras.models.load_model, load_model):
        np.testing.assert_allclose(load(tmp_path / form)(numbers), ours(numbers), rtol=1e-6)


def test_an_unknown_activation_is_refused_with_the_names_of_those_that_are_known():
    theirs = chain(layers.Dense(4, activation='sparsemax'), shape=(6,))
    with pytest.raises(ValueError, match="'sparsemax'.*custom_objects.*hard_tanh"):
        tf_n2uq.from_keras3(theirs)
