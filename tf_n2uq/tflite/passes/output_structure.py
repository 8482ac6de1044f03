"""The structure in which a model returns its outputs, as a file remembers it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer

_NAME, _NOTE = b'tf_n2uq.outputs', b'dictionary'


def mark_dictionary(model: Any) -> Any:
    """Notes in a file that its outputs are the entries of a dictionary.

    A signature names outputs, but does not tell a dictionary from a list.

    Args:
        model: A `ModelT`, changed in place.

    Returns:
        `model`.
    """
    note = schema.MetadataT()
    note.name = _NAME
    note.buffer = flatbuffer.add_buffer(model, np.frombuffer(_NOTE, np.uint8))
    model.metadata = [*(model.metadata or []), note]
    return model


def returns_dictionary(model: Any) -> bool:
    """Tells whether the outputs of a file are the entries of a dictionary.

    Args:
        model: A `ModelT`. Its notes need not be right.
    """
    for note in model.metadata or []:
        if flatbuffer.text(note.name) == _NAME.decode() and 0 <= note.buffer < len(model.buffers):
            data = model.buffers[note.buffer].data
            return data is not None and len(data) == len(_NOTE) and bytes(data) == _NOTE
    return False
