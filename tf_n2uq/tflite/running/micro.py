"""Files for TensorFlow Lite Micro, the interpreter for microcontrollers."""

import importlib.util
from typing import Any

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.packing import pack_int4
from tf_n2uq.tflite.running.isolation import run_isolated

# Operator -> a version of it that takes INT4 kernels. FULLY_CONNECTED is not among them: with a
# scale per channel, TensorFlow Lite Micro refuses one that has an INT4 kernel. LiteRT's reference
# kernels know DEPTHWISE_CONV_2D up to version 6 and compute with INT4 kernels all the same.
_VERSIONS = {'CONV_2D': 7, 'DEPTHWISE_CONV_2D': 6}
# Trying two dozen arenas takes some ten seconds for a network of 1500 operators.
_TIMEOUT_SECONDS = 300


def pack_for_micro(model: Any) -> Any:
    """Stores the kernels of convolutions, also of depthwise ones, as INT4 where they fit.

    Dense layers stay the 1x1 convolutions that they are for the converter. As FULLY_CONNECTED,
    TensorFlow Lite Micro would refuse their INT4 kernels, and round what comes of int8 ones
    otherwise than LiteRT's reference kernels.

    Args:
        model: A `ModelT`, changed in place.

    Returns:
        `model`.
    """
    return pack_int4(model, _VERSIONS)


def micro_arena(content: bytes) -> int:
    """Finds out how much memory TensorFlow Lite Micro needs for a file.

    This is the least tensor arena in which the file runs on this machine, with all that the
    interpreter keeps there: tensors, an INT4 kernel while it is unpacked, and what it knows of
    each operator. The latter holds pointers, so it takes less where these have 32 bits.
    The file itself, with its kernels, is not part of it.

    Args:
        content: The file's bytes; they need not be trusted.

    Returns:
        Bytes, a multiple of 16.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file that TensorFlow Lite Micro can prepare within
            256 MiB. The message has what it said.
        ImportError: The package tflite-micro is not installed.
    """
    flatbuffer.read(content)
    if importlib.util.find_spec('tflite_micro') is None:
        raise ImportError(
            "TensorFlow Lite Micro's interpreter is needed: `pip install tflite-micro`, which "
            'there is for Linux on x86-64.'
        )
    return int(run_isolated('_arena.py', content, 'TensorFlow Lite Micro', _TIMEOUT_SECONDS))
