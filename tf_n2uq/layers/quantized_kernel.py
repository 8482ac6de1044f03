"""The wrapper around a layer whose kernel is quantized."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.layers.integer_bias import add_at_inference, bias_rounding
from tf_n2uq.layers.quantize import Quantize

_QuantizeConfig = tfmot.quantization.keras.QuantizeConfig


@keras.saving.register_keras_serializable(package='tf_n2uq')
class QuantizedKernel(tfmot.quantization.keras.QuantizeWrapper):
    """Runs a layer with quantized kernels; the float kernels stay the layer's own variables.

    TFMOT's wrapper replaces `layer.kernel` for good, which makes the variable change owners and
    breaks the `.keras` format. Here the quantized tensor stands in for the variable only while
    the layer is called.

    Attributes:
        layer: the wrapped Keras layer (`Conv2D`, `DepthwiseConv2D`, `Dense`).
        quantize_config: the TFMOT `QuantizeConfig` that names kernels and quantizers.
        integer_bias: whether the bias is rounded at inference as an integer file rounds it.
        kernel_quantizers: per kernel, its attribute, its quantizer, and the quantizer's variables.
    """

    trainable = keras.layers.Layer.trainable
    trainable_weights = keras.layers.Layer.trainable_weights
    non_trainable_weights = keras.layers.Layer.non_trainable_weights
    updates = keras.layers.Layer.updates
    losses = keras.layers.Layer.losses

    def __init__(
        self,
        layer: keras.layers.Layer,
        quantize_config: _QuantizeConfig,
        integer_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        """Creates the wrapper.

        Args:
            layer: the layer to wrap, built or not.
            quantize_config: names the layer's kernels and their quantizers.
            integer_bias: whether, at inference, the layer's bias together with what a batch
                normalization right behind it adds is rounded to what int32 can hold of it in
                the file (see `integer_bias.bias_rounding`).
            **kwargs: Keras layer arguments; `name` defaults to `quant_<layer name>`, as TFMOT's.

        Raises:
            ValueError: if `layer` is not a Keras layer, or `quantize_config` is missing.
        """
        # Kernels are read in float32 here, also under mixed precision: the wrapped layer casts.
        kwargs.setdefault('dtype', 'float32')
        super().__init__(layer, quantize_config, autocast=False, **kwargs)
        self.integer_bias = integer_bias
        self.kernel_quantizers: list[tuple[str, Any, dict[str, tf.Variable]]] = []

    def build(self, input_shape: Any) -> None:
        keras.layers.Wrapper.build(self, input_shape)
        pairs = self.quantize_config.get_weights_and_quantizers(self.layer)
        self.kernel_quantizers = [
            (
                _attribute_of(self.layer, variable),
                quantizer,
                quantizer.build(variable.shape, _attribute_of(self.layer, variable), self),
            )
            for variable, quantizer in pairs
        ]

    def quantized_kernels(self, training: Any = False) -> dict[str, tf.Tensor]:
        """Returns the kernels as the layer computes with them, float32.

        Args:
            training: passed on to the quantizers.

        Returns:
            `{attribute name: quantized tensor}`, for example `{'kernel': …}`.
        """
        return {
            attribute: quantizer(
                tf.cast(getattr(self.layer, attribute), tf.float32), training, weights=weights
            )
            for attribute, quantizer, weights in self.kernel_quantizers
        }

    def bias_divisor(self) -> tf.Tensor | None:
        """Returns what kernel and bias are divided by at inference, as in SAT's published code.

        That is the factor by which a dense layer's kernel is rescaled, where the bias is divided
        instead: the outputs are smaller or larger than in training, all of them alike. It holds for
        the last layer of a network with float tensors; whatever else reads outputs has learned
        from those of training.

        Returns:
            float32 `[]`, > 0; None if nothing is divided.
        """
        if self.integer_bias or type(self.layer) is not keras.layers.Dense or _is_read(self):
            return None
        for attribute, quantizer, _ in self.kernel_quantizers:
            # A quantizer of somebody else's knows nothing of it.
            if hasattr(quantizer, 'bias_divisor'):
                kernel = tf.convert_to_tensor(getattr(self.layer, attribute))
                return quantizer.bias_divisor(tf.cast(kernel, tf.float32))
        return None

    def _divided(self, kernels: dict[str, tf.Tensor], training: Any) -> dict[str, tf.Tensor]:
        """Returns the tensors that stand in for the layer's variables."""
        in_training = tf.get_static_value(tf.cast(training, tf.bool))
        divisor = None if in_training else self.bias_divisor()
        if divisor is None:
            return kernels
        if in_training is None:
            divisor = tf.where(tf.cast(training, tf.bool), tf.ones_like(divisor), divisor)
        tensors = dict(kernels)
        if self.layer.use_bias:
            tensors['bias'] = tf.cast(tf.convert_to_tensor(self.layer.bias), tf.float32)
        return {name: tensor / divisor for name, tensor in tensors.items()}

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        if training is None:
            training = keras.backend.learning_phase()
        tensors = self._divided(self.quantized_kernels(training), training)
        cast = {name: tf.cast(value, self.layer.compute_dtype) for name, value in tensors.items()}
        with _stand_in(self.layer, cast):
            outputs = self.layer(inputs)
        if not self.integer_bias:
            return outputs
        return add_at_inference(outputs, training, lambda: bias_rounding(self))

    def _infer_output_signature(
        self, inputs: tf.Tensor, args: Any, kwargs: Any, input_masks: Any
    ) -> keras.__internal__.KerasTensor:
        # Keras would trace the quantizers and the rounding, to learn a shape that is the layer's.
        del input_masks
        with tf.name_scope(self._name_scope()):
            self._maybe_build(inputs)
        self._set_save_spec(inputs, args, kwargs)
        shape = self.compute_output_shape(inputs.shape)
        spec = tf.TensorSpec(shape, self.layer.compute_dtype)
        return keras.__internal__.KerasTensor(spec)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop('autocast', None)
        return {**config, 'integer_bias': self.integer_bias}


def _is_read(layer: keras.layers.Layer) -> bool:
    """Whether a layer's output goes anywhere but, through an 8-bit range, out of the network."""
    readers = [node.layer for node in layer.outbound_nodes]
    return any(reader.outbound_nodes or not isinstance(reader, Quantize) for reader in readers)


def _attribute_of(layer: keras.layers.Layer, variable: tf.Variable) -> str:
    for name, value in vars(layer).items():
        if value is variable:
            return name
    raise ValueError(f'quantize_config: {variable.name} is not a variable of layer {layer.name}.')


@contextlib.contextmanager
def _stand_in(layer: keras.layers.Layer, tensors: dict[str, tf.Tensor]) -> Iterator[None]:
    """Lets tensors take the place of variables without Keras noticing a change of owner."""
    variables = {name: vars(layer)[name] for name in tensors}
    try:
        for name, tensor in tensors.items():
            object.__setattr__(layer, name, tensor)
        yield
    finally:
        for name, variable in variables.items():
            object.__setattr__(layer, name, variable)
