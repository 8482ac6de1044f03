"""Keras layers that a quantized network is made of."""

from tf_n2uq.layers.quantize import Quantize
from tf_n2uq.layers.quantized_kernel import QuantizedKernel
from tf_n2uq.layers.rprelu import RPReLU

__all__ = ['Quantize', 'QuantizedKernel', 'RPReLU']
