"""PACT activation quantizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.pact import check_gradient, pact
from tf_n2uq.quantizers.base import add_parameter
from tf_n2uq.quantizers.clipping import ClippingQuantizer

INITIAL_CLIP = 2.0


@keras.saving.register_keras_serializable(package='tf_n2uq')
class PACTQuantizer(ClippingQuantizer):
    """Clips to 0..clip_value, which is learned, and rounds to 2**bits equally spaced levels.

    The function and its gradients are `tf_n2uq.ops.pact`. Its variable `clip_value` [1], float32
    and trainable, starts at 2.

    Source: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
    2018.
    """

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

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variable `<name>_clip_value` to a layer.

        Args:
            tensor_shape: Ignored: one clipping value serves the whole tensor.
            name: Of the tensor.
            layer: The layer that owns the variable.

        Returns:
            `{'clip_value': variable [1]}`.
        """
        del tensor_shape
        return {'clip_value': add_parameter(layer, f'{name}_clip_value', (1,), INITIAL_CLIP)}

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any],
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a tensor.

        Args:
            inputs: Any shape, floating point dtype.
            training: Ignored: the function is the same in training and inference.
            weights: What `build` returned.
            **kwargs: Ignored.

        Returns:
            Shape and dtype of `inputs`.

        Raises:
            TypeError: `inputs` is not of a floating point dtype.
            ValueError: An entry of `weights` is missing.
        """
        del training, kwargs
        (clip_value,) = self._entries(weights, 'clip_value')
        return pact(inputs, clip_value, self.bits, self.gradient)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits, 'gradient': self.gradient}
