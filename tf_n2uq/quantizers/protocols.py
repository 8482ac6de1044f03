"""The interfaces of quantizers: the properties and methods that other rooms of the package use.

Layers, calibration and export work with every quantizer that has them, whatever its class is. A
method of your own needs a quantizer of activations and one of kernels; both may derive from
`base.ConfiguredQuantizer`, which brings equality, hashing and the defaults of kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from tf_n2uq.quantizers.statistics import TensorStatistics


@runtime_checkable
class TensorQuantizer(Protocol):
    """The interface of TFMOT's `Quantizer`, which every quantizer here has.

    The quantizer itself holds no variables: `build` adds them to a layer, and the layer hands them
    back as `weights`.
    """

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Adds the variables of the quantizer to a layer.

        Args:
            tensor_shape: The shape of the tensor, the batch included.
            name: The name of the tensor, which the names of the variables begin with.
            layer: The Keras layer that owns the variables.

        Returns:
            The variables by the names that the quantizer knows them by; empty without variables.
        """
        ...

    def __call__(
        self, inputs: tf.Tensor, training: Any, weights: Mapping[str, Any], **kwargs: Any
    ) -> tf.Tensor:
        """Quantizes a tensor, with the method's gradient.

        Args:
            inputs: A tensor of any shape and of a floating point dtype.
            training: Whether the model is being trained: a bool, None for no, or a bool tensor.
            weights: The dictionary that `build` returned.
            **kwargs: Further arguments of TFMOT, ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`.
        """
        ...

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, as JSON can hold them."""
        ...


@runtime_checkable
class ScaledQuantizer(TensorQuantizer, Protocol):
    """A quantizer of activations whose output is whole numbers of one step.

    `layers.Quantize` asks for this, to round the biases behind it as an integer file does.
    """

    @property
    def bits(self) -> int:
        """The bit-width of the output, 2..8: it has at most 2**bits values."""
        ...

    @property
    def is_identity(self) -> bool:
        """Whether tensors pass unchanged, because the quantizer in front has the same values."""
        ...

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the difference between two neighbouring values of the output.

        Args:
            weights: The dictionary that `build` returned. The method may be called in a
                `tf.function`.

        Returns:
            float64 `[]`, in units of the output. It is negative where values fall as levels rise,
            and 0 only where the output is worth nothing, which the export refuses.
        """
        ...


@runtime_checkable
class UniformQuantizer(ScaledQuantizer, Protocol):
    """A quantizer of activations that tells whether its levels are equally far apart.

    A quantizer without these properties is taken for one whose levels are not.
    """

    @property
    def is_uniform(self) -> bool:
        """Whether levels are the input divided by `step`, rounded and clipped.

        In a file, the operator in front of such a quantizer can write the levels by itself.
        """
        ...

    @property
    def is_unsigned(self) -> bool:
        """Whether 0 is the lowest level, whatever the variables are."""
        ...


@runtime_checkable
class ActivationQuantizer(ScaledQuantizer, Protocol):
    """A quantizer of activations with few levels.

    The output is `step · levels`. The levels are whole numbers from a lowest one in
    −(2**bits − 1)..0 to 2**bits − 1 above it, so that zero, which is padded, is one of them.
    """

    def levels(self, inputs: tf.Tensor, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the level of each value; the export evaluates it on all 256 values of int8.

        Args:
            inputs: A tensor of any shape and of a floating point dtype.
            weights: The dictionary that `build` returned.

        Returns:
            int32, of the shape of `inputs`.
        """
        ...

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns start values for the variables.

        Args:
            statistics: The statistics of the tensor that enters the quantizer.

        Returns:
            An array for each variable that is to change, by the names of `build`.
        """
        ...


@runtime_checkable
class TensorRange(ScaledQuantizer, Protocol):
    """A quantizer of the tensors between layers: 2**bits equally spaced values of a range."""

    def bounds(self, weights: Mapping[str, Any]) -> tuple[float, float]:
        """Returns the ends of the range; the output may lie up to half a step beside them.

        Args:
            weights: The dictionary that `build` returned, with values (not in a `tf.function`).

        Returns:
            The lower end, at most 0, and the upper end, at least 0 and above the lower one.
        """
        ...

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns start values for the variables, as `ActivationQuantizer.calibrated` does."""
        ...


@runtime_checkable
class KernelQuantizer(TensorQuantizer, Protocol):
    """A quantizer of kernels, whose output is whole numbers of a unit per output channel.

    A quantizer that has variables also has `calibrated`, see `LearningKernelQuantizer`.
    """

    @property
    def bits(self) -> int:
        """The bit-width of the kernel, 2..8."""
        ...

    @property
    def keeps_scale(self) -> bool:
        """Whether a quantized kernel is about as large as the float one.

        If not, the rewrite and calibration scale the normalization behind the layer.
        """
        ...

    @property
    def has_odd_integers(self) -> bool:
        """Whether all integers of a quantized kernel are odd, so that 0 is none of them."""
        ...

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a quantized kernel as integers and units, whose product it is, bit by bit.

        Args:
            kernel: The float kernel, float32.
            weights: The dictionary that `build` returned; None without variables.

        Returns:
            int32 of the kernel's shape, in −(2**bits − 1)..2**bits − 1, and float32 units >= 0 that
            broadcast against it.
        """
        ...

    def bias_divisor(self, kernel: tf.Tensor) -> tf.Tensor | None:
        """Returns the number that the last dense layer's kernel and bias are divided by.

        Args:
            kernel: The float kernel, float32.

        Returns:
            float32 `[]`, > 0; None for a method that divides nothing.
        """
        ...


@runtime_checkable
class LearningKernelQuantizer(KernelQuantizer, Protocol):
    """A quantizer of kernels that learns variables of its own."""

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns start values for the variables.

        Args:
            statistics: The statistics of the kernel, with all its weights as samples.

        Returns:
            An array for each variable that is to change, by the names of `build`.
        """
        ...
