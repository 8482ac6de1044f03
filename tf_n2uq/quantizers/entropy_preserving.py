"""N2UQ's weight quantizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.n2uq import entropy_preserving, kernel_integers
from tf_n2uq.quantizers.kernel import KernelQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class EntropyPreservingQuantizer(KernelQuantizer):
    """Kernels in 2**bits equally spaced levels, scaled so that all levels are about as likely.

    The function and its gradient are `tf_n2uq.ops.entropy_preserving`. It has no variables.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 3.3.
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
            inputs: The kernel, float.
            training: Ignored: a kernel is quantized the same in training and inference.
            weights: Ignored.
            **kwargs: Ignored.

        Returns:
            Shape and dtype of `inputs`.

        Raises:
            ValueError: `channel_axis` is not an axis of the kernel.
        """
        del training, weights, kwargs
        return entropy_preserving(inputs, self.bits, self.channel_axis)

    @property
    def has_odd_integers(self) -> bool:
        """Whether the kernel's integers are the odd ones: they are."""
        return True

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a kernel as `integers · unit`, for export; see `tf_n2uq.ops.kernel_integers`.

        Args:
            kernel: float32.
            weights: Ignored.

        Returns:
            int32 of the kernel's shape, and float32 units that broadcast against it.
        """
        del weights
        return kernel_integers(kernel, self.bits, self.channel_axis)
