"""The base class of the quantizers of this package, and the variables that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot

_PARAMETER_MARK = '_tf_n2uq_quantizer_parameter'


class ConfiguredQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """A TFMOT quantizer that compares, hashes and prints by its config.

    It has the properties of `protocols.KernelQuantizer` that hold for most kernels, so that a
    subclass says only what is different.
    """

    @property
    def keeps_scale(self) -> bool:
        """Whether a quantized kernel is about as large as the float one.

        If not, the rewrite and calibration scale the normalization behind the layer.
        """
        return True

    @property
    def is_identity(self) -> bool:
        """Whether tensors pass unchanged, because the quantizer in front has the same values."""
        return False

    @property
    def is_uniform(self) -> bool:
        """Whether levels are the input divided by `step`, rounded and clipped."""
        return False

    @property
    def is_unsigned(self) -> bool:
        """Whether 0 is the lowest level, whatever the variables are."""
        return False

    @property
    def has_odd_integers(self) -> bool:
        """Whether all integers of a quantized kernel are odd, so that 0 is none of them."""
        return False

    def bias_divisor(self, kernel: tf.Tensor) -> tf.Tensor | None:
        """Returns the number that the last dense layer's kernel and bias are divided by.

        Args:
            kernel: The float kernel, float32.

        Returns:
            float32 `[]`, > 0; None for a method that divides nothing.
        """
        del kernel
        return None

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.get_config() == self.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(self.get_config().items()))))

    def __repr__(self) -> str:
        arguments = ', '.join(f'{k}={v!r}' for k, v in self.get_config().items())
        return f'{type(self).__name__}({arguments})'

    def _entries(self, weights: Mapping[str, Any] | None, *names: str) -> list[Any]:
        """Returns the variables of `weights` that the quantizer needs.

        Raises:
            ValueError: A variable is missing.
        """
        missing = [name for name in names if weights is None or name not in weights]
        if missing:
            raise ValueError(
                f'weights: expected the entries {list(names)} for {type(self).__name__}, got '
                f'{sorted(weights or {})} without {missing}; pass the dictionary that build() of '
                'the quantizer returned.'
            )
        assert weights is not None
        return [weights[name] for name in names]


def add_parameter(
    layer: Any, name: str, shape: tuple[int, ...], value: float, **options: Any
) -> tf.Variable:
    """Adds a float32 variable to a layer, float32 also under a mixed precision policy.

    The variable is marked as a quantizer's, so that `is_quantizer_parameter` recognizes it
    whatever its name is.

    Args:
        layer: The Keras layer that owns the variable.
        name: The name of the variable.
        shape: The shape of the variable.
        value: The start value of every element.
        **options: Further arguments of `add_weight`.

    Returns:
        The variable.
    """
    variable = layer.add_weight(
        name,
        shape=shape,
        dtype=tf.float32,
        initializer=tf.constant_initializer(value),
        experimental_autocast=False,
        **options,
    )
    # Loading and cloning build each layer again, so that every copy comes through here.
    setattr(variable, _PARAMETER_MARK, True)
    return variable


def is_quantizer_parameter(variable: tf.Variable) -> bool:
    """Tells whether a variable belongs to a quantizer, because `add_parameter` made it.

    Args:
        variable: A variable of a model. Under `tf.distribute` it is the variable that the model
            holds, not one replica's part of it.

    Returns:
        True for thresholds, scales, steps, clipping values and ranges of quantizers.
    """
    return getattr(variable, _PARAMETER_MARK, False)
