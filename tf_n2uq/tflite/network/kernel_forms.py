"""Convolutions, dense layers and other layers with one kernel, as integer operators."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import spec_of
from tf_n2uq.layers.quantized_kernel import use_of
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.line_form import fitted, identity
from tf_n2uq.tflite.network.operators import convolve, depthwise, run_dense
from tf_n2uq.tflite.network.transposed import run_transposed


class KernelForm:
    """A layer without a trained kernel that multiplies by one kernel all the same."""

    def __init__(
        self,
        kernel: Callable[[IntegerCall], IntegerKernel],
        multiply: Callable[[keras.layers.Layer, tf.Tensor, IntegerKernel], tf.Tensor],
    ) -> None:
        """Creates the form.

        Args:
            kernel: a function that makes the kernel for a call of a built layer.
            multiply: a function of the layer, its input and the kernel. It runs the kernel.
        """
        self._kernel, self._multiply = kernel, multiply

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the kernel."""
        return {'': fitted(self._kernel(call), call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel."""
        return self._multiply(call.layer, inputs[0], kernels[''])


class QuantizedKernelForm:
    """A `QuantizedKernel` together with the line behind it, as one operator."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the integer kernel, which also computes the line."""
        use = use_of(call.step.kwargs)
        kernel = IntegerKernel.of(call.layer, call.sources[0].factor, use)
        if call.line is not None:
            kernel = kernel.normalized(call.line)
        bias, spread = kernel.bias + call.offset_out, call.sources[0].spread
        kernel = dataclasses.replace(kernel, bias=bias, spread=spread)
        return {'': fitted(kernel, call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel as the wrapped layer does."""
        wrapper: QuantizedKernel = call.layer
        spec = spec_of(wrapper.layer)
        assert spec is not None
        assert spec.multiply is not None
        return spec.multiply(wrapper.layer, inputs[0], kernels[''])


class PickedPixelsForm:
    """A maximum over windows of one pixel, which XNNPACK refuses."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the kernel that changes nothing."""
        scale = call.sources[0].range.scale
        return {'': identity(call.channels).representable(scale, scale)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Picks the pixels by the stride of a depthwise convolution."""
        picked = depthwise(inputs[0], kernels[''], call.layer.strides)
        return call.sources[0].range.quantize(picked)


def multiply_dense(
    layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel
) -> tf.Tensor:
    """Runs a dense kernel on the last axis: `[batch, …, channels]` → `[batch, …, units]`."""
    del layer
    return run_dense(inputs, kernel)


def multiply_image(
    layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel
) -> tf.Tensor:
    """Runs a convolution over `[batch, height, width, channels]` as a layer does."""
    return convolve(
        inputs, kernel, layer.strides, layer.dilation_rate, layer.padding, is_depthwise(layer)
    )


def multiply_series(
    layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel
) -> tf.Tensor:
    """Runs a convolution over `[batch, length, channels]` as one over images of one row."""
    image = tf.expand_dims(inputs, 1)
    # TensorFlow's depthwise convolution needs equal strides in both directions. As there is only
    # one row, the stride of the rows has no effect.
    strides = (layer.strides[0], layer.strides[0])
    dilations, padding = (1, layer.dilation_rate[0]), layer.padding
    if padding == 'causal':
        before = dilations[1] * (layer.kernel_size[0] - 1)
        image, padding = tf.pad(image, [[0, 0], [0, 0], [before, 0], [0, 0]]), 'valid'
    row = dataclasses.replace(kernel, integers=kernel.integers[None])
    return tf.squeeze(convolve(image, row, strides, dilations, padding, is_depthwise(layer)), 1)


def multiply_transposed(
    layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel
) -> tf.Tensor:
    """Runs a transposed convolution over `[batch, height, width, channels]` as a layer does."""
    size = layer.compute_output_shape(inputs.shape)[1:3]
    return run_transposed(layer, inputs, kernel, tuple(size))


def average_image(layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel) -> tf.Tensor:
    """Runs an average over full windows of `[batch, height, width, channels]`."""
    return depthwise(inputs, kernel, layer.strides)


def average_series(
    layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel
) -> tf.Tensor:
    """Runs an average over full windows of `[batch, length, channels]`."""
    strides = (layer.strides[0], layer.strides[0])
    return tf.squeeze(depthwise(tf.expand_dims(inputs, 1), kernel, strides), 1)


def is_depthwise(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer is a depthwise convolution, with kernels for each input channel."""
    return hasattr(layer, 'depthwise_kernel')
