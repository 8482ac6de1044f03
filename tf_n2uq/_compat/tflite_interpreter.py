"""The interpreter of TFLite files: LiteRT's if that is installed, otherwise TensorFlow's."""

from __future__ import annotations

from typing import Any


def interpreter_classes() -> tuple[Any, Any]:
    """Returns the classes `Interpreter` and `OpResolverType` of the same package.

    All of these names are public, but TensorFlow announces to remove `tf.lite.Interpreter`. The
    fallback goes when it does.

    Raises:
        ImportError: if neither package has an interpreter.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        try:
            from tensorflow import lite

            return lite.Interpreter, lite.experimental.OpResolverType
        except (ImportError, AttributeError) as error:
            raise ImportError(
                'Running a TFLite file needs an interpreter: `pip install ai-edge-litert`.'
            ) from error
    return Interpreter, OpResolverType
