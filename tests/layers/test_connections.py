"""A quantized layer keeps to the layers that it was connected to."""

import threading

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantized_network
from tf_n2uq.layers import KernelRole, Quantize, QuantizedKernel
from tf_n2uq.schemes import N2UQQuantizeConfig

LastValueQuantizer = tfmot.quantization.keras.quantizers.LastValueQuantizer


@pytest.fixture(name='model')
def _model():
    model = quantized_network('batch_normalized')
    # TFMOT leaves layers that are connected twice, whose `output` is of another model.
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def kernels(model):
    return [layer for layer in model.layers if isinstance(layer, QuantizedKernel)]


def outputs_of(model):
    images = images_for(model)
    each = [layer.output for layer in kernels(model)]
    inner = keras.Model(model.input, each)(images, training=False)
    return [model(images, training=False), *inner]


def test_new_layers_behind_a_kernel_change_no_output_of_the_model(model):
    before = outputs_of(model)
    for layer in kernels(model):
        # A feature extractor, and what Grad-CAM does.
        keras.layers.GlobalAveragePooling2D()(layer.output) if layer.output.shape.rank == 4 else 0
        keras.layers.Activation('relu')(layer.output)
    for got, want in zip(outputs_of(model), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_kernel_as_second_output_changes_no_output_of_the_model(model):
    images = images_for(model)
    before = model(images, training=False)
    for layer in kernels(model)[:-1]:
        both = keras.Model(model.input, [model.output, layer.output])
        np.testing.assert_array_equal(both(images, training=False)[0], before)
    np.testing.assert_array_equal(model(images, training=False), before)


def test_the_export_refuses_a_model_that_returns_the_inside_of_an_operator(model):
    layer = model.get_layer('quant_inner')
    both = keras.Model(model.input, [model.output, layer.output])
    line = layer.use().role.line
    assert line is not None
    with pytest.raises(ValueError, match=f"'{line}' alone to read layer 'quant_inner'"):
        tf_n2uq.tflite.convert(both)


@pytest.mark.parametrize('suffix', ['.keras', '.h5', ''])
def test_roles_survive_every_format(model, suffix, tmp_path):
    path = tmp_path / f'model{suffix}'
    model.save(path)
    loaded = keras.models.load_model(path)
    roles = [layer.use().role for layer in kernels(model)]
    assert [layer.use().role for layer in kernels(loaded)] == roles
    assert any(role.line for role in roles)
    assert all(role.input_quantizer for role in roles)
    images = images_for(model)
    np.testing.assert_array_equal(loaded(images), model(images))


def test_a_saved_model_runs_without_keras_and_leaves_the_model_as_it_was(model, tmp_path):
    images = images_for(model)
    before = model(images, training=False).numpy()
    model.save(tmp_path / 'model')
    np.testing.assert_array_equal(model(images, training=False), before)
    function = tf.saved_model.load(tmp_path / 'model').signatures['serving_default']
    (outputs,) = function(tf.constant(images)).values()
    np.testing.assert_allclose(outputs, before, atol=1e-5)


def test_roles_survive_a_clone_of_the_model(model):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert [layer.use().role for layer in kernels(clone)] == [
        layer.use().role for layer in kernels(model)
    ]
    images = images_for(model)
    np.testing.assert_array_equal(clone(images), model(images))


def test_a_clone_computes_with_its_own_quantizers(model):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    images = images_for(model)
    before = model(images)
    for variable in clone.weights:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_array_equal(model(images), before)


def test_the_role_names_the_quantizer_and_the_line(model):
    layers = [layer.name for layer in model.layers]
    role = model.get_layer('quant_inner').use().role
    assert role.input_quantizer == 'inner_thresholds'
    assert role.line == layers[layers.index('quant_inner') + 1]
    assert [layer.use().role.is_last for layer in kernels(model)] == [False] * 4 + [True]


def test_a_layer_out_of_its_network_says_once_that_it_does_not_round(caplog):
    role = KernelRole('gone_thresholds')
    layer = QuantizedKernel(keras.layers.Dense(2), N2UQQuantizeConfig(bits=2), True, role)
    for _ in range(2):
        layer(tf.ones([1, 3]))
    assert caplog.text.count("expected the quantizer 'gone_thresholds' in front") == 1


def test_a_quantizer_of_others_in_front_of_a_kernel_gives_no_scale():
    inputs = keras.Input([5])
    other = LastValueQuantizer(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
    x = Quantize(other)(inputs)
    kernel = QuantizedKernel(keras.layers.Dense(3), N2UQQuantizeConfig(bits=2), True)
    model = keras.Model(inputs, kernel(x))
    x = np.random.default_rng(0).uniform(size=(4, 5)).astype(np.float32)
    assert kernel.use().input_scale() is None
    np.testing.assert_allclose(model(x, training=False), kernel.call(model.layers[1](x)), rtol=1e-5)


def test_threads_that_call_one_model_leave_its_variables_in_place(model):
    images = images_for(model)
    before = {id(layer): dict(vars(layer.layer)) for layer in kernels(model)}
    expected = model(images, training=False).numpy()
    wrong = []

    def call():
        for _ in range(5):
            wrong.append(np.any(model(images, training=False).numpy() != expected))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 20
    for layer in kernels(model):
        assert {name: id(value) for name, value in vars(layer.layer).items()} == {
            name: id(value) for name, value in before[id(layer)].items()
        }
    kernels(model)[1].layer.kernel.assign(tf.zeros_like(kernels(model)[1].layer.kernel))
    assert np.any(model(images, training=False).numpy() != expected)
