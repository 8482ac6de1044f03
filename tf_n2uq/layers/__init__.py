"""Keras layers that a quantized network is made of."""

from tf_n2uq.layers.border_scale import BorderScale
from tf_n2uq.layers.channel_affine import ChannelAffine
from tf_n2uq.layers.channel_scale import ChannelScale
from tf_n2uq.layers.deployment import Deployment
from tf_n2uq.layers.depth_to_space import DepthToSpace, SpaceToDepth
from tf_n2uq.layers.dot_product_attention import DotProductAttention
from tf_n2uq.layers.hard_swish import HardSigmoid, HardSwish
from tf_n2uq.layers.kernel_use import KernelRole
from tf_n2uq.layers.layer_spec import (
    Kind,
    LayerSpec,
    is_channel_line,
    kind_of,
    line_of,
    register_layer,
    registered_layers,
    spec_of,
)
from tf_n2uq.layers.normalization_parts import ChannelMean, InverseDeviation
from tf_n2uq.layers.quantize import Quantize
from tf_n2uq.layers.quantized_kernel import QuantizedKernel
from tf_n2uq.layers.rprelu import RPReLU
from tf_n2uq.layers.slice import Slice
from tf_n2uq.layers.switchable_batch_normalization import SwitchableBatchNormalization

__all__ = [
    'BorderScale',
    'ChannelAffine',
    'ChannelMean',
    'ChannelScale',
    'Deployment',
    'DepthToSpace',
    'DotProductAttention',
    'HardSigmoid',
    'HardSwish',
    'InverseDeviation',
    'KernelRole',
    'Kind',
    'LayerSpec',
    'Quantize',
    'QuantizedKernel',
    'RPReLU',
    'Slice',
    'SpaceToDepth',
    'SwitchableBatchNormalization',
    'is_channel_line',
    'kind_of',
    'line_of',
    'register_layer',
    'registered_layers',
    'spec_of',
]
