"""A layer that quantizes the tensor which passes through it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class Quantize(keras.layers.Layer):
    """Quantizes one tensor, with the variables that its quantizer learns.

    TFMOT's own `QuantizeLayer` does not survive the `.keras` format and is rebuilt by
    `quantize_apply`; this one is left alone by it and saves in every format.

    Attributes:
        quantizer: the quantizer.
        quantizer_weights: `{name: variable}` as the quantizer's `build` returned it.
    """

    def __init__(self, quantizer: _Quantizer, **kwargs: Any) -> None:
        """Creates the layer.

        Args:
            quantizer: a `tfmot.quantization.keras.quantizers.Quantizer`.
            **kwargs: Keras layer arguments.

        Raises:
            TypeError: if `quantizer` is not a TFMOT quantizer.
        """
        # The quantizer computes in float32 and gives back what it got: no cast of the input.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(quantizer, _Quantizer):
            raise TypeError(
                'quantizer: expected a tfmot.quantization.keras.quantizers.Quantizer such as '
                f'LearnableThresholdQuantizer(bits=2), got {quantizer!r}.'
            )
        self.quantizer = quantizer
        self.quantizer_weights: dict[str, tf.Variable] = {}
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.quantizer_weights = self.quantizer.build(input_shape, 'tensor', self)
        super().build(input_shape)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        if training is None:
            training = keras.backend.learning_phase()
        return self.quantizer(inputs, training, weights=self.quantizer_weights)

    def _infer_output_signature(
        self, inputs: Any, args: Any, kwargs: Any, input_masks: Any
    ) -> keras.__internal__.KerasTensor:
        # Keras would trace `call` to learn that the output is like the input: half of the time
        # that `quantize_apply` takes.
        del input_masks
        with tf.name_scope(self._name_scope()):
            self._maybe_build(inputs)
        self._set_save_spec(inputs, args, kwargs)
        return keras.__internal__.KerasTensor(inputs.type_spec)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop('autocast', None)
        return {**config, 'quantizer': keras.utils.legacy.serialize_keras_object(self.quantizer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Quantize:
        config = dict(config)
        quantizer = keras.utils.legacy.deserialize_keras_object(config.pop('quantizer'))
        return cls(quantizer=quantizer, **config)
