"""The classes that flatc generates of TFLite's schema, as `schema`.

They read and write a TFLite file as Python objects. They are what a file's format is defined by,
but neither package documents them. LiteRT has them and will go on to; TensorFlow has the same
classes for as long as TensorFlow Lite is part of it. If one of the packages publishes the schema,
that name replaces this one.
"""

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError:
    from tensorflow.lite.python import schema_py_generated as schema

__all__ = ['schema']
