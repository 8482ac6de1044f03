import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_training import OpenOptimizer, index_of, untracked


class OnlyKernels(OpenOptimizer, keras.optimizers.SGD):
    """Decays what is named 'kernel', and counts how often."""

    steps = 0

    def decays(self, variable):
        return 'kernel' in variable.name and super().decays(variable)

    def apply_decay(self, variables):
        self.steps += 1
        super().apply_decay(variables)


def test_a_subclass_decides_which_variables_decay():
    variables = [tf.Variable([1.0], name=name) for name in ('kernel', 'bias')]
    optimizer = OnlyKernels(learning_rate=0.5, weight_decay=0.5, jit_compile=False)
    optimizer.apply_gradients([(tf.zeros([1]), variable) for variable in variables])
    np.testing.assert_allclose(tf.concat(variables, 0), [0.75, 1.0])
    assert optimizer.steps == 1


def test_keras_own_exclusions_stay():
    variables = [tf.Variable([1.0], name=name) for name in ('kernel', 'other_kernel')]
    optimizer = OnlyKernels(weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=['other'])
    optimizer.build(variables)
    assert [optimizer.decays(variable) for variable in variables] == [True, False]


def test_a_variables_place_is_that_in_the_list_whatever_its_name():
    variables = [tf.Variable([1.0], name='same') for _ in range(3)]
    optimizer = keras.optimizers.SGD()
    optimizer.build(variables)
    assert [index_of(optimizer, variable) for variable in variables] == [0, 1, 2]


def test_an_untracked_value_stays_what_it_was():
    optimizer = keras.optimizers.SGD()
    value = [{'a': 1}]
    optimizer.own = untracked(optimizer, value)
    assert optimizer.own is value
