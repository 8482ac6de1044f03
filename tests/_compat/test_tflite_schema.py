import importlib
import sys

import pytest

from tf_n2uq._compat import tflite_schema


@pytest.fixture
def imported_anew(monkeypatch):
    """Imports the module again, and afterwards puts back what it had."""

    def import_anew():
        return importlib.reload(tflite_schema).schema

    monkeypatch.setattr(tflite_schema, 'schema', tflite_schema.schema)
    return import_anew


def test_the_schema_is_that_of_litert_where_it_is_installed(imported_anew):
    assert imported_anew().__name__ == 'ai_edge_litert.schema_py_generated'


def test_the_schema_is_that_of_tensorflow_where_litert_is_not(imported_anew, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ai_edge_litert', None)
    schema = imported_anew()
    assert schema.__name__ == 'tensorflow.lite.python.schema_py_generated'
    assert schema.TensorType.INT4 == 17
