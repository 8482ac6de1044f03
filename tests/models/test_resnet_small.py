"""ResNets for small images, as in the experiments of the ResNet paper on CIFAR-10."""

import pytest
import tf_keras as keras

from tests.models.counting import of_kind, trainable
from tf_n2uq.models.resnet_small import small_resnet


@pytest.mark.parametrize(('depth', 'convolutions'), [(8, 9), (20, 21), (56, 57), (110, 111)])
def test_they_have_their_depth(depth, convolutions):
    model = small_resnet(depth, 1.0, (32, 32, 3), 10, 'network')
    # The two projections of the shortcuts take the place of the dense layer in the count.
    assert len(of_kind(model, keras.layers.Conv2D)) == convolutions
    assert (model.name, model.output_shape) == ('network', (None, 10))


@pytest.mark.parametrize(('depth', 'millions'), [(20, 0.27), (56, 0.85), (110, 1.7)])
def test_they_have_the_papers_size(depth, millions):
    model = small_resnet(depth, 1.0, (32, 32, 3), 10, 'network')
    shortcuts = [layer for layer in model.layers if '_downsample' in layer.name]
    assert len(shortcuts) == 4
    # The paper counts without projection shortcuts.
    counted = trainable(model) - sum(layer.count_params() for layer in shortcuts)
    assert counted / 1e6 == pytest.approx(millions, abs=0.03)


def test_half_width_has_half_the_filters():
    model = small_resnet(20, 0.5, (28, 28, 1), 10, 'network')
    assert model.get_layer('stem').filters == 8
    assert model.get_layer('stage3_block3_conv2').filters == 32


def test_each_stage_halves_the_sides():
    model = small_resnet(8, 1.0, (28, 28, 1), 10, 'network')
    shapes = [model.get_layer(f'stage{stage}_block1_relu2').output_shape for stage in (1, 2, 3)]
    assert shapes == [(None, 28, 28, 16), (None, 14, 14, 32), (None, 7, 7, 64)]
