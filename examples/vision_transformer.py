"""A small vision transformer for scikit-learn's digits: 4-bit projections, attention in float.

Trains it in float and then at low bits, converts it, and compares Keras with the file.
"""

from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import app, flags
from sklearn.datasets import load_digits

import tf_n2uq

layers, FLAGS = keras.layers, flags.FLAGS
flags.DEFINE_integer('bits', 4, 'Bit-width of kernels and inputs of the quantized layers.', 2, 8)
flags.DEFINE_integer('epochs', 15, 'Epochs in float, and again at low bits.', 1)


def block(x: Any) -> Any:
    """Returns what a transformer block makes of patches `[batch, patches, channels]`."""
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=16)(y, y)])
    y = layers.Dense(64, activation='relu')(layers.LayerNormalization()(x))
    return layers.Add()([x, layers.Dense(32)(y)])


def network() -> keras.Model:
    """Returns a classifier of 8×8 images in 16 patches."""
    image = keras.Input((8, 8, 1), name='image')
    x = layers.Reshape((16, 32))(layers.Conv2D(32, 2, strides=2)(image))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(block(block(x))))
    return keras.Model(image, layers.Dense(10, name='digit')(x))


def main(_: list[str]) -> None:
    """Trains, converts and compares the network."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    images = ((digits.images[..., np.newaxis] - 5) / 6).astype(np.float32)
    train, test = ((images[part], digits.target[part]) for part in (slice(1440), slice(1440, None)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    model = network()
    model.compile(keras.optimizers.Adam(3e-3), loss, ['accuracy'])
    model.fit(*train, epochs=FLAGS.epochs, verbose=2)
    scheme = tf_n2uq.N2UQScheme(bits=FLAGS.bits)
    model = tfmot.quantization.keras.quantize_apply(tf_n2uq.annotate(model), scheme=scheme)
    tf_n2uq.calibrate(model, train[0][:256])
    model.compile(keras.optimizers.Adam(1e-3), loss, ['accuracy'])
    model.fit(*train, epochs=FLAGS.epochs, verbose=2)

    content = tf_n2uq.tflite.convert(model, allow_float=True)
    print(tf_n2uq.tflite.evaluate(content, test, reference=model))
    print(tf_n2uq.tflite.compare(model, content, test[0][:64]))


if __name__ == '__main__':
    app.run(main)
