import pytest
import tf_keras as keras

from tf_n2uq.layers import Kind, LayerSpec, kind_of, register_layer, registered_layers, spec_of
from tf_n2uq.layers.layer_spec import activation_name, function_name, is_last_axis, refusal_of

layers = keras.layers


class Unknown(layers.Layer):
    pass


@pytest.fixture
def known(monkeypatch):
    """A registry that a test may add to."""
    from tf_n2uq.layers import layer_spec

    monkeypatch.setattr(layer_spec, '_SPECS', dict(layer_spec._SPECS))


def test_a_second_registration_of_a_class_is_refused(known):
    spec = LayerSpec(Kind.ELEMENTWISE)
    register_layer(Unknown, spec)
    with pytest.raises(ValueError, match='kind_of_layer: expected .* not registered yet, got Unkn'):
        register_layer(Unknown, LayerSpec(Kind.SUM))
    assert spec_of(Unknown()) is spec
    assert registered_layers()[-1] is Unknown


def test_an_entry_may_decide_for_each_layer(known):
    spec = LayerSpec(Kind.ELEMENTWISE)
    register_layer(Unknown, lambda layer: spec if layer.name == 'known' else None)
    assert spec_of(Unknown(name='known')) is spec
    assert spec_of(Unknown(name='other')) is None


def test_a_class_that_is_not_registered_is_unknown_and_named():
    assert spec_of(Unknown()) is None
    assert kind_of(Unknown()) is None
    assert refusal_of(Unknown()) == 'is a Unknown, which this project does not know'


def test_a_subclass_is_another_kind_of_layer():
    assert spec_of(type('MyReLU', (layers.ReLU,), {})()) is None
    assert kind_of(layers.ReLU()) is Kind.ELEMENTWISE


def test_channels_in_front_are_refused_whatever_the_layer():
    for layer in (
        layers.Conv2D(3, 1, data_format='channels_first'),
        layers.Flatten('channels_first'),
    ):
        assert 'channels_first' in refusal_of(layer)
        assert kind_of(layer) is None


def test_a_layer_that_is_refused_has_no_kind(known):
    spec = LayerSpec(Kind.SUM, refusal=lambda layer, shape: None if shape else 'is without a shape')
    register_layer(Unknown, spec)
    assert refusal_of(Unknown()) == 'is without a shape'
    assert kind_of(Unknown()) is None
    assert refusal_of(Unknown(), (None, 3)) is None
    assert kind_of(Unknown(), (None, 3)) is Kind.SUM


@pytest.mark.parametrize(
    ('axis', 'shape', 'expected'),
    [
        (-1, None, True),
        ([-1], (None, 4, 4, 3), True),
        (3, (None, 4, 4, 3), True),
        ((2,), (None, 4, 3), True),
        (1, (None, 3), True),
        (1, (None, 4, 4, 3), False),
        (-2, (None, 4, 4, 3), False),
        ([2, 3], (None, 4, 4, 3), False),
        ([], (None, 3), False),
        # The number of axes is not known.
        (3, None, True),
        (0, None, False),
        (-2, None, False),
        (1, [(None, 3), (None, 3)], True),
    ],
)
def test_the_last_axis_is_counted_from_either_end(axis, shape, expected):
    assert is_last_axis(axis, shape) is expected


def test_functions_have_the_names_that_users_know():
    assert activation_name(keras.activations.tanh) == 'tanh'
    assert activation_name(layers.ReLU()) == 'ReLU'
    assert function_name(layers.Activation('swish')) == 'swish'
    assert function_name(layers.LeakyReLU()) == 'LeakyReLU'


def test_every_registered_layer_is_a_layer_and_is_registered_once():
    found = registered_layers()
    assert {layers.Conv2D, layers.Dense, layers.BatchNormalization, layers.Add} <= set(found)
    assert len(found) == len(set(found))
    assert all(issubclass(each, layers.Layer) for each in found)
