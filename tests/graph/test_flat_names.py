import tf_keras as keras

from tf_n2uq.graph.flat_names import flat_names

layers = keras.layers


def test_outer_layers_keep_their_names_and_inner_ones_get_their_models():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name='dense')], name='inner')
    outer = keras.Sequential([inner, layers.Dense(4, name='dense'), layers.ReLU(name='relu')])
    outer.build((None, 4))
    names = list(flat_names(outer).values())
    assert names[1:] == ['dense', 'relu', 'inner_dense']
