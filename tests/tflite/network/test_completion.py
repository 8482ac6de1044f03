import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantize
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.quantizers import is_trained
from tf_n2uq.tflite.network.completion import complete
from tf_n2uq.tflite.network.ranges import read_ranges

layers = keras.layers
SHAPE = (6, 6, 3)


def network(middle=None, **scheme):
    image = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, name='first')(image)
    x = middle(x) if middle else layers.ReLU()(x)
    x = layers.Conv2D(4, 3, name='inner')(x)
    x = layers.Dense(3, name='last')(layers.GlobalAveragePooling2D()(x))
    return quantize(keras.Model(image, x), **{'bits': 2, **scheme})


def calibrated(middle=None, **scheme):
    model = network(middle, **scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model


def kernel_bits(graph):
    return [
        step.layer.kernel_quantizers[0][1].bits
        for step in graph.in_order()
        if isinstance(step.layer, QuantizedKernel)
    ]


def test_layers_in_float_get_kernels_of_eight_bits_and_ranges():
    model = calibrated(layers={'first|last': None})
    before = [layer.name for layer in model.layers]
    graph, decisions = complete(model, images_for(model))
    assert kernel_bits(graph) == [8, 2, 8]
    for name in decisions.ranges:
        assert is_trained(graph.steps[name].layer.quantizer_weights)
    assert [layer.name for layer in model.layers] == before
    assert sum(isinstance(layer, QuantizedKernel) for layer in model.layers) == 1


def test_a_range_without_training_is_that_of_the_data():
    model = network(tensor_bits=None)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    images = images_for(model)
    graph, decisions = complete(model, images)
    first = read_ranges(graph, decisions)[decisions.ranges[0]].values()
    assert first[0] <= images.min() + 1e-2
    assert first[-1] >= images.max() - 1e-2


def test_data_may_be_a_function_as_for_the_converter_of_tensorflow():
    model = calibrated(tensor_bits=None)
    images = images_for(model)
    ranges = [read_ranges(*complete(model, data)) for data in (images, lambda: [[images]])]
    assert ranges[0] == ranges[1]


def test_without_data_the_tensors_that_need_a_range_are_named():
    with pytest.raises(ValueError, match='representative_dataset: expected data.*_range'):
        complete(calibrated(tensor_bits=None), None)


def test_a_model_that_has_diverged_is_refused():
    model = calibrated()
    kernel = next(w for w in model.get_layer('quant_inner').weights if 'kernel' in w.name)
    kernel.assign(tf.fill(kernel.shape, np.nan))
    with pytest.raises(ValueError, match="NaN or infinity in '.*kernel.*' of layer 'quant_inner'"):
        complete(model, None)


@pytest.mark.parametrize('allow_float', [False, True])
def test_a_function_without_an_operator_stands_alone_in_float_only(allow_float):
    def both(x):
        return layers.Add()([x, layers.ELU(name='elu')(x)])

    model = calibrated(both)
    if allow_float:
        graph, _ = complete(model, None, allow_float=True)
        assert 'elu' in graph.steps
    else:
        with pytest.raises(ValueError, match=r'got elu \(ELU\).*allow_float=True'):
            complete(model, None)
