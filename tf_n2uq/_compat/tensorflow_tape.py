"""Whether gradients are being recorded."""

from __future__ import annotations

# `tf.GradientTape` keeps the active tapes to itself, and nothing public asks for them.
from tensorflow.python.eager import record


def is_recording() -> bool:
    """Returns whether a `tf.GradientTape` records operations here, in eager mode or in a graph."""
    return bool(record.could_possibly_record())
