import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from tf_keras.src.applications.convnext import ConvNeXt

import tf_n2uq
from tests.networks import NETWORKS, float_network, images_for
from tests.schemes.annotation.networks_in_networks import (
    Subclassed,
    assert_same_outputs,
    normal,
    transfer_learning,
)

_layers = keras.layers


def _quantize(annotated):
    return tfmot.quantization.keras.quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(bits=2))


def _annotated_layers(model):
    """Layers of a model by name, without their annotation; None for those that have none."""
    return {
        getattr(layer, 'layer', layer).name: getattr(layer, 'layer', None)
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    }


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_a_network_that_tfmot_annotates_gets_the_same_annotations(name):
    model = float_network(name)
    annotated = tf_n2uq.annotate(model)
    theirs = tfmot.quantization.keras.quantize_annotate_model(model)
    names = [sorted(_annotated_layers(network)) for network in (annotated, theirs)]
    # A layer without weights that is called twice is two layers.
    assert set(names[1]) <= set(names[0])
    assert None not in _annotated_layers(annotated).values()
    assert type(annotated) is type(model)
    assert_same_outputs(model, annotated, images_for(model, 4))


def test_the_model_itself_stays_as_it_was():
    model = float_network('residual')
    before = model.get_config()
    annotated = tf_n2uq.annotate(model)
    annotated.set_weights([np.zeros_like(array) for array in annotated.get_weights()])
    assert model.get_config() == before
    assert any(array.any() for array in model.get_weights())


def test_weights_arrive_in_the_quantized_model():
    model = float_network('batch_normalized')
    quantized = _quantize(tf_n2uq.annotate(model))
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, 'kernel')]
    arrays = quantized.get_weights()
    for kernel in kernels:
        assert any(np.array_equal(kernel, array) for array in arrays)


def test_inputs_and_outputs_keep_their_structure():
    images = {'left': keras.Input((4, 4, 3), name='one'), 'right': keras.Input((4, 4, 3))}
    x = _layers.Conv2D(3, 1)(images['left'] + images['right'])
    model = keras.Model(images, {'logits': x, 'others': [tf.nn.softmax(x), -x]})
    annotated = tf_n2uq.annotate(model)
    values = {'left': normal(4, 4, 3), 'right': 1 - normal(4, 4, 3)}
    assert_same_outputs(model, annotated, values)
    quantized = _quantize(annotated)
    tf.nest.assert_same_structure(quantized(values), model(values))


def test_a_subclassed_model_is_an_error():
    with pytest.raises(ValueError, match='functional API'):
        tf_n2uq.annotate(Subclassed())


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_a_variable_in_a_function_is_an_error():
    image = keras.Input((4,))
    model = keras.Model(image, image + tf.Variable(1.0))
    with pytest.raises(ValueError, match='tf.__operators__.add.*computes with a tf.Variable'):
        tf_n2uq.annotate(model)


def test_left_out_layers_are_not_annotated_and_stay_in_float():
    model = transfer_learning()
    annotated = tf_n2uq.annotate(model, leave_out=['base_.*', 'head'])
    found = _annotated_layers(annotated)
    assert {name for name, layer in found.items() if layer is None} == {'base_convolution', 'head'}
    quantized = _quantize(annotated)
    assert type(quantized.get_layer('head')) is _layers.Dense
    assert type(quantized.get_layer('quant_convolution')) is tf_n2uq.layers.QuantizedKernel


def test_left_out_layers_are_not_made_one_with_others():
    image = keras.Input((4, 4, 3))
    x = _layers.ReLU(6.0, name='inner')(_layers.Conv2D(3, 1, name='convolution')(image) + 3.0)
    model = keras.Model(image, _layers.Rescaling(1 / 6, name='outer')(x))
    assert list(_annotated_layers(tf_n2uq.annotate(model))) == ['convolution', 'outer']
    found = _annotated_layers(tf_n2uq.annotate(model, leave_out='inner'))
    assert len(found) == 4
    assert found['inner'] is None


def test_an_inner_model_that_is_called_twice_has_one_kernel():
    inner = keras.Sequential([_layers.Dense(3, name='dense')], name='inner')
    image = keras.Input((3,))
    quantized = _quantize(tf_n2uq.annotate(keras.Model(image, inner(inner(image)))))
    assert [layer.name for layer in quantized.layers].count('quant_dense') == 1


def test_leaving_out_comes_before_a_given_annotation():
    layer = tfmot.quantization.keras.quantize_annotate_layer(_layers.Dense(2, name='dense'))
    model = keras.Sequential([keras.Input((3,)), layer, _layers.ReLU(name='relu')])
    found = _annotated_layers(tf_n2uq.annotate(model, leave_out='dense'))
    assert [name for name, layer in found.items() if layer is None] == ['dense']


def test_a_single_expression_will_do():
    found = _annotated_layers(tf_n2uq.annotate(transfer_learning(), 'normalization|relu'))
    assert [name for name, layer in found.items() if layer is None] == ['normalization', 'relu']


def test_an_expression_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match="'hea'.*none of: base_convolution, convolution, head"):
        tf_n2uq.annotate(transfer_learning(), leave_out='hea')


def test_an_expression_that_is_none_is_an_error():
    with pytest.raises(ValueError, match=r"leave_out: .*'\('"):
        tf_n2uq.annotate(transfer_learning(), leave_out=['head', '('])


@pytest.mark.parametrize('leave_out', [None, 3, ['head', 3], {'head': None}])
def test_leave_out_takes_strings(leave_out):
    with pytest.raises(TypeError, match='leave_out: expected a regular expression'):
        tf_n2uq.annotate(transfer_learning(), leave_out=leave_out)


def test_given_annotations_are_kept():
    config = tf_n2uq.N2UQQuantizeConfig(bits=4)
    annotate_layer = tfmot.quantization.keras.quantize_annotate_layer
    inner = keras.Sequential(
        [
            annotate_layer(_layers.Conv2D(3, 1, name='convolution'), config),
            annotate_layer(_layers.ReLU(name='relu')),
        ],
        name='inner',
    )
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            inner,
            annotate_layer(_layers.Conv2D(3, 1, name='convolution')),
        ]
    )
    annotated = tf_n2uq.annotate(model)
    configs = {layer.layer.name: layer.quantize_config for layer in annotated.layers}
    assert configs == {'inner_convolution': config, 'relu': None, 'convolution': None}
    assert_same_outputs(model, annotated, normal(4, 4, 3))


class _UnregisteredConfig(tf_n2uq.N2UQQuantizeConfig):
    pass


def test_a_given_config_need_not_be_registered():
    layer = tfmot.quantization.keras.quantize_annotate_layer(
        _layers.Dense(2, name='dense'), _UnregisteredConfig(bits=4)
    )
    (annotated,) = tf_n2uq.annotate(keras.Sequential([keras.Input((3,)), layer])).layers
    assert isinstance(annotated.quantize_config, _UnregisteredConfig)


def test_functions_without_a_layer_stay_in_float_and_are_named(caplog):
    image = keras.Input((4, 4, 3))
    x = tf.abs(_layers.Conv2D(3, 1, name='convolution')(image))
    x = _layers.Lambda(lambda value: value * 2, name='doubled')(x)
    model = keras.Model(image, tf.sqrt(x[:, ::-1]))
    annotated = tf_n2uq.annotate(model)
    found = _annotated_layers(annotated)
    assert [name for name, layer in found.items() if layer is not None] == ['convolution']
    (message,) = caplog.messages
    for expected in ('(tf.math.abs)', 'doubled (Lambda)', '(tf.__operators__.getitem)'):
        assert expected in message
    assert_same_outputs(model, annotated, normal(4, 4, 3))
    assert _quantize(annotated).output_shape == (None, 4, 4, 3)


def test_functions_that_are_left_out_are_not_warned_of(caplog):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, tf.abs(_layers.Conv2D(3, 1)(image)))
    tf_n2uq.annotate(model, leave_out=r'tf\.math\.abs.*')
    assert not caplog.messages


def _assert_quantized_model_loads_by_itself(model, path):
    model.save(path)
    loaded = keras.models.load_model(path)
    images = 255 * normal(32, 32, 3, count=1)
    assert_same_outputs(model, loaded, images)


def test_mobilenet_v3(tmp_path):
    model = keras.applications.MobileNetV3Small((32, 32, 3), weights=None, classes=10)
    annotated = tf_n2uq.annotate(model)
    assert_same_outputs(model, annotated, 255 * normal(32, 32, 3))
    layers = _annotated_layers(annotated)
    assert None not in layers.values()
    kinds = [type(layer) for layer in layers.values()]
    assert kinds.count(tf_n2uq.layers.HardSwish) == 19
    assert kinds.count(tf_n2uq.layers.HardSigmoid) == 9
    _assert_quantized_model_loads_by_itself(_quantize(annotated), tmp_path / 'model.keras')


def test_convnext(tmp_path):
    model = ConvNeXt(
        depths=[1, 1, 1, 1],
        projection_dims=[8, 16, 24, 32],
        drop_path_rate=0.1,
        input_shape=(32, 32, 3),
        classes=10,
        model_name='tiny',
    )
    annotated = tf_n2uq.annotate(model)
    assert_same_outputs(model, annotated, 255 * normal(32, 32, 3))
    layers = _annotated_layers(annotated)
    assert None not in layers.values()
    assert isinstance(layers['tiny_stem_conv'], _layers.Conv2D)
    _assert_quantized_model_loads_by_itself(_quantize(annotated), tmp_path / 'model.keras')


@pytest.mark.slow
def test_efficientnet():
    model = keras.applications.EfficientNetB0(input_shape=(32, 32, 3), weights=None, classes=10)
    model.layers[2].adapt(255 * normal(32, 32, 3))
    annotated = tf_n2uq.annotate(model)
    assert_same_outputs(model, annotated, 255 * normal(32, 32, 3))
    assert _quantize(annotated).output_shape == (None, 10)


def test_losses_of_tensors_stay_beside_the_annotated_layers(caplog):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name='conv')(image)
    model = keras.Model(image, keras.layers.ReLU(name='relu')(x))
    model.add_loss(tf.reduce_mean(x**2))
    annotated = tf_n2uq.annotate(model)
    assert not caplog.records
    images = normal(8, 8, 3)
    for each in (model, annotated):
        each(images)
    np.testing.assert_allclose(annotated.losses, model.losses, rtol=1e-6)
    wrapped = [getattr(layer, 'layer', None) for layer in annotated.layers]
    assert [layer.name for layer in wrapped if layer is not None] == ['conv', 'relu']


def test_layers_without_integer_operators_stay_in_float_with_a_warning(caplog):
    words = keras.Input((6,), dtype='int32')
    x = keras.layers.Embedding(9, 4, name='table')(words)
    x = keras.layers.Conv1D(4, 3, name='kernel')(x)
    x = keras.layers.GRU(3, name='memory')(x)
    annotated = tf_n2uq.annotate(keras.Model(words, x))
    found = _annotated_layers(annotated)
    assert [name for name, layer in found.items() if layer is None] == ['table', 'memory']
    assert 'stay in float: table (Embedding), memory (GRU)' in caplog.text


def test_attention_is_annotated_without_its_products(caplog):
    series = keras.Input((6, 4))
    x = keras.layers.MultiHeadAttention(2, 4, name='own')(series, series)
    found = _annotated_layers(tf_n2uq.annotate(keras.Model(series, x)))
    assert [name for name, layer in found.items() if layer is None] == ['own_products']
    assert {'own', 'own_query', 'own_key', 'own_value'} < set(found)
    assert 'stay in float' not in caplog.text
