"""The activation quantizer of DoReFa-Net."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.pact import pact
from tf_n2uq.quantizers.clipping import ClippingQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class DoReFaInputQuantizer(ClippingQuantizer):
    """Clips to 0..clip_value, which is not learned, and rounds to 2**bits equally spaced levels.

    With the clipping value α and n = 2**bits − 1, the output is round(clip(x, 0, α)·n/α)·α/n.

    The gradient passes to x where 0 < x < α, and is zero elsewhere.

    The variable `clip_value` [1], float32 and not trainable, starts at 1, the paper's value.
    Calibration sets it to a value that suits networks whose activations lie elsewhere.

    Source: Zhou et al., "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
    Bitwidth Gradients", 2016, section 2.4.
    """

    start_clip_value, learns_clip_value = 1.0, False

    def _clipped(self, inputs: tf.Tensor, clip_value: tf.Variable) -> tf.Tensor:
        return pact(inputs, tf.stop_gradient(clip_value), self.bits, 'paper')

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits}
