"""The kernel quantizer of N2UQ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.n2uq import entropy_preserving, kernel_integers
from tf_n2uq.quantizers.plain_kernel import PlainKernelQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class EntropyPreservingQuantizer(PlainKernelQuantizer):
    """Kernels in 2**bits equally spaced levels, scaled so that all levels are about as likely.

    Each output channel has the scale c = γ·mean|w| with γ = (2**bits − 1)/2**(bits−1). With
    n = 2**bits − 1, the output is (2·round((clip(w/c, −1, 1) + 1)/2·n)/n − 1)·c, which is c/n times
    an odd integer.

    The gradient is that of the published code: w gets 1/c times the upstream gradient, also where
    |w| > c, and c gets none. In a channel of zeros the gradient passes unchanged. The function is
    `tf_n2uq.ops.entropy_preserving`. The quantizer has no variables.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization: Towards Accurate Quantization via
    Generalized Straight-Through Estimation", CVPR 2022, section 3.3.
    """

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a kernel.

        Args:
            inputs: The kernel, of a floating point dtype.
            training: Ignored: a kernel is quantized the same in training and inference.
            weights: Ignored.
            **kwargs: Ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`.

        Raises:
            ValueError: `channel_axis` is not an axis of the kernel.
        """
        del training, weights, kwargs
        return entropy_preserving(inputs, self.bits, self.channel_axis)

    @property
    def has_odd_integers(self) -> bool:
        """Whether all integers of a quantized kernel are odd: they are."""
        return True

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a kernel as `integers · unit`, for export; see `tf_n2uq.ops.kernel_integers`.

        Args:
            kernel: The float kernel, float32.
            weights: Ignored.

        Returns:
            int32 of the kernel's shape, and float32 units that broadcast against it.
        """
        del weights
        return kernel_integers(kernel, self.bits, self.channel_axis)
