import numpy as np
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, quantize
from tf_n2uq.graph.decisions import decide
from tf_n2uq.graph.graph import Graph

layers = keras.layers


def decided(model):
    graph = Graph.of_layers(model)
    return graph, decide(graph)


def residual(**scheme):
    """A kernel with a line and a ReLU, a sum with a ReLU, and an RPReLU in front of thresholds."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding='same', name='stem')(image)
    x = layers.ReLU(name='stem_relu')(layers.BatchNormalization(name='stem_bn')(x))
    y = layers.ZeroPadding2D(name='pad')(x)
    y = layers.BatchNormalization(name='bn')(layers.Conv2D(8, 3, name='conv')(y))
    x = layers.ReLU(name='relu')(layers.Add(name='sum')([x, y]))
    x = layers.Conv2D(8, 1, name='behind')(layers.MaxPooling2D(name='pool')(x))
    x = layers.Conv2D(8, 1, name='last')(tf_n2uq.layers.RPReLU(name='rprelu')(x))
    model = keras.Model(image, layers.Dense(4, name='head')(layers.Flatten(name='flat')(x)))
    return quantize(model, bits=2, **scheme)


def test_each_step_has_one_who_does_its_work():
    _, decisions = decided(residual())
    assert decisions.operators == {
        'stem_bn': 'quant_stem',
        'stem_relu': 'stem_bn',
        'bn': 'quant_conv',
        'relu': 'sum',
    }
    assert decisions.lines == {'quant_stem': 'stem_bn', 'quant_conv': 'bn'}
    assert decisions.folded == frozenset()
    # The RPReLU writes in the range that it reads.
    assert decisions.makers['rprelu'] == decisions.result_ranges['quant_behind']
    assert decisions.last_kernels == {'quant_head'}


def test_kernels_know_the_quantizer_whose_tensor_they_multiply():
    _, decisions = decided(residual())
    quantizers = decisions.input_quantizers
    assert quantizers['quant_stem'].endswith('_range')
    assert quantizers['quant_conv'] == 'conv_thresholds'
    assert quantizers['quant_behind'] == 'behind_thresholds'
    assert decisions.fed_kernels['conv_thresholds'] == 'quant_conv'
    # Flattened levels are the dense layer's input, but it does not read them as they are.
    assert 'last_range' not in decisions.fed_kernels


def test_what_an_operator_writes_has_one_range():
    graph, decisions = decided(residual())
    for name in ('quant_conv', 'bn'):
        assert decisions.result_ranges[name] == 'bn_range'
    for name in ('sum', 'relu'):
        assert decisions.result_ranges[name] == 'relu_range'
    steps = decisions.steps_of_range(graph, 'stem_relu_range')
    assert [step.name for step in steps] == ['stem_relu', 'stem_bn', 'quant_stem']


def test_loading_makes_the_same_decisions(tmp_path):
    model = residual()
    model.save(tmp_path / 'model.keras')
    loaded = keras.models.load_model(tmp_path / 'model.keras')
    assert decided(loaded)[1] == decided(model)[1]


def test_what_stands_in_a_config_is_not_decided_again():
    model = keras.models.clone_model(residual())
    both = keras.Model(model.input, [model.output, model.get_layer('quant_conv').output])
    assert decided(both)[1].lines == decided(model)[1].lines


def test_a_kernel_that_a_float_model_returns_has_no_line_in_its_operator():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, name='stem')(image)
    inner = layers.Conv2D(8, 3, name='conv')(x)
    x = layers.ReLU()(layers.BatchNormalization(name='bn')(inner))
    x = layers.Dense(4, name='head')(layers.Flatten()(x))
    model = quantize(keras.Model(image, [x, inner]), bits=2)
    assert model.get_layer('quant_conv').use().role.line is None
    assert 'bn' not in decided(model)[1].operators


def test_a_float_model_has_kernels_with_lines_and_no_quantizers():
    _, decisions = decided(float_network('batch_normalized'))
    assert not decisions.thresholds
    assert not decisions.ranges
    assert len(decisions.lines) == 3


def test_without_ranges_lines_are_decided_alike():
    with_ranges, without = (decided(residual(tensor_bits=bits))[1] for bits in (8, None))
    assert without.lines == with_ranges.lines
    assert not without.ranges
    assert without.thresholds == with_ranges.thresholds
    assert np.all([name.endswith('_thresholds') for name in without.thresholds])
