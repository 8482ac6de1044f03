"""A layer that quantizes the tensor which passes through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.layers.channel_offset import HasOffset, connect_offsets
from tf_n2uq.layers.connections import Int8Source, ReadsInt8, close_operator
from tf_n2uq.layers.deployment import Deployment
from tf_n2uq.quantizers.protocols import ScaledQuantizer

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class Quantize(ReadsInt8, Int8Source, HasOffset, keras.layers.Layer):
    """Quantizes one tensor, with the variables that its quantizer learns.

    TFMOT has a `QuantizeLayer` of its own, which does not survive the `.keras` format, and which
    `quantize_apply` rebuilds. `quantize_apply` leaves the layer of this class alone, and Keras
    saves it in every format.

    Attributes:
        quantizer: the quantizer.
        quantizer_weights: `{name: variable}` as the quantizer's `build` returned it.
        deployment: the grid that the levels have in an integer file.
        input_quantizer: the name of the `Quantize` layer in front of this one, or None. The scale
            of that layer counts where this quantizer passes tensors on (see `AdaptiveQuantizer`).

    A frozen layer (`trainable=False`) runs as at inference, so that no range moves. Gradients pass.
    As for every layer of Keras, a model has to be compiled again after `trainable` has changed.

    With an offset per channel (see `channel_offset`), it computes `quantizer(x + offset) − offset`.
    """

    def __init__(
        self,
        quantizer: _Quantizer,
        deployment: Deployment | None = None,
        input_quantizer: str | None = None,
        offset: Mapping[str, int] | None = None,
        levels_of_operator: bool = False,
        **kwargs: Any,
    ) -> None:
        """Creates the layer.

        Args:
            quantizer: a `tfmot.quantization.keras.quantizers.Quantizer`.
            deployment: the grid that the levels have in an integer file; None for the default one.
            input_quantizer: see the attribute. With None, the layer finds the quantizer when the
                layer is connected.
            offset: the offset per channel of the int8 tensor, as a sum of the shifts of other
                layers: a factor by the name of each layer. None for no offset. The layer finds
                the other layers when it is connected, or when they are.
            levels_of_operator: whether, in the file, the operator in front writes the levels by
                itself, so that one level counts for one step of int8. Schemes set this.
            **kwargs: Keras layer arguments.

        Raises:
            TypeError: if `quantizer` is not a TFMOT quantizer.
        """
        # The quantizer computes in float32 and returns the dtype of its input: Keras need not cast.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(quantizer, _Quantizer):
            raise TypeError(
                'quantizer: expected a tfmot.quantization.keras.quantizers.Quantizer such as '
                f'LearnableThresholdQuantizer(bits=2), got {quantizer!r}; give such an object.'
            )
        self.quantizer = quantizer
        self.deployment = deployment or Deployment()
        self.input_quantizer = input_quantizer
        self.set_offset(offset or {})
        self.levels_of_operator = levels_of_operator
        self.quantizer_weights: dict[str, tf.Variable] = {}
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.quantizer_weights = self.quantizer.build(input_shape, 'tensor', self)
        super().build(input_shape)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        if training is None:
            training = keras.backend.learning_phase()
        if not self.trainable:
            # As a frozen batch normalization, a frozen range does not follow the data.
            training = False
        offset = self.channel_offset()
        if offset is None:
            return self.quantizer(inputs, training, weights=self.quantizer_weights)
        values = tf.cast(inputs, tf.float32) + offset
        quantized = self.quantizer(values, training, weights=self.quantizer_weights)
        return tf.cast(quantized - offset, inputs.dtype)

    def with_quantizer(self, quantizer: _Quantizer) -> Quantize:
        """Returns a layer with another quantizer and everything else as in this layer."""
        return Quantize(
            quantizer,
            self.deployment,
            self.input_quantizer,
            self.offset,
            self.levels_of_operator,
            name=self.name,
        )

    def rounded(self, values: tf.Tensor) -> tf.Tensor:
        """Quantizes float32 numbers as at inference, whatever the offset of this layer is."""
        return self.quantizer(values, False, weights=self.quantizer_weights)

    def connected(self, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        super().connected(inputs, kwargs)
        close_operator(inputs, self)
        connect_offsets(self, inputs)

    def int8_scale(self) -> tf.Tensor | None:
        """Returns the scale of the output as the int8 tensor of an integer file.

        Returns:
            float64 `[]`, >= 0; None for a quantizer of another package, or for a quantizer that
            passes on a tensor of unknown scale.
        """
        if not isinstance(self.quantizer, ScaledQuantizer):
            return None
        if self.quantizer.is_identity:
            return self.input_scale()
        step = tf.abs(self.quantizer.step(self.quantizer_weights))
        if self.levels_of_operator:
            return step
        return step / self.deployment.level_stretch(self.quantizer.bits)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def compute_output_signature(self, input_signature: Any) -> Any:
        return input_signature

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop('autocast', None)
        return {
            **config,
            'quantizer': keras.utils.legacy.serialize_keras_object(self.quantizer),
            'deployment': self.deployment.get_config(),
            'input_quantizer': self.input_quantizer,
            'offset': self.offset,
            'levels_of_operator': self.levels_of_operator,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Quantize:
        config = dict(config)
        quantizer = keras.utils.legacy.deserialize_keras_object(config.pop('quantizer'))
        # Networks of version 0.1.0 have no entry for the deployment.
        deployment = Deployment.from_config(config.pop('deployment', {}))
        return cls(quantizer=quantizer, deployment=deployment, **config)
