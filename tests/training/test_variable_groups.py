"""Variables of quantizers are recognized by what they are, in every form that a model takes."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import (
    LearnableThresholdQuantizer,
    LSQInputQuantizer,
    PACTQuantizer,
    RangeQuantizer,
)
from tf_n2uq.quantizers.base import add_parameter
from tf_n2uq.training import N2UQAdam, VariableGroup
from tf_n2uq.training.variable_groups import checked_selector, checked_selectors, selects

QUANTIZERS = VariableGroup.QUANTIZER_PARAMETERS


@keras.saving.register_keras_serializable(package='tf_n2uq_tests')
class Shift(keras.layers.Layer):
    """A user's layer, whose variables have the names that quantizers' have."""

    def build(self, input_shape):
        self.start = self.add_weight('tensor_start', shape=(input_shape[-1],))
        self.scale = self.add_weight('tensor_input_scale', shape=(input_shape[-1],))

    def call(self, inputs):
        return inputs * self.scale + self.start


@keras.saving.register_keras_serializable(package='tf_n2uq_tests')
class RenamedQuantizer(LearnableThresholdQuantizer):
    """A user's quantizer, whose variables have names of its own."""

    def build(self, tensor_shape, name, layer):
        names = {'start': 'origin', 'intervals': 'widths', 'input_scale': 'x', 'output_scale': 'y'}
        weights = super().build(tensor_shape, name, keras.layers.Layer())
        return {
            key: add_parameter(layer, names[key], tuple(variable.shape), 1.0)
            for key, variable in weights.items()
        }


def network(quantizer=None):
    inputs = keras.Input((4,), name='points')
    x = keras.layers.Dense(4, name='hidden')(inputs)
    x = Quantize(quantizer or LearnableThresholdQuantizer(2), name='quantizer')(x)
    x = Shift(name='shift')(x)
    return keras.Model(inputs, keras.layers.Dense(2, name='logits')(x))


def found(model):
    """The names of the layers of those variables that are in the group, each once."""
    inside = {id(variable) for variable in model.variables if QUANTIZERS.holds(variable)}
    layers = {layer.name: layer.weights for layer in model.layers if layer.weights}
    for name, weights in layers.items():
        held = [id(variable) in inside for variable in weights]
        assert all(held) or not any(held), name
    return {name for name, weights in layers.items() if id(weights[0]) in inside}


@pytest.mark.parametrize(
    'quantizer',
    [
        LearnableThresholdQuantizer(3),
        PACTQuantizer(4),
        LSQInputQuantizer(4),
        RangeQuantizer(8),
        RenamedQuantizer(2),
    ],
    ids=lambda quantizer: type(quantizer).__name__,
)
def test_the_variables_of_a_quantizer_are_in_the_group_and_no_others(quantizer):
    assert found(network(quantizer)) == {'quantizer'}


def test_a_users_variables_learn_at_full_rate_and_a_renamed_quantizers_at_a_tenth():
    model = network(RenamedQuantizer(2))
    optimizer = N2UQAdam(0.01)
    before = {variable.name: variable.numpy() for variable in model.trainable_variables}
    ones = [tf.ones_like(variable) for variable in model.trainable_variables]
    optimizer.apply_gradients(zip(ones, model.trainable_variables, strict=True))
    for variable in model.trainable_variables:
        is_quantizers = any(variable is each for each in model.get_layer('quantizer').weights)
        moved = before[variable.name] - variable.numpy()
        np.testing.assert_allclose(moved, 0.001 if is_quantizers else 0.01, rtol=1e-3)


@pytest.mark.parametrize('form', ['model.keras', 'model.h5', 'saved_model'])
def test_they_are_recognized_after_loading(tmp_path, form):
    path = str(tmp_path / form)
    network().save(path)
    assert found(keras.models.load_model(path)) == {'quantizer'}


def test_they_are_recognized_in_a_clone_and_in_a_copy_from_the_config():
    model = network()
    assert found(keras.models.clone_model(model)) == {'quantizer'}
    assert found(keras.Model.from_config(model.get_config())) == {'quantizer'}


@pytest.mark.parametrize('policy', ['mixed_float16', 'mixed_bfloat16', 'float64'])
def test_they_are_recognized_under_other_precisions(policy):
    keras.mixed_precision.set_global_policy(policy)
    assert found(network()) == {'quantizer'}


@pytest.mark.parametrize('method', ['n2uq', 'lsq', 'sat'])
def test_they_are_recognized_in_a_network_of_several_bit_widths(method):
    scheme = tf_n2uq.AdaBitsScheme((4, 2), method)
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(4, activation='relu', name='first')]
        + [keras.layers.Dense(4, activation='relu', name=f'dense{i}') for i in range(3)]
    )
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    float_names = {'kernel', 'bias', 'gamma', 'beta', 'moving_mean', 'moving_variance'}
    names = {
        QUANTIZERS.holds(variable): variable.name.split(':')[0].split('/')[-1]
        for variable in model.trainable_variables
    }
    assert set(names) == {True, False}
    assert names[False] in float_names
    assert names[True] not in float_names


def test_they_are_recognized_in_tfmots_own_wrapper():
    layer = keras.layers.Dense(4, input_shape=(4,))
    config = tf_n2uq.LSQQuantizeConfig(bits=4)
    annotated = keras.Sequential([tfmot.quantization.keras.quantize_annotate_layer(layer, config)])
    with tfmot.quantization.keras.quantize_scope({'LSQQuantizeConfig': type(config)}):
        model = tfmot.quantization.keras.quantize_apply(annotated)
    learned = [v.name.split(':')[0].split('/')[-1] for v in model.trainable_variables]
    in_group = [QUANTIZERS.holds(variable) for variable in model.trainable_variables]
    assert dict(zip(learned, in_group, strict=True)) == {
        'kernel': False,
        'bias': False,
        'kernel_step_size': True,
        'post_activation_step_size': True,
    }


def test_replicas_of_a_quantizers_variables_learn_at_a_tenth():
    script = textwrap.dedent(
        """
        import numpy as np, tensorflow as tf, tf_keras as keras
        from tf_n2uq.layers import Quantize
        from tf_n2uq.quantizers import LearnableThresholdQuantizer
        from tf_n2uq.training import N2UQAdam

        cpu = tf.config.list_physical_devices('CPU')[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()]*2)
        strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
        with strategy.scope():
            model = keras.Sequential([
                keras.layers.Input((4,)),
                Quantize(LearnableThresholdQuantizer(2), name='quantizer'),
                keras.layers.Dense(3, name='logits'),
            ])
            model.compile(N2UQAdam(0.01), 'mse')
        before = {v.name: v.numpy() for v in model.trainable_variables}
        x = np.random.default_rng(0).uniform(0, 2, (64, 4)).astype('float32')
        model.fit(x, np.ones((64, 3), 'float32'), batch_size=64, verbose=0)
        moved = {name: np.abs(model.get_layer(name).trainable_weights[0].numpy()
                              - before[model.get_layer(name).trainable_weights[0].name]).max()
                 for name in ('quantizer', 'logits')}
        np.testing.assert_allclose([moved['quantizer'], moved['logits']], [0.001, 0.01], rtol=1e-2)
        print('a tenth')
        """
    )
    result = subprocess.run(
        [sys.executable, '-c', script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.stdout.endswith('a tenth\n'), result.stderr[-3000:]


def test_a_pattern_is_searched_for_in_the_name_without_its_number():
    variable = tf.Variable([1.0], name='block/kernel')
    assert selects('kernel$', variable)
    assert selects('^block', variable)
    assert not selects(':0', variable)


@pytest.mark.parametrize(
    ('selector', 'error', 'words'),
    [
        (3, TypeError, 'groups: expected a VariableGroup or a regular expression .* got 3'),
        ('(', ValueError, r"groups: expected a regular expression, got '\('"),
    ],
)
def test_what_selects_nothing_is_named(selector, error, words):
    with pytest.raises(error, match=words):
        checked_selector(selector, 'groups')
    with pytest.raises(error, match=words):
        checked_selectors([QUANTIZERS, selector], 'groups')


def test_a_single_selector_is_no_sequence():
    with pytest.raises(TypeError, match='groups: expected a sequence .* got .kernel.'):
        checked_selectors('kernel', 'groups')
    assert checked_selectors([QUANTIZERS, 'kernel'], 'groups') == (QUANTIZERS, 'kernel')
