import sys

import pytest
import tensorflow as tf

from tf_n2uq._compat.tflite_interpreter import interpreter_classes


def test_both_classes_are_those_of_litert_where_it_is_installed():
    assert {each.__module__ for each in interpreter_classes()} == {'ai_edge_litert.interpreter'}


def test_both_classes_are_those_of_tensorflow_where_litert_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ai_edge_litert.interpreter', None)
    assert interpreter_classes() == (tf.lite.Interpreter, tf.lite.experimental.OpResolverType)


def test_without_either_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ai_edge_litert.interpreter', None)
    monkeypatch.delattr(tf.lite, 'Interpreter')
    with pytest.raises(ImportError, match='pip install ai-edge-litert'):
        interpreter_classes()
