"""Optimizers with a learning rate per group: exact updates, saving, mixed precision."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.quantizers.base import add_parameter
from tf_n2uq.training import LearningRateGroups, N2UQAdam, VariableGroup, linear_decay

GRADIENTS = np.array([[1.0, -3.0], [0.5, 2.0], [-0.25, 1.5]], np.float32)


@keras.saving.register_keras_serializable(package='tf_n2uq_tests')
class GroupedSGD(LearningRateGroups, keras.optimizers.SGD):
    pass


def hand_computed_adam(value, gradients, learning_rate, weight_decay=0.0):
    value = np.array(value, np.float64)
    m = np.zeros_like(value)
    v = np.zeros_like(value)
    for step, gradient in enumerate(np.asarray(gradients, np.float64), start=1):
        value -= learning_rate * weight_decay * value
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        alpha = learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        value -= alpha * m / (np.sqrt(v) + 1e-7)
    return value


def apply(optimizer, variables, gradients=GRADIENTS):
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable) for variable in variables])


def quantizer_parameter(value, name='any_name'):
    layer = keras.layers.Layer()
    parameter = add_parameter(layer, name, np.shape(value), 0.0)
    parameter.assign(value)
    return parameter


@pytest.mark.parametrize('weight_decay', [None, 0.1])
def test_updates_equal_hand_computed_adam_at_two_learning_rates(weight_decay):
    kernel = tf.Variable([1.0, 2.0], name='conv/kernel')
    start = quantizer_parameter([1.0, 2.0])
    apply(N2UQAdam(0.05, weight_decay=weight_decay), [kernel, start])
    for variable, rate in ((kernel, 0.05), (start, 0.005)):
        expected = hand_computed_adam([1.0, 2.0], GRADIENTS, rate, weight_decay or 0.0)
        np.testing.assert_allclose(variable, expected, rtol=1e-5)


@pytest.mark.parametrize('name', ['tensor_start', 'tensor_clip_value', 'a_step_size', 'kernel'])
def test_default_group_holds_parameters_of_quantizers_whatever_the_names(name):
    other = tf.Variable([0.0, 0.0], name=name)
    parameter = quantizer_parameter([0.0, 0.0], name)
    apply(N2UQAdam(0.01), [other, parameter], [np.array([1.0, -1.0], np.float32)])
    np.testing.assert_allclose(other, [-0.01, 0.01], rtol=1e-4)
    np.testing.assert_allclose(parameter, [-0.001, 0.001], rtol=1e-4)


def test_group_and_patterns_stand_beside_each_other_in_order():
    frozen = quantizer_parameter([1.0, 1.0], 'a_frozen')
    parameter = quantizer_parameter([1.0, 1.0], 'b')
    kernel = tf.Variable([1.0, 1.0], name='kernel')
    groups = {'frozen$': 0.0, VariableGroup.QUANTIZER_PARAMETERS: 0.5, '': 0.25}
    optimizer = GroupedSGD(1.0, multipliers=groups)
    apply(optimizer, [frozen, parameter, kernel], [np.ones(2, np.float32)])
    for variable, expected in ((frozen, 1.0), (parameter, 0.5), (kernel, 0.75)):
        np.testing.assert_array_equal(variable, [expected, expected])


def test_parameters_of_quantizers_can_do_without_weight_decay():
    parameter = quantizer_parameter([1.0, 1.0])
    kernel = tf.Variable([1.0, 1.0], name='kernel')
    optimizer = N2UQAdam(
        0.1, multipliers={}, no_decay=[VariableGroup.QUANTIZER_PARAMETERS], weight_decay=0.5
    )
    apply(optimizer, [parameter, kernel], [np.zeros(2, np.float32)])
    np.testing.assert_array_equal(parameter, [1.0, 1.0])
    np.testing.assert_allclose(kernel, [0.95, 0.95], rtol=1e-6)


@pytest.mark.parametrize(
    'name', ['SGD', 'Adam', 'AdamW', 'RMSprop', 'Nadam', 'Adagrad', 'Adamax', 'Ftrl', 'Lion']
)
def test_any_optimizer_moves_a_group_as_the_plain_one_at_the_groups_rate(name):
    plain_class = getattr(keras.optimizers, name)
    grouped_class = type(f'Grouped{name}', (LearningRateGroups, plain_class), {})
    other = tf.Variable([1.0, 2.0], name='other')
    grouped = tf.Variable([1.0, 2.0], name='mine')
    expected = tf.Variable([1.0, 2.0], name='expected')
    expected_other = tf.Variable([1.0, 2.0], name='expected_other')
    apply(grouped_class(0.1, multipliers={'^mine': 0.25}), [other, grouped])
    apply(plain_class(0.025), [expected])
    apply(plain_class(0.1), [expected_other])
    np.testing.assert_allclose(grouped, expected, rtol=1e-6)
    np.testing.assert_allclose(other, expected_other, rtol=1e-6)


def test_first_matching_pattern_wins_and_zero_freezes():
    frozen = tf.Variable([1.0, 1.0], name='a/kernel')
    halved = tf.Variable([1.0, 1.0], name='b/kernel')
    apply(
        GroupedSGD(1.0, multipliers=[('^a/', 0.0), ('kernel$', 0.5)], weight_decay=0.1),
        [frozen, halved],
        [np.ones(2, np.float32)],
    )
    np.testing.assert_array_equal(frozen, [1.0, 1.0])
    np.testing.assert_allclose(halved, [0.45, 0.45], rtol=1e-6)  # 1 - 0.5·0.1·1 - 0.5·1


def test_learning_rate_is_the_base_rate_outside_updates_and_can_be_set():
    variable = tf.Variable([1.0, 1.0], name='a/mine')
    optimizer = GroupedSGD(1.0, multipliers={'mine$': 0.1})
    apply(optimizer, [variable], [np.ones(2, np.float32)])
    assert float(optimizer.learning_rate) == 1.0
    optimizer.learning_rate = 2.0
    apply(optimizer, [variable], [np.ones(2, np.float32)])
    np.testing.assert_allclose(variable, [0.7, 0.7], rtol=1e-6)  # 1 - 0.1·1 - 0.1·2


def test_schedule_is_multiplied_too():
    kernel = tf.Variable([0.0, 0.0], name='kernel')
    start = quantizer_parameter([0.0, 0.0])
    groups = {VariableGroup.QUANTIZER_PARAMETERS: 0.1}
    optimizer = GroupedSGD(linear_decay(1.0, 4), multipliers=groups)
    apply(optimizer, [kernel, start], np.ones((4, 2), np.float32))
    np.testing.assert_allclose(kernel, [-2.5, -2.5], rtol=1e-6)  # 1 + 3/4 + 2/4 + 1/4
    np.testing.assert_allclose(start, [-0.25, -0.25], rtol=1e-6)


def test_config_round_trip_keeps_order_schedule_and_behaviour():
    multipliers = [['z$', 0.5], ['a', 0.1], ['', 2.0]]
    optimizer = N2UQAdam(
        linear_decay(0.1, 5), multipliers=multipliers, weight_decay=0.01, adaptive_epsilon=True
    )
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(copy) is N2UQAdam
    assert copy.get_config() == optimizer.get_config()
    assert copy.get_config()['multipliers'] == multipliers
    first = tf.Variable([1.0, 2.0], name='a/z')
    second = tf.Variable([1.0, 2.0], name='a/z')
    apply(optimizer, [first])
    apply(copy, [second])
    np.testing.assert_array_equal(first, second)


def test_groups_are_saved_with_the_optimizer():
    optimizer = N2UQAdam(0.1, no_decay=[VariableGroup.QUANTIZER_PARAMETERS, 'bias$'])
    config = optimizer.get_config()
    groups = config['multipliers'], config['no_decay']
    assert json.loads(json.dumps(groups)) == list(groups)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert copy.get_config() == config
    parameter, bias = quantizer_parameter([1.0, 1.0]), tf.Variable([1.0, 1.0], name='bias')
    copy.weight_decay = 0.5
    apply(copy, [parameter, bias], [np.zeros(2, np.float32)])
    np.testing.assert_array_equal(parameter, [1.0, 1.0])
    np.testing.assert_array_equal(bias, [1.0, 1.0])


def test_configuration_of_version_0_1_0_means_the_parameters_of_quantizers():
    pattern = r'_(start|intervals|input_scale|output_scale|clip_value|step_size)$'
    config = {**N2UQAdam(0.01).get_config(), 'multipliers': [[pattern, 0.1]], 'no_decay': [pattern]}
    optimizer = N2UQAdam.from_config(config)
    assert optimizer.get_config() == {
        **N2UQAdam(0.01, no_decay=[VariableGroup.QUANTIZER_PARAMETERS]).get_config()
    }
    other, parameter = tf.Variable([0.0], name='my_start'), quantizer_parameter([0.0])
    apply(optimizer, [other, parameter], [np.ones(1, np.float32)])
    np.testing.assert_allclose(other, [-0.01], rtol=1e-4)
    np.testing.assert_allclose(parameter, [-0.001], rtol=1e-4)


def grouped_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)]
    )
    model.compile(optimizer=N2UQAdam(0.01, multipliers={'bias': 0.1}), loss='mse')
    return model


@pytest.mark.parametrize('form', ['model.keras', 'model.h5', 'checkpoint'])
def test_training_goes_on_bit_for_bit_after_loading(tmp_path, form):
    random = np.random.default_rng(0)
    x = random.standard_normal((16, 4)).astype(np.float32)
    y = random.standard_normal((16, 1)).astype(np.float32)
    model = grouped_model()
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    path = str(tmp_path / form)
    if form == 'checkpoint':
        tf.train.Checkpoint(model=model).write(path)
        loaded = grouped_model()
        tf.train.Checkpoint(model=loaded).read(path).expect_partial()
    else:
        model.save(path)
        loaded = keras.models.load_model(path)
        assert type(loaded.optimizer) is N2UQAdam
        assert loaded.optimizer.get_config()['multipliers'] == [['bias', 0.1]]
    for each in (model, loaded):
        each.fit(x, y, epochs=2, shuffle=False, verbose=0)
    assert int(loaded.optimizer.iterations) == 4
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_keras_backup_and_restore_goes_on_as_if_nothing_had_happened(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    random = np.random.default_rng(0)
    x = random.standard_normal((16, 4)).astype(np.float32)
    options = {'x': x, 'y': x[:, :1], 'epochs': 4, 'shuffle': False, 'verbose': 0}
    straight = grouped_model()
    straight.fit(**options)
    backup = str(tmp_path / 'backup')
    with pytest.raises(KeyboardInterrupt):
        grouped_model().fit(
            **options, callbacks=[keras.callbacks.BackupAndRestore(backup), Crash()]
        )
    resumed = grouped_model()
    history = resumed.fit(**options, callbacks=[keras.callbacks.BackupAndRestore(backup)])
    assert history.epoch == [2, 3]
    for one, other in zip(straight.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('jit_compile', [False, True])
@pytest.mark.parametrize('policy', ['float32', 'mixed_float16'])
def test_group_learns_at_a_tenth_in_compiled_training(policy, jit_compile):
    keras.mixed_precision.set_global_policy(policy)
    model = grouped_model()
    optimizer = N2UQAdam(0.01, multipliers={'bias': 0.1})
    if policy == 'mixed_float16':
        # At Keras' first scale the gradients would overflow and the step would be left out.
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=128)
    model.compile(optimizer, loss='mse', jit_compile=jit_compile)
    before = [variable.numpy() for variable in model.trainable_variables]
    random = np.random.default_rng(1)
    x = random.standard_normal((16, 4)).astype(np.float32)
    model.fit(x, x[:, :1] + 5, batch_size=16, verbose=0)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        # Adam's first step is the learning rate in size, whatever the gradient.
        expected = 0.001 if 'bias' in variable.name else 0.01
        np.testing.assert_allclose(np.abs(variable.numpy() - old), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'multipliers': {'typo$': 0.1}}, r"multipliers \(factor 0.1\): the pattern 'typo\$'"),
        ({}, r'multipliers \(factor 0.1\): VariableGroup.QUANTIZER_PARAMETERS'),
        (
            {'multipliers': {}, 'no_decay': ['typo$'], 'weight_decay': 0.1},
            r"no_decay: the pattern 'typo\$'",
        ),
    ],
)
def test_group_without_a_variable_is_warned_of(caplog, options, words):
    with caplog.at_level('WARNING', logger='absl'):
        apply(N2UQAdam(0.1, **options), [tf.Variable([1.0, 2.0], name='kernel')])
    assert len(caplog.records) == 1
    assert re.search(f'{words} matches none of the 1 variables', caplog.text)


@pytest.mark.parametrize(
    ('multipliers', 'error', 'words'),
    [
        ('bias', TypeError, 'multipliers: expected {group: factor}'),
        (3, TypeError, 'multipliers: expected {group: factor}'),
        (['bias'], TypeError, 'expected pairs'),
        ([(1, 0.5)], TypeError, 'expected a VariableGroup or a regular expression'),
        ({'bias': 'slow'}, TypeError, "the factor of 'bias': expected a number"),
        ({'bias': True}, TypeError, "the factor of 'bias': expected a number"),
        ({'bias': -0.1}, ValueError, 'expected at least 0'),
        ({'bias': float('inf')}, ValueError, 'expected a finite number'),
        ({'(bias': 0.1}, ValueError, 'expected a regular expression'),
    ],
)
def test_bad_multipliers_are_named(multipliers, error, words):
    with pytest.raises(error, match=words):
        N2UQAdam(0.1, multipliers=multipliers)
