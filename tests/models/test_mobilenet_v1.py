"""MobileNetV1 has the paper's layers, shapes and size."""

import tf_keras as keras

from tests.models.counting import of_kind, trainable
from tf_n2uq.models.mobilenet_v1 import mobilenet_v1


def test_it_has_the_papers_size_and_shapes():
    model = mobilenet_v1(1.0, (224, 224, 3), 1000, 'network')
    # 4.2 million in the paper; the same layers in PyTorch have this number.
    assert trainable(model) == 4_231_976
    assert len(of_kind(model, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)) == 27
    assert model.get_layer('pool').input_shape == (None, 7, 7, 1024)
    assert (model.name, model.output_shape) == ('network', (None, 1000))


def test_a_relu_without_a_bound_stands_behind_every_normalization():
    model = mobilenet_v1(0.25, (32, 32, 3), 10, 'network')
    relus = of_kind(model, keras.layers.ReLU)
    assert len(relus) == len(of_kind(model, keras.layers.BatchNormalization)) == 27
    assert all(layer.max_value is None for layer in relus)


def test_width_multiplies_the_filters_and_leaves_at_least_one():
    half = mobilenet_v1(0.5, (32, 32, 3), 10, 'network')
    assert half.get_layer('stem').filters == 16
    assert half.get_layer('block13_pointwise').filters == 512
    thin = mobilenet_v1(0.01, (32, 32, 3), 10, 'network')
    assert thin.get_layer('stem').filters == 1


def test_the_strides_are_those_of_the_papers_shapes():
    model = mobilenet_v1(0.25, (224, 224, 3), 10, 'network')
    sides = [layer.output_shape[1] for layer in of_kind(model, keras.layers.ReLU)]
    # The stem, then two for each block.
    assert sides == [112, 112, 112, *[56] * 4, *[28] * 4, *[14] * 12, *[7] * 4]
