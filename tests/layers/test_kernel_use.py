"""Calls of one kernel: each rounds by the tensor that it reads itself."""

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantized_network
from tf_n2uq.layers import KernelRole
from tf_n2uq.layers.kernel_use import KernelUse


@pytest.fixture(name='model', scope='module')
def _model():
    return quantized_network('shared')


def _uses(model):
    return {
        layer.name: [layer.use(number).role for number in (0, 1)]
        for layer in model.layers
        if layer.name in ('quant_again', 'quant_head_depthwise', 'quant_head_pointwise')
    }


def test_each_call_reads_its_own_quantizer_and_finds_the_shared_line(model):
    uses = _uses(model)
    assert len(uses) == 3
    for roles in uses.values():
        assert roles[0].input_quantizer != roles[1].input_quantizer
        assert roles[0].line == roles[1].line
    assert uses['quant_head_pointwise'][0].line == 'head_normalization'
    pointwise = model.get_layer('quant_head_pointwise')
    line = model.get_layer('head_normalization')
    assert [pointwise.use(number).line for number in (0, 1)] == [line, line]


def test_each_call_rounds_its_bias_by_the_scale_that_it_reads(model):
    pointwise = model.get_layer('quant_head_pointwise')
    scales = [float(pointwise.use(number).input_scale()) for number in (0, 1)]
    assert scales[0] != scales[1]
    roundings = [pointwise.bias_rounding(number).numpy() for number in (0, 1)]
    assert np.max(np.abs(roundings[0] - roundings[1])) > 0
    named = [model.get_layer(pointwise.use(number).input_quantizer) for number in (0, 1)]
    assert [float(layer.int8_scale()) for layer in named] == scales


@pytest.mark.parametrize('suffix', ['.keras', '.h5', ''])
def test_calls_stay_calls_of_one_layer_in_every_format(model, suffix, tmp_path):
    path = tmp_path / f'model{suffix}'
    model.save(path)
    loaded = keras.models.load_model(path)
    assert _uses(loaded) == _uses(model)
    assert len(loaded.weights) == len(model.weights)
    images = images_for(model)
    np.testing.assert_array_equal(loaded(images), model(images))


def test_calls_share_a_buffer_of_the_file(model):
    content = tf_n2uq.tflite.convert(model)
    kernels = [layer for layer in tf_n2uq.tflite.inspect(content).layers if 'again' in layer.name]
    assert len(kernels) == 2
    interpreter = tf_n2uq.tflite.make_interpreter(content)
    addresses = []
    for each in interpreter.get_tensor_details():
        if list(each['shape']) == [8, 3, 3, 8]:
            tensor = interpreter.tensor(each['index'])()
            addresses.append(tensor.__array_interface__['data'][0])
            del tensor
    assert len(addresses) == 2
    assert len(set(addresses)) == 1


def test_a_call_that_no_rewrite_has_numbered_has_no_role():
    assert KernelUse('conv', None).input_quantizer is None
    use = KernelUse('conv', KernelRole('conv_thresholds', 'line'))
    assert use.input_quantizer == 'conv_thresholds'
    assert use.line is None
