import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.schemes.annotation.networks_in_networks import (
    Subclassed,
    assert_same_outputs,
    names_of,
    normal,
    transfer_learning,
)
from tf_n2uq.graph.graph import Graph

_layers = keras.layers


def flatten(model):
    return Graph.from_model(model).to_model()


def test_inner_models_are_dissolved_at_any_depth():
    model = transfer_learning()
    flat = flatten(model)
    # The outer of two equal names stays, the inner gets its model's name in front.
    expected = ['base_convolution', 'normalization', 'relu', 'convolution', 'pooling', 'head']
    assert names_of(flat) == expected
    assert_same_outputs(model, flat, normal(8, 8, 3))


def test_a_chain_of_sequential_models_is_sequential():
    inner = keras.Sequential([_layers.ReLU()])
    model = keras.Sequential([keras.Input((4,)), inner, _layers.Dense(3)])
    assert isinstance(flatten(model), keras.Sequential)


def test_what_a_chain_calls_with_constants_is_not_sequential():
    image = keras.Input((4,))
    model = keras.Sequential([keras.Model(image, tf.pow(image, 2.0)), _layers.Dense(3)])
    assert_same_outputs(model, flatten(model), normal(4))


def test_numbers_are_added_to_names_that_are_still_taken():
    def inner():
        return keras.Sequential([_layers.Dense(3, name='dense')], name='inner')

    one, two = (keras.Sequential([inner()], name=name) for name in ('one', 'two'))
    model = keras.Sequential([keras.Input((3,)), one, two, _layers.Dense(3, name='dense')])
    flat = flatten(model)
    assert names_of(flat) == ['inner_dense', 'inner_dense_1', 'dense']
    assert_same_outputs(model, flat, normal(3))


def test_an_inner_model_in_inference_mode_stays_so():
    flat = flatten(transfer_learning())
    flat(normal(8, 8, 3), training=True)
    (mean,) = [weight for weight in flat.weights if 'moving_mean' in weight.name]
    assert not mean.numpy().any()


def test_an_inner_model_in_no_certain_mode_follows_the_outer():
    inner = keras.Sequential([_layers.BatchNormalization()])
    flat = flatten(keras.Sequential([keras.Input((3,)), inner]))
    flat(normal(3), training=True)
    (mean,) = [weight for weight in flat.weights if 'moving_mean' in weight.name]
    assert mean.numpy().all()


def test_a_frozen_inner_model_stays_frozen():
    model = transfer_learning()
    model.layers[0].trainable = False
    assert [weight.name for weight in flatten(model).trainable_weights] == [
        'head/kernel:0',
        'head/bias:0',
    ]


def test_an_inner_model_with_several_inputs_and_outputs():
    images = {'a': keras.Input((4, 4, 2), name='a'), 'b': keras.Input((4, 4, 2), name='b')}
    both = _layers.Concatenate()(list(images.values()))
    difference = _layers.Subtract()([images['a'], images['b']])
    inner = keras.Model(images, {'both': both, 'same': images['b'], 'difference': difference})
    one, two = keras.Input((4, 4, 2), name='one'), keras.Input((4, 4, 2), name='two')
    results = inner({'a': one, 'b': two})
    summed = _layers.Add()([results['same'], results['difference']])
    model = keras.Model([one, two], [_layers.Conv2D(3, 1)(results['both']), {'sum': summed}])
    flat = flatten(model)
    assert [tensor.name for tensor in flat.inputs] == ['one', 'two']
    assert_same_outputs(model, flat, [normal(4, 4, 2), 1.0 - normal(4, 4, 2)])


def test_an_inner_model_without_weights_may_be_called_often():
    inner = keras.Sequential([_layers.ReLU(name='relu'), _layers.ZeroPadding2D(name='padding')])
    image = keras.Input((4, 4, 3))
    x = inner(_layers.Conv2D(3, 3, name='first')(inner(image)))
    # A name that a copy of the first one must not get.
    model = keras.Model(image, _layers.ReLU(name='relu_1')(x))
    flat = flatten(model)
    assert names_of(flat) == ['relu', 'padding', 'first', 'relu_2', 'padding_1', 'relu_1']
    assert_same_outputs(model, flat, normal(4, 4, 3))


def test_layers_that_are_shared_stay_shared():
    inner = keras.Sequential([_layers.Dense(3, name='dense')], name='inner')
    image = keras.Input((3,))
    model = keras.Model(image, inner(inner(image)))
    flat = flatten(model)
    assert [weight.name for weight in flat.weights] == ['dense/kernel:0', 'dense/bias:0']
    assert_same_outputs(model, flat, normal(3))


def test_a_part_of_an_inner_model_is_shared_with_it():
    base = keras.Sequential([_layers.Dense(3, input_shape=(3,)), _layers.Dense(3), _layers.ReLU()])
    features = keras.Model(base.input, base.layers[0].output)
    image = keras.Input((3,))
    model = keras.Model(image, [base(image), features(image)])
    flat = flatten(model)
    assert len(flat.weights) == 4
    assert_same_outputs(model, flat, normal(3))


def test_an_input_of_another_type_gets_a_cast():
    inner = keras.Sequential([_layers.Conv2D(3, 1, input_shape=(4, 4, 3))], name='inner')
    image = keras.Input((4, 4, 3), dtype='uint8')
    model = keras.Model(image, inner(image))
    flat = flatten(model)
    assert isinstance(flat.get_layer('inner_cast'), _layers.Rescaling)
    assert_same_outputs(model, flat, np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3))


def test_an_input_of_another_rank_is_an_error():
    inner = keras.Sequential([keras.Input((4, 1)), _layers.Dense(2)], name='inner')
    image = keras.Input((4,))
    with pytest.raises(ValueError, match=r"inner model 'inner'.*\(None, 4, 1\).*got \(None, 4\)"):
        flatten(keras.Model(image, inner(image)))


def test_a_subclassed_inner_model_is_an_error():
    image = keras.Input((4,))
    model = keras.Model(image, Subclassed(name='mine')(image))
    with pytest.raises(ValueError, match="inner model 'mine': expected a Sequential or Functional"):
        flatten(model)
