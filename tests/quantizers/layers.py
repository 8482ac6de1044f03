"""A layer that owns a quantizer's variables."""

from __future__ import annotations

import tf_keras as keras


class Owner(keras.layers.Layer):
    """Quantizes what it is called on."""

    def __init__(self, quantizer, **kwargs):
        super().__init__(**kwargs)
        self.quantizer = quantizer

    def build(self, input_shape):
        self.quantizer_weights = self.quantizer.build(input_shape, 'tensor', self)
        super().build(input_shape)

    def call(self, inputs, training=None):
        return self.quantizer(inputs, training, weights=self.quantizer_weights)
