"""The table of the layers of Keras 3 that have a counterpart in tf_keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tf_keras as keras

from tf_n2uq.keras3.entry import Entry
from tf_n2uq.keras3.options import OTHER_ACTIVATIONS
from tf_n2uq.keras3.translation import ANY, Options, Translation, register_translation
from tf_n2uq.layers import ChannelScale, HardSigmoid, HardSwish

_LAYERS = keras.layers
_AS_LAYERS = {'hard_sigmoid': HardSigmoid, 'hard_silu': HardSwish, 'hard_swish': HardSwish}
# Layers with the same options in both, but for those that `translation` drops.
_SAME = (
    *('ActivityRegularization', 'AlphaDropout', 'Dropout', 'GaussianDropout', 'GaussianNoise'),
    *('Add', 'Average', 'Concatenate', 'Maximum', 'Minimum', 'Multiply', 'Subtract'),
    *('AveragePooling1D', 'AveragePooling2D', 'AveragePooling3D'),
    *('GlobalAveragePooling1D', 'GlobalAveragePooling2D', 'GlobalAveragePooling3D'),
    *('GlobalMaxPooling1D', 'GlobalMaxPooling2D', 'GlobalMaxPooling3D'),
    *('MaxPooling1D', 'MaxPooling2D', 'MaxPooling3D'),
    *('GroupNormalization', 'LayerNormalization', 'UnitNormalization'),
    *('CenterCrop', 'ELU', 'Flatten', 'Identity', 'Masking', 'PReLU', 'ReLU', 'RepeatVector'),
    *('Conv1D', 'Conv2D', 'Conv3D', 'Conv1DTranspose', 'Conv2DTranspose', 'Conv3DTranspose'),
    *('Cropping1D', 'Cropping2D', 'Cropping3D', 'UpSampling1D', 'UpSampling2D', 'UpSampling3D'),
    *('Dense', 'DepthwiseConv1D', 'DepthwiseConv2D', 'EinsumDense', 'Embedding'),
    *('ConvLSTM1D', 'ConvLSTM2D', 'ConvLSTM3D', 'GRUCell', 'LSTMCell', 'SimpleRNNCell'),
    *('RandomBrightness', 'RandomContrast', 'RandomFlip', 'RandomRotation'),
    *(
        'RandomTranslation',
        'RandomZoom',
        'Rescaling',
        'SeparableConv1D',
        'SeparableConv2D',
        'Softmax',
    ),
    *('SpatialDropout1D', 'SpatialDropout2D', 'SpatialDropout3D'),
    *('StackedRNNCells', 'TimeDistributed', 'ZeroPadding1D', 'ZeroPadding2D', 'ZeroPadding3D'),
)
# These rounds no number at inference: they belong to the augmentation of images in training.
_OF_AUGMENTATION = {'value_range': ANY}
_RECURRENT = ('sequences', 'initial_state', 'mask', 'training')
_ATTENTION = ('query', 'value', 'key', 'query_mask', 'value_mask', 'key_mask', 'attention_mask')


def _activation_layer(
    activation: Any = None, layer: Any = None, **common: Any
) -> keras.layers.Layer:
    return _LAYERS.Activation(activation, **common) if layer is None else layer(**common)


def _activation(entry: Entry, options: Options) -> None:
    """Makes a layer that the schemes know, where there is one."""
    for name, layer in _AS_LAYERS.items():
        if options['activation'] is OTHER_ACTIVATIONS[name]:
            del options['activation']
            options['layer'] = layer
            return


def _as_tuple(option: str) -> Callable[[Entry, Options], None]:
    def change(entry: Entry, options: Options) -> None:
        del entry
        options[option] = tuple(options[option])

    return change


def _attention(entry: Entry, options: Options) -> None:
    if options.get('output_shape') is not None:
        shape = options['output_shape']
        options['output_shape'] = tuple(shape) if isinstance(shape, list) else shape
    if options.get('attention_axes') is not None:
        options['attention_axes'] = tuple(options['attention_axes'])
    if options.get('flash_attention') is False:
        del options['flash_attention']


def _batch_normalization(entry: Entry, options: Options) -> None:
    renorm = [options.pop(name, None) for name in ('renorm', 'renorm_clipping', 'renorm_momentum')]
    if renorm[0]:
        raise entry.refusal(
            'has renorm=True, which tf_keras 2 does not offer', 'build the layer with renorm=False'
        )


def _bidirectional(entry: Entry, options: Options) -> None:
    for option, direction in (('layer', 'forward_'), ('backward_layer', 'backward_')):
        inner = options.get(option)
        if inner is not None:
            config = inner.get_config()
            config['name'] = config['name'].removeprefix(direction)
            options[option] = type(inner).from_config(config)


def _resizing(entry: Entry, options: Options) -> None:
    """Leaves out how borders are filled, which matters only if there are any."""
    if not options.get('pad_to_aspect_ratio', False):
        options.pop('fill_mode', None)
        options.pop('fill_value', None)


def _normalization(entry: Entry, options: Options) -> None:
    if isinstance(options.get('axis'), list):
        options['axis'] = tuple(options['axis']) or None


def _layer_scale(entry: Entry, options: Options) -> None:
    """Forgets how the factors start and how many they are: they are read, and the input tells."""
    del options['init_values'], options['projection_dim']


def _stochastic_depth(entry: Entry, options: Options) -> None:
    options['rate'] = options.pop('drop_path_rate')
    options['noise_shape'] = (None, 1, 1, 1)


for _name in _SAME:
    _neutral = _OF_AUGMENTATION if _name.startswith('Random') else {}
    register_translation(_name, Translation(getattr(_LAYERS, _name), neutral=_neutral))
for _name in ('GRU', 'LSTM', 'RNN', 'SimpleRNN'):
    register_translation(
        _name,
        Translation(
            getattr(_LAYERS, _name),
            also=('zero_output_for_mask',),
            first_arguments=_RECURRENT,
        ),
    )
for _name in ('AdditiveAttention', 'Attention'):
    register_translation(_name, Translation(getattr(_LAYERS, _name)))
register_translation('Activation', Translation(_activation_layer, change=_activation))
register_translation(
    'Bidirectional',
    Translation(_LAYERS.Bidirectional, change=_bidirectional, first_arguments=_RECURRENT),
)
register_translation(
    'BatchNormalization', Translation(_LAYERS.BatchNormalization, change=_batch_normalization)
)
register_translation('Dot', Translation(_LAYERS.Dot, renamed={'axis': 'axes'}))
register_translation('LayerScale', Translation(ChannelScale, change=_layer_scale))
register_translation('LeakyReLU', Translation(_LAYERS.LeakyReLU, {'negative_slope': 'alpha'}))
register_translation(
    'MultiHeadAttention',
    Translation(_LAYERS.MultiHeadAttention, change=_attention, first_arguments=_ATTENTION),
)
register_translation('Normalization', Translation(_LAYERS.Normalization, change=_normalization))
register_translation('Permute', Translation(_LAYERS.Permute, change=_as_tuple('dims')))
register_translation('Reshape', Translation(_LAYERS.Reshape, change=_as_tuple('target_shape')))
register_translation('Resizing', Translation(_LAYERS.Resizing, change=_resizing))
register_translation('StochasticDepth', Translation(_LAYERS.Dropout, change=_stochastic_depth))
