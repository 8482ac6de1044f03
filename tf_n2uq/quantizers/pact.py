"""PACT activation quantizer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.pact import check_gradient, pact
from tf_n2uq.quantizers.clipping import ClippingQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class PACTQuantizer(ClippingQuantizer):
    """Clips to 0..clip_value, which is learned, and rounds to 2**bits equally spaced levels.

    The function and its gradients are `tf_n2uq.ops.pact`. Its variable `clip_value` [1], float32
    and trainable, starts at 2.

    Source: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
    2018.
    """

    start_clip_value, learns_clip_value = 2.0, True

    def __init__(self, bits: int, gradient: str = 'published_n2uq') -> None:
        """Makes a quantizer.

        Args:
            bits: Of the activation, 2..8.
            gradient: Of the clipping value: `paper`, PACT's own; `calibrated`, SAT's, which also
                gets the quantization error; `published_n2uq`, that of N2UQ's MobileNetV2.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8, or there is no such gradient.
        """
        super().__init__(bits)
        self.gradient = check_gradient(gradient)

    def _clipped(self, inputs: tf.Tensor, clip_value: tf.Variable) -> tf.Tensor:
        return pact(inputs, clip_value, self.bits, self.gradient)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits, 'gradient': self.gradient}
