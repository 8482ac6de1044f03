"""Averages over windows and over whole images as integer operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.tflite.network.form import AsInKeras, IntegerCall, IntegerForm
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.line_form import fitted, identity
from tf_n2uq.tflite.network.operators import depthwise_1x1

_AS_IN_KERAS = AsInKeras()


class AverageForm:
    """An average as a depthwise convolution if all windows are full, and else in another form."""

    def __init__(
        self,
        average: Callable[[keras.layers.Layer, tf.Tensor, IntegerKernel], tf.Tensor],
        otherwise: IntegerForm,
    ) -> None:
        """Creates the form.

        Args:
            average: a function of the layer, its input and a kernel. It runs the depthwise kernel
                with the strides of the layer.
            otherwise: the form of a layer whose windows reach over the border.
        """
        self._average, self._otherwise = average, otherwise

    def kernels(self, call: IntegerCall) -> Mapping[str, IntegerKernel]:
        """Returns the exact kernel of the average, or the kernels of the other form."""
        if not _has_full_windows(call):
            return self._otherwise.kernels(call)
        return {'': fitted(IntegerKernel.of_average(call.layer.pool_size, call.channels), call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel, or the other form."""
        if not _has_full_windows(call):
            return self._otherwise.run(call, inputs, kernels)
        return self._average(call.layer, inputs[0], kernels[''])


def _has_full_windows(call: IntegerCall) -> bool:
    layer, shape = call.layer, call.input_shapes[0]
    sizes = zip(shape[1:-1], layer.pool_size, layer.strides, strict=True)
    return layer.padding == 'valid' or all(
        size is not None and size % stride == 0 and window == stride
        for size, window, stride in sizes
    )


class WholeAverageForm:
    """An average over whole images or series as MEAN, or as a line for images of one pixel.

    The converter drops a MEAN over one pixel, and with it the range that the MEAN writes in.
    """

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the kernel that moves one pixel to its new range; none for MEAN."""
        return {'': fitted(identity(call.channels), call)} if _is_one_pixel(call) else {}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel, or MEAN."""
        if not kernels:
            return _AS_IN_KERAS.run(call, inputs, kernels)
        batch, *_, channels = inputs[0].shape
        pixel = depthwise_1x1(inputs[0], kernels[''])
        # The range stands in front of the RESHAPE, which has none of its own.
        pixel = call.written().quantize(pixel)
        return pixel if call.layer.keepdims else tf.reshape(pixel, [batch, channels])


def _is_one_pixel(call: IntegerCall) -> bool:
    has_ranges = bool(call.sources) and call.result is not None
    return has_ranges and all(size == 1 for size in call.input_shapes[0][1:-1])
