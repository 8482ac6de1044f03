"""The wrapper around a layer whose kernel is quantized."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq._compat.keras_layers import DeclaredOutput, with_tensors
from tf_n2uq._compat.keras_models import readers_of
from tf_n2uq.layers.connections import Found, Int8Source, TakesOnLine
from tf_n2uq.layers.deployment import Deployment
from tf_n2uq.layers.integer_bias import add_at_inference, bias_rounding
from tf_n2uq.layers.kernel_use import KernelRole, KernelUse
from tf_n2uq.layers.named_variables import NamedVariables
from tf_n2uq.layers.training_watch import TrainingWatch
from tf_n2uq.quantizers.protocols import KernelQuantizer

_QuantizeConfig = tfmot.quantization.keras.QuantizeConfig


@keras.saving.register_keras_serializable(package='tf_n2uq')
class QuantizedKernel(
    NamedVariables, DeclaredOutput, TakesOnLine, tfmot.quantization.keras.QuantizeWrapper
):
    """Runs a layer with quantized kernels; the float kernels stay the layer's own variables.

    TFMOT's wrapper replaces `layer.kernel` by a tensor for good. The variable then belongs to the
    wrapper, which breaks the `.keras` format. With this wrapper, a twin of the layer computes with
    the quantized tensor, and the layer itself does not change while it is called.

    A model that calls the layer several times numbers the calls: `layer(x, use=1)`. The calls
    share the kernel and its quantizer. Each call rounds the bias by the int8 tensor that it reads.

    Attributes:
        layer: the wrapped Keras layer (`Conv2D`, `DepthwiseConv2D`, `Dense`, …).
        quantize_config: the TFMOT `QuantizeConfig` that names kernels and quantizers.
        integer_bias: whether the bias is rounded at inference as an integer file rounds it.
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
        role: KernelRole | Sequence[KernelRole | None] | None = None,
        deployment: Deployment | None = None,
        **kwargs: Any,
    ) -> None:
        """Creates the wrapper.

        Args:
            layer: the layer to wrap, built or not.
            quantize_config: names the layer's kernels and their quantizers.
            integer_bias: whether, at inference, the bias of the layer together with the offset of
                the role's line is rounded to a whole number of int32 units, as in the file.
            role: the decisions of the rewrite about the only call, or about each call in the
                order of their numbers. With None, the layer decides when it is connected.
            deployment: the grid that biases have in an integer file; None for the default one.
            **kwargs: Keras layer arguments; `name` defaults to `quant_<layer name>`, as TFMOT's.

        Raises:
            ValueError: if `layer` is not a Keras layer, or `quantize_config` is missing.
        """
        # Kernels are read in float32 here, also under mixed precision: the wrapped layer casts.
        kwargs.setdefault('dtype', 'float32')
        super().__init__(layer, quantize_config, autocast=False, **kwargs)
        self.integer_bias = integer_bias
        # A Dense layer passes a mask on to the layers behind it, quantized or not.
        self.supports_masking = layer.supports_masking
        self.deployment = deployment or Deployment()
        self.kernel_quantizers: list[tuple[str, Any, dict[str, tf.Variable]]] = []
        self._watch = TrainingWatch()
        roles = list(role) if isinstance(role, Sequence) else [role]
        # Keras does not look into this object for layers and variables.
        self._uses = Found({use: KernelUse(self.name, each) for use, each in enumerate(roles)})

    def use(self, number: int = 0) -> KernelUse:
        """Returns what the layer knows about one of its calls.

        Args:
            number: the number of the call, as the model gives it to the layer.
        """
        uses: dict[int, KernelUse] = self._uses.layer
        if number not in uses:
            uses[number] = KernelUse(self.name, None)
        return uses[number]

    def take_role(self, role: KernelRole, use: int = 0) -> None:
        """Sets the decisions of the rewrite about a call.

        Args:
            role: the decisions. The layer must not be connected yet.
            use: the number of the call.
        """
        self._uses.layer[use] = KernelUse(self.name, role)

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

    def connected(self, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        self.use(use_of(kwargs)).connected(inputs, kwargs)

    def find_operator(
        self, layers: Sequence[keras.layers.Layer], quantizer: Any, kwargs: Mapping[str, Any]
    ) -> None:
        self.use(use_of(kwargs)).find_operator(layers, quantizer)

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

    def bias_units(self, use: int = 0) -> int:
        """Returns of how many units of the kernel the bias is a multiple in a file, 1 or 2.

        Half of the bias of a halved kernel is a whole number. Levels that an operator has written
        lie one int8 step apart. A file spreads them to an even number of steps in front of a halved
        kernel, which makes all biases even there.

        Args:
            use: the number of the call.
        """
        return 2 if self.may_be_halved() and not self.use(use).reads_written_levels() else 1

    def bias_divisor(self, use: int = 0) -> tf.Tensor | None:
        """Returns the divisor of kernel and bias at inference, as in SAT's published code.

        In training, SAT multiplies the kernel of a dense layer by a factor. At inference, the
        published code divides the bias by this factor instead of multiplying the kernel. So all
        outputs are smaller or larger than in training by the same factor. This is done in the last
        layer of a network with float tensors only, because a layer behind has learned from the
        outputs of training.

        Args:
            use: the number of the call.

        Returns:
            float32 `[]`, > 0; None if nothing is divided.
        """
        is_dense = type(self.layer) is keras.layers.Dense
        if self.integer_bias or not is_dense or not self._is_last(use):
            return None
        for attribute, quantizer, _ in self.kernel_quantizers:
            if isinstance(quantizer, KernelQuantizer):
                kernel = tf.convert_to_tensor(getattr(self.layer, attribute))
                return quantizer.bias_divisor(tf.cast(kernel, tf.float32))
        return None

    def _is_last(self, number: int) -> bool:
        use = self.use(number)
        if use.role is None:
            # The first call decides in a network of version 0.1.0, and in one without a scheme.
            line = None if use.line is None else use.line.name
            use.role = KernelRole(use.input_quantizer, line, not _is_read(self))
        return use.role.is_last

    def bias_rounding(self, use: int = 0) -> tf.Tensor | None:
        """Returns the error of rounding the bias to int32 at inference.

        The bias is rounded together with the offset of the line behind the kernel, in units of
        input scale times kernel scale; see `integer_bias.bias_rounding`.

        Args:
            use: the number of the call.

        Returns:
            float64 `[output channels]`, to be added to the output of the layer, in front of the
            line. None if the scale of the layer's input or the unit of the kernel is not known.
        """
        scale = self.use(use).input_scale()
        if scale is None or len(self.kernel_quantizers) != 1:
            return None
        ((attribute, quantizer, weights),) = self.kernel_quantizers
        if not isinstance(quantizer, KernelQuantizer):
            return None
        values = tf.cast(tf.convert_to_tensor(getattr(self.layer, attribute)), tf.float32)
        unit = tf.reshape(tf.cast(quantizer.integers(values, weights)[1], tf.float64), [-1])
        bias = tf.zeros([], tf.float64)
        if self.layer.use_bias:
            bias = tf.cast(tf.convert_to_tensor(self.layer.bias), tf.float64)
        grid = scale * self.bias_units(use)
        return bias_rounding(self.use(use).whole_bias(bias), unit, grid)

    def _divided(
        self, kernels: dict[str, tf.Tensor], training: Any, use: int
    ) -> dict[str, tf.Tensor]:
        """Returns the tensors that the layer computes with in place of its variables."""
        in_training = tf.get_static_value(tf.cast(training, tf.bool))
        divisor = None if in_training else self.bias_divisor(use)
        if divisor is None:
            return kernels
        if in_training is None:
            divisor = tf.where(tf.cast(training, tf.bool), tf.ones_like(divisor), divisor)
        tensors = dict(kernels)
        if self.layer.use_bias:
            tensors['bias'] = tf.cast(tf.convert_to_tensor(self.layer.bias), tf.float32)
        return {name: tensor / divisor for name, tensor in tensors.items()}

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: tf.Tensor, training: Any = None, use: int = 0) -> tf.Tensor:
        if training is None:
            training = keras.backend.learning_phase()
        for attribute, *_ in self.kernel_quantizers[:1]:
            kernel, following = getattr(self.layer, attribute), self.use(use).following()
            self._watch.see(self.name, training, kernel, following)
        tensors = self._divided(self.quantized_kernels(training), training, use)
        cast = {name: tf.cast(value, self.layer.compute_dtype) for name, value in tensors.items()}
        outputs = with_tensors(self.layer, cast)(inputs)
        if not self.integer_bias:
            return outputs
        return add_at_inference(outputs, training, lambda: self.bias_rounding(use))

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
            'role': self._config_of_roles(),
            'deployment': self.deployment.get_config(),
        }

    def _config_of_roles(self) -> Any:
        """Returns the config of the only call, or a list with the configs of all calls."""
        roles = [self.use(number).role for number in range(1 + max(self._uses.layer))]
        configs = [None if role is None else dataclasses.asdict(role) for role in roles]
        return configs if len(configs) > 1 else configs[0]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizedKernel:
        role = config.get('role')
        # Networks of version 0.1.0 have neither entry.
        deployment = Deployment.from_config(config.get('deployment', {}))
        configs = role if isinstance(role, Sequence) else [role]
        roles = [None if each is None else KernelRole(**each) for each in configs]
        return super().from_config({**config, 'role': roles, 'deployment': deployment})


def use_of(kwargs: Mapping[str, Any]) -> int:
    """Returns the number of a call of a `QuantizedKernel`, from the arguments of the call."""
    return int(kwargs.get('use', 0))


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
