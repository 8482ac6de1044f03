"""DoReFa-Net's kernel quantizer, with the levels and the rescaling of AdaBits and SAT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.dorefa import dorefa, dorefa_elementwise, dorefa_factor, dorefa_integers
from tf_n2uq.ops.rescaling import check_rescale
from tf_n2uq.ops.unit_levels import quantize_unit, unit_levels
from tf_n2uq.quantizers.kernel import KernelQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class DoReFaQuantizer(KernelQuantizer):
    """Kernels, normalized by tanh and their maximum to −1..1, in 2**bits equally spaced levels.

    The function and its gradient are `tf_n2uq.ops.dorefa`; with `centered_asymmetric` levels, which
    are for tensors in 0..1, `tf_n2uq.ops.quantize_unit`. It has no variables.

    Without rescaling the quantized kernel fills −1..1, however small the float one is. A batch
    normalization behind the layer makes up for it; a layer that has none needs `stddev`.

    Source: Zhou et al., "DoReFa-Net", 2016, section 2.3; the levels: Jin et al., "AdaBits: Neural
    Network Quantization with Adaptive Bit-Widths", CVPR 2020; the rescaling: Jin et al., "Towards
    Efficient Training for Neural Network Quantization", 2019.
    """

    def __init__(
        self,
        bits: int,
        levels: str = 'original',
        rescale: str | None = None,
        channel_axis: int | Sequence[int] = -1,
    ) -> None:
        """Makes a quantizer.

        Args:
            bits: Of the kernel, 2..8.
            levels: Where in 0..1 the levels lie, of which a kernel's are twice that less 1:
                `original`, k/(2**bits − 1), to the nearest; `modified`, k/2**bits, rounded down;
                `centered_symmetric`, half a step above these, so that their mean is zero;
                `centered_asymmetric`, the same for a tensor in 0..1 itself.
            rescale: None; `constant`, to a variance of 1/(output channels · positions); `stddev`,
                to that of the float kernel.
            channel_axis: The kernel's axis of output channels; (-2, -1) for a depthwise kernel
                `[h, w, c, m]`.

        Raises:
            TypeError: `bits` or an axis is not an integer.
            ValueError: `bits` is not in 2..8, there are no such levels or rescaling, or a tensor in
                0..1 was to be rescaled.
        """
        super().__init__(bits, channel_axis)
        self._scheme = unit_levels(levels)
        self.level_scheme = levels
        self.rescale = check_rescale(rescale)
        if rescale is not None and not self._scheme.signed:
            raise ValueError(
                f'rescale: expected None with levels={levels!r}, which are for tensors in 0..1, '
                f"got {rescale!r}; use levels='centered_symmetric' for a kernel."
            )

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a kernel.

        Args:
            inputs: The kernel, float; with `centered_asymmetric` levels, a tensor in 0..1, to which
                it is clipped.
            training: Chooses the implementation, not the result: what is not in training gets
                plain operations in place of compiled functions.
            weights: Ignored.
            **kwargs: Ignored.

        Returns:
            Shape and dtype of `inputs`.
        """
        del weights, kwargs
        if not self._scheme.signed:
            return quantize_unit(inputs, self.bits, self.level_scheme)
        in_training = tf.is_tensor(training) or bool(training)
        quantize = dorefa if in_training else dorefa_elementwise
        return quantize(inputs, *self._arguments())

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            'bits': self.bits,
            'levels': self.level_scheme,
            'rescale': self.rescale,
            'channel_axis': self.channel_axis,
        }

    @property
    def keeps_scale(self) -> bool:
        """Whether a quantized kernel is about as large as the float one."""
        return self.rescale == 'stddev'

    def bias_divisor(self, kernel: tf.Tensor) -> tf.Tensor | None:
        """What the last dense layer's kernel and bias are divided by at inference.

        Args:
            kernel: The float kernel.

        Returns:
            float32 `[]`, the factor of the rescaling; None without.
        """
        if self.rescale is None:
            return None
        return dorefa_factor(kernel, *self._arguments())

    @property
    def has_odd_integers(self) -> bool:
        """Whether the kernel's integers are the odd ones: of `modified` levels they are not."""
        return self.level_scheme != 'modified'

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a kernel as `integers · unit`, for export; see `tf_n2uq.ops.dorefa_integers`.

        Args:
            kernel: float32.
            weights: Ignored.

        Returns:
            int32 of the kernel's shape, and one float32 unit that broadcasts against it.

        Raises:
            ValueError: The levels are not for kernels.
        """
        del weights
        return dorefa_integers(kernel, *self._arguments())

    def levels(self, inputs: tf.Tensor, weights: Mapping[str, Any]) -> NoReturn:
        """Refuses to be the quantizer of an activation in an integer file.

        Raises:
            ValueError: Always.
        """
        del inputs, weights
        self._refuse_activation()

    def step(self, weights: Mapping[str, Any]) -> NoReturn:
        """Refuses to be the quantizer of an activation in an integer file.

        Raises:
            ValueError: Always.
        """
        del weights
        self._refuse_activation()

    def _refuse_activation(self) -> NoReturn:
        raise ValueError(
            'quantizer: expected one for activations, whose levels are whole numbers of a step '
            f'with zero, which is what is padded, among them; got {self!r}. Use '
            f'DoReFaInputQuantizer({self.bits}) or PACTQuantizer({self.bits}).'
        )

    def _arguments(self) -> tuple[int, str, str | None, int | Sequence[int]]:
        return self.bits, self.level_scheme, self.rescale, self.channel_axis
