"""The interfaces of quantizers, and which quantizers have them."""

from __future__ import annotations

import inspect

import pytest

from tf_n2uq import quantizers
from tf_n2uq.quantizers import (
    ActivationQuantizer,
    KernelQuantizer,
    LearningKernelQuantizer,
    ScaledQuantizer,
    TensorQuantizer,
    TensorRange,
)

ACTIVATIONS = [
    quantizers.LearnableThresholdQuantizer(3),
    quantizers.PACTQuantizer(3),
    quantizers.DoReFaInputQuantizer(3),
    quantizers.LSQInputQuantizer(3),
    quantizers.LSQPlusInputQuantizer(3),
]
PLAIN_KERNELS = [
    quantizers.EntropyPreservingQuantizer(3),
    quantizers.DoReFaQuantizer(3),
    quantizers.SymmetricQuantizer(8),
]
LEARNING_KERNELS = [quantizers.LSQQuantizer(3), quantizers.LSQPlusQuantizer(3)]
RANGES = [quantizers.RangeQuantizer(), quantizers.FixedRangeQuantizer(0, 1)]
ADAPTIVE_INPUT = quantizers.AdaptiveQuantizer({8: None, 3: quantizers.PACTQuantizer(3)})
ADAPTIVE_KERNEL = quantizers.AdaptiveQuantizer({8: PLAIN_KERNELS[2], 3: PLAIN_KERNELS[0]})

CONFORMING = [
    *((protocol, each) for each in ACTIVATIONS for protocol in (ActivationQuantizer,)),
    *((KernelQuantizer, each) for each in (*PLAIN_KERNELS, *LEARNING_KERNELS, ADAPTIVE_KERNEL)),
    *((LearningKernelQuantizer, each) for each in LEARNING_KERNELS),
    *((TensorRange, each) for each in RANGES),
    *((ScaledQuantizer, each) for each in (*ACTIVATIONS, *RANGES, ADAPTIVE_INPUT)),
]


def members(protocol):
    """The methods and properties that a protocol and its bases ask for."""
    return {
        name: value
        for base in protocol.__mro__
        if getattr(base, '_is_protocol', False)
        for name, value in vars(base).items()
        if name == '__call__' or not name.startswith('_')
    }


@pytest.mark.parametrize(
    ('protocol', 'quantizer'), CONFORMING, ids=lambda value: getattr(value, '__name__', repr(value))
)
def test_a_quantizer_has_the_interface_with_the_same_arguments(protocol, quantizer):
    assert isinstance(quantizer, protocol)
    for name, asked in members(protocol).items():
        found = inspect.getattr_static(type(quantizer), name, None)
        if isinstance(asked, property):
            assert isinstance(getattr(quantizer, name), int)
        else:
            expected, got = inspect.signature(asked), inspect.signature(found)
            assert list(got.parameters) == list(expected.parameters), name


@pytest.mark.parametrize('quantizer', [*PLAIN_KERNELS, ADAPTIVE_KERNEL], ids=repr)
def test_a_kernel_quantizer_without_variables_is_nothing_else(quantizer):
    assert not isinstance(quantizer, LearningKernelQuantizer)
    assert not isinstance(quantizer, ActivationQuantizer)
    assert isinstance(quantizer, ScaledQuantizer) == (quantizer is ADAPTIVE_KERNEL)


@pytest.mark.parametrize('quantizer', [*ACTIVATIONS, *PLAIN_KERNELS], ids=repr)
def test_only_a_range_has_bounds(quantizer):
    assert not isinstance(quantizer, TensorRange)


def test_a_class_of_any_origin_may_have_an_interface():
    """The interfaces are those of TFMOT quantizers that derive from no class of this package."""

    class Foreign:
        def build(self, tensor_shape, name, layer):
            return {}

        def __call__(self, inputs, training, weights, **kwargs):
            return inputs

        def get_config(self):
            return {}

    class Scaled(Foreign):
        bits, is_identity = 4, False

        def step(self, weights):
            return 1.0

    assert isinstance(Foreign(), TensorQuantizer)
    assert not isinstance(Foreign(), ScaledQuantizer)
    assert isinstance(Scaled(), ScaledQuantizer)
    assert not isinstance(Scaled(), ActivationQuantizer)


@pytest.mark.parametrize(
    'protocol', [ActivationQuantizer, KernelQuantizer, LearningKernelQuantizer, TensorRange]
)
def test_every_member_says_what_it_is(protocol):
    for name, value in members(protocol).items():
        assert value.__doc__, name
