"""SGD with an L2 penalty: exact updates, exceptions, saving."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import L2SGD, N2UQAdam, cosine_decay

GRADIENTS = np.array([[1.0, -3.0], [0.5, 2.0], [-0.25, 1.5]], np.float32)


def pytorchs(value, rate, decay, nesterov):
    """What `torch.optim.SGD` documents, at one learning rate."""
    value, momentum = np.array(value, np.float64), np.zeros(2)
    for gradient in GRADIENTS:
        total = gradient + decay * value
        momentum = 0.9 * momentum + total
        value -= rate * (total + 0.9 * momentum if nesterov else momentum)
    return value


def apply(optimizer, variables):
    for gradient in GRADIENTS:
        optimizer.apply_gradients([(tf.constant(gradient), variable) for variable in variables])


@pytest.mark.parametrize('nesterov', [True, False])
def test_updates_equal_pytorchs(nesterov):
    variable = tf.Variable([1.0, 2.0], name='kernel')
    apply(L2SGD(0.05, weight_decay=0.1, nesterov=nesterov), [variable])
    expected = pytorchs([1.0, 2.0], 0.05, 0.1, nesterov)
    np.testing.assert_allclose(variable, expected, rtol=1e-5)


def test_groups_have_their_rate_and_exceptions_no_decay():
    names = ('a/kernel', 'a/depthwise_kernel', 'a/clip_value')
    variables = [tf.Variable([1.0, 2.0], name=name) for name in names]
    optimizer = L2SGD(
        0.05, weight_decay=0.1, no_decay=['depthwise_kernel$'], multipliers={'clip_value$': 0.1}
    )
    apply(optimizer, variables)
    for variable, (rate, decay) in zip(
        variables, [(0.05, 0.1), (0.05, 0.0), (0.005, 0.1)], strict=True
    ):
        expected = pytorchs([1.0, 2.0], rate, decay, nesterov=True)
        np.testing.assert_allclose(variable, expected, rtol=1e-5)


def test_rows_of_an_embedding_decay_though_they_were_not_read():
    variable = tf.Variable([[1.0], [2.0]], name='embeddings')
    gradient = tf.IndexedSlices(tf.constant([[1.0]]), tf.constant([0]), tf.constant([2, 1]))
    optimizer = L2SGD(0.1, momentum=0.0, nesterov=False, weight_decay=0.5)
    optimizer.apply_gradients([(gradient, variable)])
    np.testing.assert_allclose(variable, [[1 - 0.1 * 1.5], [2 - 0.1]], rtol=1e-6)


@pytest.mark.parametrize('strategy', [tf.distribute.get_strategy, tf.distribute.MirroredStrategy])
def test_replicas_and_adam_know_the_exceptions(strategy):
    strategy = strategy()
    with strategy.scope():
        for optimizer in (
            L2SGD(0.1, weight_decay=1.0, no_decay=['^b/']),
            N2UQAdam(0.1, weight_decay=1.0, no_decay=['^b/']),
        ):
            decayed, kept = (tf.Variable([1.0], name=name) for name in ('a/kernel', 'b/kernel'))
            gradients = [(tf.zeros([1]), variable) for variable in (decayed, kept)]
            strategy.run(optimizer.apply_gradients, args=(gradients,))
            assert decayed.numpy() < 1
            assert kept.numpy() == 1


def test_the_optimizer_is_rebuilt_from_its_configuration():
    optimizer = L2SGD(
        cosine_decay(0.1, 8), 0.8, False, 1e-4, multipliers={'a$': 0.5}, no_decay=['b$']
    )
    config = optimizer.get_config()
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, L2SGD)
    assert again.get_config() == config
    assert (config['momentum'], config['nesterov'], config['no_decay']) == (0.8, False, ['b$'])


@pytest.mark.parametrize(
    ('no_decay', 'error'), [('kernel', TypeError), ([1], TypeError), (['('], ValueError)]
)
def test_bad_patterns_are_named(no_decay, error):
    with pytest.raises(error, match='no_decay'):
        L2SGD(0.1, no_decay=no_decay)


@pytest.mark.parametrize(
    ('weight_decay', 'error'), [(-0.1, ValueError), (float('nan'), ValueError), ('1', TypeError)]
)
def test_penalties_that_are_no_penalties_are_named(weight_decay, error):
    with pytest.raises(error, match='weight_decay: expected'):
        L2SGD(0.1, weight_decay=weight_decay)


def test_variables_named_to_keras_have_no_penalty_either():
    decayed, kept = (tf.Variable([1.0], name=name) for name in ('a', 'b'))
    optimizer = L2SGD(0.1, momentum=0.0, nesterov=False, weight_decay=1.0)
    optimizer.exclude_from_weight_decay(var_list=[kept])
    optimizer.apply_gradients([(tf.zeros([1]), variable) for variable in (decayed, kept)])
    np.testing.assert_allclose(decayed, [0.9], rtol=1e-6)
    np.testing.assert_array_equal(kept, [1.0])
