"""MobileNetV2 with ReLUs, as AdaBits trains it."""

import tf_keras as keras

from tests.models.counting import of_kind, trainable
from tf_n2uq.layers import RPReLU
from tf_n2uq.models.mobilenet_v2_relu import mobilenet_v2_relu


def test_it_has_the_papers_size_and_shapes():
    model = mobilenet_v2_relu(1.0, (224, 224, 3), 1000, 'network')
    # 3.4 million in the paper; the same layers in PyTorch have this number.
    assert trainable(model) == 3_504_872
    assert len(of_kind(model, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)) == 52
    assert model.get_layer('pool').input_shape == (None, 7, 7, 1280)
    assert (model.name, model.output_shape) == ('network', (None, 1000))


def test_its_activations_are_relus_without_a_bound():
    model = mobilenet_v2_relu(0.35, (64, 64, 3), 10, 'network')
    relus = of_kind(model, keras.layers.ReLU)
    assert len(relus) == 35
    assert all(layer.max_value is None for layer in relus)
    assert not of_kind(model, RPReLU)


def test_the_first_bottleneck_expands_nothing():
    model = mobilenet_v2_relu(0.35, (64, 64, 3), 10, 'network')
    names = {layer.name for layer in model.layers}
    assert {'stage1_block1_depthwise', 'stage2_block1_expand', 'stage2_block2_add'} <= names
    assert 'stage1_block1_expand' not in names


def test_the_output_of_a_block_is_linear():
    model = mobilenet_v2_relu(0.35, (64, 64, 3), 10, 'network')
    reader = model.get_layer('stage2_block1_project_bn').outbound_nodes[0].layer
    assert reader.name == 'stage2_block2_expand'
