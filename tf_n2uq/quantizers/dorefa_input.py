"""DoReFa-Net's activation quantizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.pact import pact
from tf_n2uq.quantizers.base import add_parameter
from tf_n2uq.quantizers.clipping import ClippingQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class DoReFaInputQuantizer(ClippingQuantizer):
    """Clips to 0..clip_value, which is not learned, and rounds to 2**bits equally spaced levels.

    The paper clips to 0..1, and so does this until it is calibrated: the variable `clip_value` [1],
    float32 and not trainable, starts at 1, and calibration sets it to what suits a network whose
    activations lie elsewhere. The gradient passes where 0 < x < clip_value.

    Source: Zhou et al., "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
    Bitwidth Gradients", 2016, section 2.4.
    """

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
        variable = add_parameter(layer, f'{name}_clip_value', (1,), 1.0, trainable=False)
        return {'clip_value': variable}

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
        return pact(inputs, tf.stop_gradient(clip_value), self.bits, 'paper')

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits}
