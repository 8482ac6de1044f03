"""A vision transformer and a MobileViT block, from Keras over training to the file."""

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.tflite.loading import load_model
from tf_n2uq.tflite.passes import flatbuffer

layers = keras.layers
rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(16, 8, 8, 3)).astype(np.float32)
LABELS = rng.integers(0, 3, 16)


def transformer(x, index, heads=2, depth=4):
    """A block of a transformer, with its layers normalized in front."""
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    y = layers.MultiHeadAttention(heads, depth, dropout=0.1, name=f'attention_{index}')(y, y)
    x = layers.Add()([x, y])
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    y = layers.Dense(16, activation='gelu')(y)
    return layers.Add()([x, layers.Dense(x.shape[-1])(y)])


def vision_transformer():
    image = keras.Input((8, 8, 3), name='image')
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 2, strides=2)(image))
    x = transformer(x, 0)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(image, layers.Dense(3, name='label')(x))


def mobile_vit():
    image = keras.Input((8, 8, 3), name='image')
    x = layers.Conv2D(8, 3, strides=2, padding='same', activation='swish')(image)
    y = layers.Conv2D(8, 1)(layers.DepthwiseConv2D(3, padding='same', activation='swish')(x))
    # The pixels at the same place of each patch of 2×2 attend to each other.
    y = layers.Reshape((2, 2, 2, 2 * 8))(y)
    y = layers.Reshape((4, 4, 8))(layers.Permute((2, 1, 3, 4))(y))
    y = transformer(y, 0)
    y = layers.Permute((2, 1, 3, 4))(layers.Reshape((2, 2, 2, 16))(y))
    y = layers.Conv2D(8, 1, activation='swish')(layers.Reshape((4, 4, 8))(y))
    y = layers.Conv2D(8, 3, padding='same')(layers.Concatenate()([x, y]))
    return keras.Model(image, layers.Dense(3, name='label')(layers.GlobalAveragePooling2D()(y)))


def quantized(make, scheme):
    keras.utils.set_random_seed(0)
    annotated = tf_n2uq.annotate(make())
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    tf_n2uq.calibrate(model, IMAGES, verbose=0)
    return model


def operators(content):
    file = flatbuffer.read(content)
    graph = flatbuffer.main_graph(file)
    for operator in graph.operators:
        read = flatbuffer.type_name(graph.tensors[operator.inputs[0]])
        yield flatbuffer.operator_name(file, operator), read


@pytest.mark.parametrize(
    ('make', 'scheme', 'name'),
    [
        (vision_transformer, tf_n2uq.N2UQScheme(bits=2), 'model.keras'),
        pytest.param(
            *(mobile_vit, tf_n2uq.PACTScheme(bits=3), 'model.h5'), marks=pytest.mark.nightly
        ),
        pytest.param(
            *(vision_transformer, tf_n2uq.LSQScheme(bits=4), 'model.h5'),
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            *(mobile_vit, tf_n2uq.N2UQScheme(bits=8), 'model.keras'), marks=pytest.mark.nightly
        ),
    ],
)
def test_it_is_trained_saved_converted_and_compared(make, scheme, name, tmp_path):
    model = quantized(make, scheme)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    kernel = model.get_layer('quant_attention_0_query').trainable_weights[0].numpy()
    model.fit(IMAGES, LABELS, batch_size=16, verbose=0)
    assert not np.allclose(kernel, model.get_layer('quant_attention_0_query').trainable_weights[0])
    expected = model.predict(IMAGES, verbose=0)
    model.save(tmp_path / name)
    loaded = load_model(tmp_path / name)
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)
    content = tf_n2uq.tflite.convert(loaded, allow_float=True)
    report = tf_n2uq.tflite.compare(model, content, IMAGES)
    compared = {each.name: each.xnnpack.differing for each in report.quantizers}
    assert compared['attention_0_products_range'] == 0
    # An integer sum of a value in thousands may lie between two steps.
    assert sum(compared.values()) < 1e-3 * sum(each.values for each in report.quantizers)
    np.testing.assert_allclose(
        tf_n2uq.tflite.predict(content, IMAGES), expected, atol=0.02 * np.ptp(expected)
    )
    found = list(operators(content))
    assert {kind for name, kind in found if name in ('SOFTMAX', 'BATCH_MATMUL')} == {'FLOAT32'}
    projections = ('FULLY_CONNECTED', 'CONV_2D', 'DEPTHWISE_CONV_2D')
    assert {kind for name, kind in found if name in projections} == {'INT8'}


def test_without_allow_float_the_error_names_the_products():
    model = quantized(vision_transformer, tf_n2uq.N2UQScheme(bits=2))
    match = r'got attention_0_products \(DotProductAttention\) multiplies .*allow_float=True'
    with pytest.raises(ValueError, match=match):
        tf_n2uq.tflite.convert(model)
