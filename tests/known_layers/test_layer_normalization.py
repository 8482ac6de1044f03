import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.known_layers.specs import known_spec
from tests.known_layers.taken_apart import as_file, in_float
from tests.networks import quantize
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import ChannelAffine, ChannelMean, InverseDeviation
from tf_n2uq.layers.layer_spec import Kind, kind_of, refusal_of
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.decomposition import decompose
from tf_n2uq.tflite.network.kernels import IntegerKernel

LayerNormalization = keras.layers.LayerNormalization


@pytest.mark.parametrize('shape', [(8,), (5, 8), (4, 5, 8)])
@pytest.mark.parametrize('options', [{}, {'center': False}, {'scale': False}], ids=str)
def test_the_parts_compute_what_the_layer_does(shape, options):
    expected, got = in_float(LayerNormalization(**options), shape)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ('options', 'affine'), [({}, True), ({'center': False, 'scale': False}, False)], ids=str
)
def test_without_scale_and_offset_there_is_no_line_behind(options, affine):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, LayerNormalization(**options, trainable=False)(inputs))
    graph = Graph.from_model(model)
    decompose(graph, Assignment(set(graph.steps), {}))
    lines = [step.layer for step in graph if isinstance(step.layer, ChannelAffine)]
    assert len(lines) == int(affine)
    assert not any(line.trainable for line in lines)


def test_the_file_computes_what_keras_does():
    exact, in_keras, in_file = as_file(lambda x: LayerNormalization()(x), (8, 8, 3))
    assert np.max(np.abs(in_file - in_keras)) < 1.01
    assert np.corrcoef(in_keras.ravel(), exact.ravel())[0, 1] > 0.995


@pytest.mark.parametrize('axis', [1, -2, (1, 2, 3), [2, 3]])
def test_other_axes_are_refused_with_a_reason(axis):
    shape = (None, 6, 6, 6)
    assert 'expected the last axis alone' in refusal_of(LayerNormalization(axis=axis), shape)
    inputs = keras.Input(shape[1:])
    x = LayerNormalization(axis=axis, name='odd_one')(keras.layers.Conv2D(6, 1)(inputs))
    with pytest.raises(ValueError, match="layer 'odd_one' normalizes over axes .*'odd_one': None"):
        quantize(keras.Model(inputs, keras.layers.Conv2D(2, 1)(x)))


@pytest.mark.parametrize('axis', [-1, 3, [3]])
def test_the_last_axis_may_be_given_in_any_form(axis):
    assert kind_of(LayerNormalization(axis=axis), (None, 6, 6, 6)) is Kind.NEW_RANGE


def test_a_mean_is_a_kernel_of_equal_integers():
    kernel = IntegerKernel.of_channel_mean(6)
    assert kernel.integers.shape == (6, 1)
    np.testing.assert_allclose(kernel.integers * kernel.unit, np.full((6, 1), 1 / 6), rtol=1e-12)
    x = tf.random.normal([1, 4, 5, 6])
    spec = known_spec(ChannelMean())
    assert spec.kind is Kind.NEW_RANGE
    outputs = spec.form.run(type('Call', (), {'layer': ChannelMean()})(), [x], {'': kernel})
    np.testing.assert_allclose(outputs, ChannelMean()(x), atol=1e-5)


def test_the_inverse_deviation_has_a_table():
    assert known_spec(InverseDeviation()).form is not None
    assert kind_of(InverseDeviation()) is Kind.NEW_RANGE
