"""A keyword spotter for synthetic chirps: 2-bit convolutions over sound, and a GRU in float.

Trains it in float and then at low bits, converts it, and compares Keras with the file.
"""

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import app, flags

import tf_n2uq

layers, FLAGS = keras.layers, flags.FLAGS
flags.DEFINE_integer('bits', 2, 'Bit-width of kernels and inputs of the quantized layers.', 2, 8)
flags.DEFINE_integer('epochs', 8, 'Epochs in float, and again at low bits.', 1)
FRAMES, BANDS, WORDS = 32, 16, 4


def spectrograms(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns spectrograms `[count, frames, bands]` of rising, falling, constant or no pitch."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, WORDS, count)
    slope = np.array([0.25, -0.25, 0, 0])[words, np.newaxis]
    pitch = rng.uniform(5, 11, (count, 1)) + slope * (np.arange(FRAMES) - FRAMES / 2)
    sound = np.exp(-((np.arange(BANDS) - pitch[..., np.newaxis]) ** 2))
    sound[words == WORDS - 1] = 0
    return (sound + rng.normal(0, 0.2, sound.shape)).astype(np.float32), words


def network() -> keras.Model:
    """Returns a classifier of spectrograms."""
    x = sound = keras.Input((FRAMES, BANDS), name='sound')
    for _ in range(3):
        x = layers.Conv1D(32, 3, padding='same', use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GRU(32, name='memory')(layers.MaxPooling1D(2)(x))
    return keras.Model(sound, layers.Dense(WORDS, name='word')(x))


def main(_: list[str]) -> None:
    """Trains, converts and compares the network."""
    keras.utils.set_random_seed(0)
    train, test = spectrograms(2000, 1), spectrograms(500, 2)
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
