"""Configs that users give for single layers: TFMOT's own, their own, and this package's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_configs,
)

import tf_n2uq
from tests.networks import images_for
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.schemes.rewrite.tfmot_configs import Meaning, meaning_of

_TFMOT = tfmot.quantization.keras
_layers = keras.layers


def of_tfmot(layer):
    """The config that TFMOT's own 8-bit scheme has for a layer."""
    return _TFMOT.default_8bit.Default8BitQuantizeRegistry().get_quantize_config(layer)


class Own(_TFMOT.QuantizeConfig):
    """What a user writes after TFMOT's guide."""

    def __init__(self, weights=True, activations=True, outputs=False):
        self.parts = (weights, activations, outputs)

    def get_weights_and_quantizers(self, layer):
        quantizer = _TFMOT.quantizers.LastValueQuantizer(8, False, True, True)
        return [(layer.kernel, quantizer)] if self.parts[0] else []

    def get_activations_and_quantizers(self, layer):
        quantizer = _TFMOT.quantizers.MovingAverageQuantizer(8, False, False, False)
        return [(layer.activation, quantizer)] if self.parts[1] else []

    def set_quantize_weights(self, layer, quantize_weights):
        if self.parts[0]:
            (layer.kernel,) = quantize_weights

    def set_quantize_activations(self, layer, quantize_activations):
        if self.parts[1]:
            (layer.activation,) = quantize_activations

    def get_output_quantizers(self, layer):
        quantizer = _TFMOT.quantizers.MovingAverageQuantizer(8, False, False, False)
        return [quantizer] if self.parts[2] else []

    def get_config(self):
        return dict(zip(('weights', 'activations', 'outputs'), self.parts, strict=True))


def network(config=None, layer_behind=None):
    """A network with a config for the layer 'mine'."""
    annotate = _TFMOT.quantize_annotate_layer
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 3))
    x = annotate(_layers.Conv2D(6, 3, padding='same', activation='relu', name='first'))(image)
    mine = _layers.Conv2D(
        6, 3, padding='same', name='mine', activation=None if layer_behind else 'relu'
    )
    x = annotate(mine, quantize_config=config)(x)
    if layer_behind:
        x = annotate(layer_behind)(x)
    x = annotate(_layers.Conv2D(6, 3, name='inner'))(x)
    x = annotate(_layers.GlobalAveragePooling2D())(x)
    return keras.Model(image, annotate(_layers.Dense(4, name='last'))(x))


def quantized(model, **arguments):
    with _TFMOT.quantize_scope({'Own': Own}):
        return _TFMOT.quantize_apply(model, scheme=tf_n2uq.N2UQScheme(2, **arguments))


@pytest.mark.parametrize('as_annotated', [lambda model: model, tf_n2uq.annotate])
def test_tfmots_8_bit_config_is_8_bits_from_training_to_the_file(tmp_path, as_annotated):
    model = quantized(as_annotated(network(of_tfmot(_layers.Conv2D(6, 3)))))
    bits = {
        layer.layer.name: layer.quantize_config.weight_bits
        for layer in model.layers
        if isinstance(layer, QuantizedKernel)
    }
    assert bits == {'first': 8, 'mine': 8, 'inner': 2, 'last': 8}
    same = quantized(network(), layers={'mine': 8})
    assert [type(layer) for layer in model.layers] == [type(layer) for layer in same.layers]
    images = images_for(model, 32)
    tf_n2uq.calibrate(model, images, verbose=0)
    model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, np.arange(32) % 4, verbose=0)
    content = tf_n2uq.tflite.convert(model)
    report = tf_n2uq.tflite.compare(model, content, images[:8])
    assert max(each.xnnpack_share for each in report.quantizers) < 0.002
    model.save(tmp_path / 'model.keras')
    loaded = keras.models.load_model(tmp_path / 'model.keras')
    assert tf_n2uq.tflite.convert(loaded) == content


def test_a_config_that_quantizes_nothing_leaves_the_layer_in_float():
    model = quantized(network(default_8bit_quantize_configs.NoOpQuantizeConfig()))
    assert type(model.get_layer('mine')) is _layers.Conv2D
    images = images_for(model, 32)
    tf_n2uq.calibrate(model, images, verbose=0)
    assert model.predict(images, verbose=0).shape == (32, 4)


@pytest.mark.parametrize('layer', [_layers.ReLU(6.0), _layers.MaxPooling2D(), _layers.Add()])
def test_tfmots_config_of_a_layer_without_a_kernel_is_its_range(layer):
    assert meaning_of(of_tfmot(layer), layer, 'layer') is Meaning.RANGE


@pytest.mark.parametrize(
    'config',
    [
        Own(),
        Own(activations=False),
        Own(weights=False, activations=False, outputs=True),
        Own(weights=False, activations=False),
        of_tfmot(_layers.ReLU()),
    ],
)
def test_configs_that_no_file_has_a_form_for_are_refused_by_name(config):
    name = type(config).__name__
    words = rf"quantize_config: .*layer 'mine', .*got {name},.*layers={{'mine': 8}}"
    with pytest.raises(ValueError, match=words):
        quantized(network(config))


def test_a_subclass_of_tfmots_config_may_do_anything_and_is_refused():
    derived = type('Derived', (type(of_tfmot(_layers.Conv2D(6, 3))),), {})
    config = derived(['kernel'], ['activation'], False)
    with pytest.raises(ValueError, match='got Derived'):
        meaning_of(config, _layers.Conv2D(6, 3), 'mine')


@pytest.mark.parametrize('behind', [None, _layers.ReLU()])
@pytest.mark.parametrize(
    'config', [tf_n2uq.LSQQuantizeConfig(4), tf_n2uq.PACTQuantizeConfig(4)], ids=['lsq', 'pact']
)
def test_a_methods_config_by_hand_makes_one_quantizer_behind_a_relu(config, behind):
    relu = None if behind is None else keras.layers.ReLU(name='relu')
    model = quantized(network(config, relu))
    names = [layer.name for layer in model.layers]
    start, end = names.index('quant_first'), names.index('quant_inner')
    own = [layer for layer in model.layers[start:end] if isinstance(layer, Quantize)]
    # The input of 'mine', and its output: an 8-bit tensor that the 2-bit thresholds read.
    relu_range = 'mine_relu_range' if relu is None else 'relu_range'
    assert [layer.name for layer in own] == ['mine_thresholds', relu_range, 'inner_thresholds']
    images = images_for(model, 32)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model)
    report = tf_n2uq.tflite.compare(model, content, images[:8])
    assert max(each.xnnpack_share for each in report.quantizers) < 0.002
