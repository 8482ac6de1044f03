"""What TFMOT's own configs, given for single layers, mean under a scheme of this package."""

from __future__ import annotations

import enum
from typing import Any

import tf_keras as keras

from tf_n2uq.layers.layer_spec import spec_of

# The classes are in no public module, and TFMOT has some of them twice: what its `quantize_scope`
# has loaded is of the n-bit scheme. So the name of the class counts.
_PACKAGE = 'tensorflow_model_optimization.'
_OF_NOTHING = ('NoOpQuantizeConfig',)
_OF_WEIGHTS = (
    'Default8BitQuantizeConfig',
    'Default8BitConvQuantizeConfig',
    'Default8BitConvTransposeQuantizeConfig',
)
_OF_RESULTS = ('Default8BitActivationQuantizeConfig', 'Default8BitOutputQuantizeConfig')


class Meaning(enum.Enum):
    """What a config of TFMOT asks for."""

    FLOAT = 'the layer stays in float'
    KERNEL = 'kernel and input of the layer have 8 bits'
    RANGE = 'the layer has no kernel, and writes an 8-bit range, as it does without a config'


def meaning_of(config: Any, layer: keras.layers.Layer, name: str) -> Meaning:
    """Returns what a config of another package means for a layer.

    Args:
        config: a TFMOT `QuantizeConfig` that is none of this package.
        layer: the layer.
        name: the name of the layer in the user's model.

    Raises:
        ValueError: if it is not a config of TFMOT's 8-bit scheme that quantizes what this package
            quantizes: other quantizers have no form in an integer file.
    """
    kind = type(config).__name__ if type(config).__module__.startswith(_PACKAGE) else ''
    if kind in _OF_NOTHING:
        return Meaning.FLOAT
    spec = spec_of(layer)
    kernels = {attribute for attribute, _ in spec.kernels} if spec is not None else set()
    weights = set(getattr(config, 'weight_attrs', ()))
    if kernels and kind in _OF_WEIGHTS and weights == kernels:
        return Meaning.KERNEL
    if not kernels and not weights and kind in (*_OF_WEIGHTS, *_OF_RESULTS):
        return Meaning.RANGE
    raise ValueError(
        f'quantize_config: expected a config of this package for layer {name!r}, such as '
        f'tf_n2uq.N2UQQuantizeConfig(bits=4), got {type(config).__name__}, for which an integer '
        f'file has no form. Annotate the layer without a config, and give its bits to the scheme, '
        f'layers={{{name!r}: 8}}, or None for float; or derive your config from '
        'tf_n2uq.MethodQuantizeConfig.'
    )
