"""The 8-bit file that ours are measured against: what a user of TFMOT has.

It is made of a plain network (`networks.py`), so that it has as few operators as the architecture
allows, each with its ReLU inside, in one XNNPACK partition. Post-training quantization by
`tf.lite.TFLiteConverter` gives the same operators for these networks, at the same speed.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from networks import plain_network


def quantized_by_tfmot(name: str, images: np.ndarray) -> keras.Model:
    """Returns a plain network that TFMOT has quantized to 8 bits.

    Args:
        name: of the plain network.
        images: that give the network its statistics, `[batch, height, width, 3]`. A pass over them
            in training gives kernels their ranges. Those of activations move a little from where
            TFMOT starts; neither size nor speed depends on them.

    Returns:
        A model from `quantize_apply`.
    """
    annotated = tfmot.quantization.keras.quantize_annotate_model(plain_network(name, images))
    model = tfmot.quantization.keras.quantize_apply(annotated)
    model(images, training=True)
    return model


def convert(model: keras.Model) -> bytes:
    """Converts a model that TFMOT has quantized, as TFMOT's guide does.

    Args:
        model: from `quantize_apply`.

    Returns:
        A file with float32 input and output, as ours have.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()
