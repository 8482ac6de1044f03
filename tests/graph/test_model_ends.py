"""The names by which users address the inputs and outputs of a model."""

import tf_keras as keras

from tf_n2uq.graph.model_ends import input_names, keys_of, output_names


def test_entries_of_a_dictionary_have_the_names_of_their_keys_and_others_those_of_layers():
    photo, age = keras.Input((4,), name='photo'), keras.Input((4,), name='age')
    head = keras.layers.Dense(2, name='head')
    listed = keras.Model([photo, age], [head(photo), head(age)])
    assert (input_names(listed), output_names(listed)) == (['photo', 'age'], ['head', 'head_1'])
    named = keras.Model({'z': photo, 'y': age}, {'b': head(photo), 'a': head(age)})
    assert (input_names(named), output_names(named)) == (['y', 'z'], ['a', 'b'])


def test_a_dictionary_of_lists_has_no_names_of_its_own():
    assert keys_of({'a': [1, 2]}) == []
    assert keys_of([1, 2]) == []
