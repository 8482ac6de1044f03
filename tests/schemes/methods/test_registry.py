"""The registry of methods: who is in it, how a method enters it, and what its errors say."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import tf_n2uq
from tf_n2uq.quantizers import LSQInputQuantizer, LSQQuantizer
from tf_n2uq.schemes.methods import registry


class MyQuantizeConfig(tf_n2uq.MethodQuantizeConfig):
    def method_kernel_quantizer(self, channel_axis):
        return LSQQuantizer(self.weight_bits)

    def method_input_quantizer(self):
        return LSQInputQuantizer(self.activation_bits)


class MyScheme(tf_n2uq.LowBitScheme):
    def __init__(self, bits=2, boundary_bits=8, tensor_bits=8, layers=None, sharpness=1.0):
        super().__init__(bits, boundary_bits, tensor_bits, layers)
        self.sharpness = sharpness

    def make_config(self, weight_bits, activation_bits):
        return MyQuantizeConfig(activation_bits, weight_bits, activation_bits)


@pytest.fixture(autouse=True)
def _unchanged_afterwards(monkeypatch):
    monkeypatch.setattr(registry, '_METHODS', dict(registry._METHODS))


def test_methods_are_listed_in_the_order_of_their_names():
    names = [method.name for method in tf_n2uq.methods()]
    assert names == sorted(names)
    assert {'dorefa', 'lsq', 'n2uq', 'pact', 'sat'} <= set(names)


def test_every_file_of_a_method_has_entered_itself():
    """A file that holds a scheme and forgot to register it would be missing everywhere."""
    registered = {method.scheme.__module__ for method in tf_n2uq.methods()}
    for found in pkgutil.iter_modules(tf_n2uq.schemes.methods.__path__):
        module = f'tf_n2uq.schemes.methods.{found.name}'
        has_scheme = any(
            isinstance(value, type)
            and issubclass(value, tf_n2uq.LowBitScheme)
            and value is not tf_n2uq.LowBitScheme
            and value.__module__ == module
            for value in vars(sys.modules[module]).values()
        )
        assert has_scheme == (module in registered), module


def test_a_method_is_found_by_its_name():
    found = tf_n2uq.method('sat')
    assert found.scheme is tf_n2uq.SATScheme
    assert found.title == 'SAT'
    assert found.options == ('levels', 'rescale')
    assert found.variants == {'centered': {'levels': 'centered_symmetric'}}
    assert tf_n2uq.method('n2uq').options == ()


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ValueError, match="method: expected one of 'dorefa', 'lsq', .*, got 'dsq'"):
        tf_n2uq.method('dsq')


def test_a_registered_method_is_known_everywhere():
    decorate = tf_n2uq.register_method('mine', 'Mine', {'soft': {'sharpness': 0.5}})
    assert decorate(MyScheme) is MyScheme
    assert tf_n2uq.method('mine').options == ('sharpness',)
    assert 'mine' in [method.name for method in tf_n2uq.methods()]
    scheme = tf_n2uq.AdaBitsScheme((5, 3), method='mine', sharpness=2.0)
    assert scheme.default_config().configs[3] == MyQuantizeConfig(3)


def test_a_class_that_is_defined_again_takes_its_own_place():
    tf_n2uq.register_method('mine', 'Mine')(MyScheme)
    tf_n2uq.register_method('mine', 'Mine, again')(MyScheme)
    assert tf_n2uq.method('mine').title == 'Mine, again'


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="name: expected one that no other method has, got 'lsq'"):
        tf_n2uq.register_method('lsq', 'Mine')(MyScheme)
    assert tf_n2uq.method('lsq').scheme is tf_n2uq.LSQScheme


@pytest.mark.parametrize('name', ['', 'LSQ+', 'My method', '2bit', None])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match='name: expected lower-case letters, digits'):
        tf_n2uq.register_method(name, 'Mine')(MyScheme)


@pytest.mark.parametrize('scheme', [MyScheme(2), MyQuantizeConfig, lambda bits: None])
def test_something_else_than_a_scheme_is_refused(scheme):
    with pytest.raises(TypeError, match='scheme: expected a class derived from .*LowBitScheme'):
        tf_n2uq.register_method('mine', 'Mine')(scheme)


def test_a_variant_with_arguments_that_the_scheme_does_not_have_is_refused():
    with pytest.raises(TypeError, match="for the variant 'soft', got levels; .*: sharpness"):
        tf_n2uq.register_method('mine', 'Mine', {'soft': {'levels': 1}})(MyScheme)


def test_a_single_module_that_is_imported_first_brings_all_methods():
    """The registry is complete whichever module of the package is imported first."""
    code = (
        'from tf_n2uq.schemes.methods.lsq import LSQScheme\n'
        'from tf_n2uq.schemes.methods.registry import methods\n'
        'print(len(methods()))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == len(tf_n2uq.methods())
