"""The kernel quantizer of DoReFa-Net, with the levels of AdaBits and the rescaling of SAT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.dorefa import dorefa, dorefa_elementwise, dorefa_factor, dorefa_integers
from tf_n2uq.ops.rescaling import check_rescale
from tf_n2uq.ops.unit_levels import quantize_unit, unit_levels
from tf_n2uq.quantizers.plain_kernel import PlainKernelQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class DoReFaQuantizer(PlainKernelQuantizer):
    """Kernels, normalized by tanh and their maximum to −1..1, in 2**bits equally spaced levels.

    With v = tanh(w)/max|tanh(w)| and q the level of (v + 1)/2, the output is (2q − 1)·factor. With
    'original' levels q is round((v + 1)/2·n)/n, where n = 2**bits − 1. The factor is 1 without
    rescaling.

    The gradient takes the rounding for the identity and the factor for a constant. It goes through
    the tanh and the maximum: it is that of factor·v. The function is `tf_n2uq.ops.dorefa`; with
    'centered_asymmetric' levels, which are for tensors in 0..1, it is `tf_n2uq.ops.quantize_unit`.
    The quantizer has no variables.

    Without rescaling the quantized kernel fills −1..1, however small the float one is. A batch
    normalization behind the layer makes up for that; a layer without one needs 'stddev'.

    It is no quantizer of activations for an integer file, not even with 'centered_asymmetric'
    levels, because none of these is zero, which is padded. `DoReFaInputQuantizer` and
    `PACTQuantizer` are.

    Source: Zhou et al., "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
    Bitwidth Gradients", 2016, section 2.3, eq. 9; the levels: Jin et al., "AdaBits: Neural Network
    Quantization with Adaptive Bit-Widths", CVPR 2020; the rescaling: Jin et al., "Towards Efficient
    Training for Neural Network Quantization", 2019.
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
            bits: The bit-width of the kernel, 2..8.
            levels: The place of the levels q in 0..1. 'original' levels are k/(2**bits − 1), and a
                value goes to the nearest. 'modified' levels are k/2**bits, and a value is rounded
                down. 'centered_symmetric' levels are half a step above these, so that the mean of
                2q − 1 is zero. 'centered_asymmetric' levels are the same, for a tensor in 0..1
                instead of a kernel.
            rescale: None; 'constant', to a variance of 1/(output channels · positions); 'stddev',
                to the variance of the float kernel.
            channel_axis: The kernel's axis of output channels; (-2, -1) for a depthwise kernel
                `[h, w, c, m]`.

        Raises:
            TypeError: `bits` or an axis is not an integer.
            ValueError: `bits` is not in 2..8, there are no such levels or rescaling, or levels of a
                tensor in 0..1 come with a rescaling.
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
            inputs: The kernel, of a floating point dtype; with 'centered_asymmetric' levels a
                tensor, which is clipped to 0..1.
            training: Chooses the implementation, and not the result: training has compiled
                functions, inference has plain operations, which converters understand.
            weights: Ignored.
            **kwargs: Ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`.
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
        """Returns the number that the last dense layer's kernel and bias are divided by.

        Args:
            kernel: The float kernel, float32.

        Returns:
            float32 `[]`, the factor of the rescaling; None without a rescaling.
        """
        if self.rescale is None:
            return None
        return dorefa_factor(kernel, *self._arguments())

    @property
    def has_odd_integers(self) -> bool:
        """Whether all integers are odd: they are, except with 'modified' levels."""
        return self.level_scheme != 'modified'

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a kernel as `integers · unit`, for export; see `tf_n2uq.ops.dorefa_integers`.

        Args:
            kernel: The float kernel, float32.
            weights: Ignored.

        Returns:
            int32 of the kernel's shape, and one float32 unit that broadcasts against it.

        Raises:
            ValueError: The levels are not for kernels.
        """
        del weights
        return dorefa_integers(kernel, *self._arguments())

    def _arguments(self) -> tuple[int, str, str | None, int | Sequence[int]]:
        return self.bits, self.level_scheme, self.rescale, self.channel_axis
