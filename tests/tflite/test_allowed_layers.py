import inspect
import re
import sys

import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.layers import registered_layers
from tf_n2uq.tflite.allowed_layers import (
    ACTIVATIONS,
    NAMES_OF_ARGUMENTS,
    allowed_classes,
    registered_classes,
)

_QUANTIZATION = tfmot.quantization.keras


def _keras_layers() -> list[type]:
    allowed = allowed_classes()
    found = [getattr(keras.layers, name, None) for name in allowed]
    return [cls for cls in found if inspect.isclass(cls)]


def test_all_layers_quantizers_and_configs_of_the_package_are_allowed():
    kinds = (keras.layers.Layer, _QUANTIZATION.QuantizeConfig, _QUANTIZATION.quantizers.Quantizer)
    own = {
        name
        for name, cls in keras.saving.get_custom_objects().items()
        if cls.__module__.startswith('tf_n2uq.') and inspect.isclass(cls) and issubclass(cls, kinds)
    }
    assert own
    assert registered_classes() == own


def test_a_class_that_only_says_it_is_the_packages_is_not_allowed():
    keras.saving.register_keras_serializable(package='tf_n2uq')(_Foreign)
    try:
        assert 'tf_n2uq>_Foreign' in keras.saving.get_custom_objects()
        assert 'tf_n2uq>_Foreign' not in registered_classes()
    finally:
        del keras.saving.get_custom_objects()['tf_n2uq>_Foreign']


class _Foreign(keras.layers.Layer):
    pass


def test_no_allowed_class_of_keras_takes_code():
    assert 'Dense' in allowed_classes()
    for name in ('Lambda', 'TFOpLambda', 'ClassMethod', 'StringLookup', 'OrthogonalRegularizer'):
        assert name not in allowed_classes()


def test_keras_makes_the_allowed_layers_look_up_no_other_names():
    """Each argument that is a name ends as the check of arguments expects it."""
    looked_up = set()
    for cls in _keras_layers():
        for base in cls.__mro__:
            if base.__module__.startswith('tf_keras.'):
                source = inspect.getsource(sys.modules[base.__module__])
                looked_up.update(re.findall(r'\b(\w+)\.get\(\s*(\w+)\s*\)', source))
    modules = {f'{end}s' if end != 'activation' else 'activations' for end in NAMES_OF_ARGUMENTS}
    known = [(module, name) for module, name in looked_up if module in modules]
    assert len(known) > 20
    for module, name in known:
        assert name.endswith(module.removesuffix('s')), (module, name)
    assert not {module for module, _ in looked_up} & {'losses', 'metrics', 'optimizers'}


@pytest.mark.parametrize('name', sorted(ACTIVATIONS))
def test_an_allowed_activation_computes_a_tensor(name: str):
    assert keras.activations.get(name)(tf.zeros([2, 3])).shape == (2, 3)


@pytest.mark.parametrize('kind', ['initializer', 'regularizer', 'constraint'])
def test_an_allowed_name_is_a_class_of_its_kind(kind: str):
    module = getattr(keras, f'{kind}s')
    for name in NAMES_OF_ARGUMENTS[kind]:
        assert isinstance(module.get(name), getattr(module, kind.capitalize())), name


def test_layers_that_networks_are_made_of_are_allowed():
    own, others = registered_classes(), allowed_classes()
    known = {layer.__name__ for layer in registered_layers()}
    left_out = {name for name in known if f'tf_n2uq>{name}' not in own and name not in others}
    # It builds one operation for each position.
    assert left_out == {'UpSampling1D'}
