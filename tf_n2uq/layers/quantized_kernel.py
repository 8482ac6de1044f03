"""The wrapper around a layer whose kernel is quantized."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq._compat.keras_layers import with_tensors
from tf_n2uq._compat.keras_models import readers_of
from tf_n2uq.layers.channel_offset import HasOffset
from tf_n2uq.layers.connections import Found, Int8Source, ReadsInt8, TakesOnLine
from tf_n2uq.layers.deployment import Deployment
from tf_n2uq.layers.integer_bias import add_at_inference, bias_rounding
from tf_n2uq.layers.kernel_role import KernelRole
from tf_n2uq.layers.layer_spec import is_channel_line, line_of
from tf_n2uq.quantizers.protocols import KernelQuantizer

_QuantizeConfig = tfmot.quantization.keras.QuantizeConfig


@keras.saving.register_keras_serializable(package='tf_n2uq')
class QuantizedKernel(ReadsInt8, TakesOnLine, tfmot.quantization.keras.QuantizeWrapper):
    """Runs a layer with quantized kernels; the float kernels stay the layer's own variables.

    TFMOT's wrapper replaces `layer.kernel` by a tensor for good. The variable then belongs to the
    wrapper, which breaks the `.keras` format. With this wrapper, a twin of the layer computes with
    the quantized tensor, and the layer itself does not change while it is called.

    Attributes:
        layer: the wrapped Keras layer (`Conv2D`, `DepthwiseConv2D`, `Dense`, …).
        quantize_config: the TFMOT `QuantizeConfig` that names kernels and quantizers.
        integer_bias: whether the bias is rounded at inference as an integer file rounds it.
        role: the layers that the kernel computes with in the integer network, as the rewrite has
            decided. None in networks of version 0.1.0: this layer then decides when it is
            connected.
        deployment: the grid that biases have in an integer file.
        kernel_quantizers: for each kernel, the name of its attribute, its quantizer, and the
            quantizer's variables.
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
        role: KernelRole | None = None,
        deployment: Deployment | None = None,
        **kwargs: Any,
    ) -> None:
        """Creates the wrapper.

        Args:
            layer: the layer to wrap, built or not.
            quantize_config: names the layer's kernels and their quantizers.
            integer_bias: whether, at inference, the bias of the layer together with the offset of
                the role's line is rounded to a whole number of int32 units, as in the file.
            role: the decisions of the rewrite. With None, the layer decides when it is connected.
            deployment: the grid that biases have in an integer file; None for the default one.
            **kwargs: Keras layer arguments; `name` defaults to `quant_<layer name>`, as TFMOT's.

        Raises:
            ValueError: if `layer` is not a Keras layer, or `quantize_config` is missing.
        """
        # Kernels are read in float32 here, also under mixed precision: the wrapped layer casts.
        kwargs.setdefault('dtype', 'float32')
        super().__init__(layer, quantize_config, autocast=False, **kwargs)
        self.integer_bias = integer_bias
        self.deployment = deployment or Deployment()
        self.kernel_quantizers: list[tuple[str, Any, dict[str, tf.Variable]]] = []
        self._line: Found | None = None
        self._result: Found | None = None
        self.take_role(role)

    def take_role(self, role: KernelRole | None) -> None:
        """Sets the decisions of the rewrite.

        Args:
            role: the decisions. This layer must not be connected yet.
        """
        self.role = role
        self.input_quantizer = None if role is None else role.input_quantizer

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

    def connected(self, inputs: Any) -> None:
        if self.role is None or self.role.input_quantizer is not None:
            super().connected(inputs)

    def find_operator(self, layers: Sequence[keras.layers.Layer], quantizer: Any) -> None:
        if self.role is None:
            candidates = [layer for layer in layers[:1] if is_channel_line(layer)]
        else:
            candidates = [layer for layer in layers if layer.name == self.role.line]
        if candidates:
            self._line = Found(candidates[0])
        if isinstance(quantizer, HasOffset) and quantizer.offset and self._result is None:
            self._result = Found(quantizer)

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

    def may_be_halved(self) -> bool:
        """Tells whether a file may store the kernel halved, as its deployment has it."""
        ((attribute, quantizer, _),) = self.kernel_quantizers
        if attribute == 'depthwise_kernel' or not isinstance(quantizer, KernelQuantizer):
            return False
        return self.deployment.halves(quantizer.bits, quantizer.has_odd_integers)

    def bias_units(self) -> int:
        """Returns of how many units of the kernel the bias is a multiple in a file, 1 or 2.

        Half of the bias of a halved kernel is a whole number. Levels that an operator has written
        lie one int8 step apart. A file spreads them to an even number of steps in front of a halved
        kernel, which makes all biases even there.
        """
        return 2 if self.may_be_halved() and not self.reads_written_levels() else 1

    def bias_divisor(self) -> tf.Tensor | None:
        """Returns the divisor of kernel and bias at inference, as in SAT's published code.

        In training, SAT multiplies the kernel of a dense layer by a factor. At inference, the
        published code divides the bias by this factor instead of multiplying the kernel. So all
        outputs are smaller or larger than in training by the same factor. This is done in the last
        layer of a network with float tensors only, because a layer behind has learned from the
        outputs of training.

        Returns:
            float32 `[]`, > 0; None if nothing is divided.
        """
        if self.integer_bias or type(self.layer) is not keras.layers.Dense or not self._is_last():
            return None
        for attribute, quantizer, _ in self.kernel_quantizers:
            if isinstance(quantizer, KernelQuantizer):
                kernel = tf.convert_to_tensor(getattr(self.layer, attribute))
                return quantizer.bias_divisor(tf.cast(kernel, tf.float32))
        return None

    def _is_last(self) -> bool:
        if self.role is None:
            # The first call decides in a network of version 0.1.0, and in one without a scheme.
            line = None if self._line is None else self._line.layer.name
            self.take_role(KernelRole(self.input_quantizer, line, not _is_read(self)))
        assert self.role is not None
        return self.role.is_last

    def bias_rounding(self) -> tf.Tensor | None:
        """Returns the error of rounding the bias to int32 at inference.

        The bias is rounded together with the offset of the line behind the kernel, in units of
        input scale times kernel scale; see `integer_bias.bias_rounding`.

        Returns:
            float64 `[output channels]`, to be added to the output of the layer, in front of the
            line. None if the scale of the layer's input or the unit of the kernel is not known.
        """
        scale = self.input_scale()
        if scale is None or len(self.kernel_quantizers) != 1:
            return None
        ((attribute, quantizer, weights),) = self.kernel_quantizers
        if not isinstance(quantizer, KernelQuantizer):
            return None
        values = tf.cast(tf.convert_to_tensor(getattr(self.layer, attribute)), tf.float32)
        unit = tf.reshape(tf.cast(quantizer.integers(values, weights)[1], tf.float64), [-1])
        return bias_rounding(self._whole_bias(), unit, scale * self.bias_units())

    def _whole_bias(self) -> tf.Tensor:
        """Returns the bias that does the work of the bias, the line's offset and the offset."""
        bias = tf.zeros([], tf.float64)
        if self.layer.use_bias:
            bias = tf.cast(tf.convert_to_tensor(self.layer.bias), tf.float64)
        added = None if self._result is None else self._result.layer.channel_offset()
        offset = tf.zeros([], tf.float64) if added is None else tf.cast(added, tf.float64)
        if self._line is None:
            return bias + offset
        slope, line_offset = line_of(self._line.layer)
        # A channel with γ = 0 gets an infinite bias here, which `bias_rounding` does not round.
        return bias + (line_offset + offset) / slope

    def _divided(self, kernels: dict[str, tf.Tensor], training: Any) -> dict[str, tf.Tensor]:
        """Returns the tensors that the layer computes with in place of its variables."""
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
        outputs = with_tensors(self.layer, cast)(inputs)
        if not self.integer_bias:
            return outputs
        return add_at_inference(outputs, training, self.bias_rounding)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def compute_output_signature(self, input_signature: Any) -> Any:
        shape = self.compute_output_shape(input_signature.shape)
        return tf.TensorSpec(shape, self.layer.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop('autocast', None)
        return {
            **config,
            'integer_bias': self.integer_bias,
            'role': None if self.role is None else dataclasses.asdict(self.role),
            'deployment': self.deployment.get_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizedKernel:
        role = config.get('role')
        # Networks of version 0.1.0 have neither entry.
        deployment = Deployment.from_config(config.get('deployment', {}))
        role = None if role is None else KernelRole(**role)
        return super().from_config({**config, 'role': role, 'deployment': deployment})


def _is_read(layer: keras.layers.Layer) -> bool:
    """Tells whether any layer but an 8-bit range at the end of the network reads a layer."""
    readers = readers_of(layer)
    return any(readers_of(reader) or not isinstance(reader, Int8Source) for reader in readers)


def _attribute_of(layer: keras.layers.Layer, variable: tf.Variable) -> str:
    for name, value in vars(layer).items():
        if value is variable:
            return name
    raise ValueError(
        f'quantize_config: expected variables of layer {layer.name!r}, got {variable.name!r}; '
        'return attributes of the layer from get_weights_and_quantizers.'
    )
