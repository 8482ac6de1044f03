"""The activation quantizer of PACT, which SAT and one layer of N2UQ use as well."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.pact import check_gradient, pact
from tf_n2uq.quantizers.clipping import ClippingQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class PACTQuantizer(ClippingQuantizer):
    """Clips to 0..clip_value, which is learned, and rounds to 2**bits equally spaced levels.

    With the clipping value α and n = 2**bits − 1, the output is y = round(clip(x, 0, α)·n/α)·α/n.

    Gradients, times the upstream gradient: x gets 1 where 0 < x < α, and 0 elsewhere. The sum over
    the tensor goes to α: with `gradient='paper'` of 1 where x >= α; with 'calibrated' also of
    (y − x)/α where 0 < x < α; with 'published_n2uq' of y/α everywhere and of 1 more where x >= α.
    The function is `tf_n2uq.ops.pact`.

    The variable `clip_value` [1], float32 and trainable, starts at 2.

    Source: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
    2018, eq. 1 to 3; 'calibrated': Jin et al., "Towards Efficient Training for Neural Network
    Quantization", 2019; 'published_n2uq': the published code of Liu et al., "Nonuniform-to-Uniform
    Quantization", CVPR 2022.
    """

    start_clip_value, learns_clip_value = 2.0, True

    def __init__(self, bits: int, gradient: str = 'published_n2uq') -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the activation, 2..8.
            gradient: The gradient of the clipping value: 'paper', PACT's own; 'calibrated', SAT's,
                which contains the quantization error; 'published_n2uq', that of N2UQ's MobileNetV2.

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
