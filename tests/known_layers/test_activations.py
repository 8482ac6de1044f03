import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.known_layers.specs import known_spec
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import HardSigmoid, HardSwish, Quantize, RPReLU
from tf_n2uq.layers.layer_spec import Kind, kind_of, refusal_of
from tf_n2uq.quantizers import LearnableThresholdQuantizer
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.decomposition import decompose

layers = keras.layers
NAMES = ['relu', 'relu6', 'leaky_relu', 'sigmoid', 'tanh', 'hard_sigmoid', 'swish', 'silu', 'gelu']
ONLY_IN_THRESHOLDS = ['elu', 'selu', 'softplus', 'softsign', 'mish', 'exponential']


@pytest.mark.parametrize('name', [*NAMES, *ONLY_IN_THRESHOLDS])
def test_named_functions_map_each_number_by_itself(name):
    assert kind_of(layers.Activation(name)) is Kind.ELEMENTWISE


@pytest.mark.parametrize('name', ONLY_IN_THRESHOLDS)
def test_some_functions_have_neither_an_operator_nor_parts(name):
    spec = known_spec(layers.Activation(name))
    assert (spec.form, spec.decomposition, spec.fixed_range) == (None, None, None)


@pytest.mark.parametrize(
    ('function', 'kind'),
    [
        (keras.activations.tanh, Kind.ELEMENTWISE),
        (tf.nn.relu6, Kind.ELEMENTWISE),
        (lambda x: x, None),
        (keras.activations.get, None),
    ],
)
def test_functions_are_known_by_their_names(function, kind):
    assert kind_of(layers.Activation(function)) is kind


@pytest.mark.parametrize(
    'layer',
    [
        layers.Activation('sigmoid'),
        layers.Activation('tanh'),
        layers.Activation('hard_sigmoid'),
        HardSigmoid(),
        layers.Softmax(),
    ],
    ids=lambda layer: layer.name,
)
def test_a_fixed_range_reaches_from_the_lowest_to_the_highest_value_within_a_step(layer):
    low, high = known_spec(layer).fixed_range or (0.0, 0.0)
    values = layer(np.linspace(-40, 40, 1001, dtype=np.float32)[:, None] * [[1.0, 0.0]]).numpy()
    step = (high - low) / 255
    assert low - step < values.min() < low + 1.01 * step
    assert high - step < values.max() < high + 1.01 * step


@pytest.mark.parametrize(
    ('layer', 'fuses', 'has_form'),
    [
        (layers.ReLU(), True, True),
        (layers.ReLU(6.0), True, True),
        (layers.ReLU(1.5), False, True),
        (layers.ReLU(negative_slope=0.1), False, True),
        (layers.ReLU(threshold=0.5), False, False),
        (layers.ReLU(6.0, negative_slope=0.1), False, False),
        (layers.LeakyReLU(), False, True),
        (layers.PReLU(), False, True),
        (RPReLU(), False, True),
        (layers.ELU(), False, False),
        (HardSwish(), False, False),
    ],
    ids=lambda each: getattr(each, 'name', str(each)),
)
def test_which_rectifiers_join_the_operator_in_front(layer, fuses, has_form):
    spec = known_spec(layer)
    assert spec.kind is Kind.ELEMENTWISE
    assert spec.fuses_as_relu is fuses
    assert (spec.form is not None) is has_form


def test_a_linear_activation_changes_nothing():
    assert kind_of(layers.Activation('linear')) is Kind.SAME_SCALE


@pytest.mark.parametrize('axis', [1, -2, (1, 2)])
def test_a_softmax_over_other_axes_is_refused(axis):
    assert 'expected the last axis alone' in refusal_of(layers.Softmax(axis), (None, 4, 4, 3))
    assert kind_of(layers.Softmax(axis), (None, 4, 4, 3)) is None


@pytest.mark.parametrize(
    'layer', [layers.Softmax(), layers.Softmax(3), layers.Activation('softmax')]
)
def test_a_softmax_over_the_last_axis_makes_probabilities(layer):
    assert kind_of(layer, (None, 4, 4, 3)) is Kind.SOFTMAX


@pytest.mark.parametrize('name', ['swish', 'gelu', 'silu'])
def test_only_what_is_no_part_of_thresholds_is_taken_apart(name):
    inputs = keras.Input((5,), name='inputs')
    x = layers.Activation(name, name='function')(inputs)
    compared = Quantize(LearnableThresholdQuantizer(2), name='thresholds')(x)
    for outputs, stays in ((compared, True), (x, False)):
        graph = Graph.from_model(keras.Model(inputs, outputs))
        decompose(graph, Assignment({'function'}, {}))
        assert ('function' in graph.steps) is stays
