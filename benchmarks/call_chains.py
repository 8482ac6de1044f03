"""The longest chain of this package's functions that a model takes through `convert`.

A chain is what stands on the call stack at one moment, counted in functions of `tf_n2uq` alone: the
depth that a reader has to hold in mind. The number of calls in all is printed beside it. A tracer
counts both, so the figures do not depend on how busy the machine is.

    python benchmarks/call_chains.py --network resnet18 --bits 2
"""

from __future__ import annotations

import collections
import sys
from types import FrameType
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
from absl import app, flags

import tf_n2uq

_NETWORK = flags.DEFINE_string('network', 'resnet18', 'One of tf_n2uq.models.build.')
_BITS = flags.DEFINE_integer('bits', 2, 'Bits of kernels and inputs.')
_SIZE = flags.DEFINE_integer('size', 224, 'Height and width of the images.')


class Tracer:
    """Counts calls of the package's functions, and keeps the longest chain of them."""

    def __init__(self, folder: str) -> None:
        """Creates the tracer.

        Args:
            folder: where the package lies.
        """
        self._folder = folder
        self._chain: list[str] = []
        self.longest: list[str] = []
        self.calls: collections.Counter[str] = collections.Counter()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Is what `sys.setprofile` takes."""
        del argument
        code = frame.f_code
        if event not in ('call', 'return') or not code.co_filename.startswith(self._folder):
            return
        if event == 'return':
            self._chain.pop()
            return
        name = f'{code.co_filename[len(self._folder) + 1 :]}:{code.co_qualname}'
        self._chain.append(name)
        self.calls[name] += 1
        if len(self._chain) > len(self.longest):
            self.longest = list(self._chain)


def main(_: list[str]) -> None:
    """Converts a calibrated network with the tracer on."""
    model = tf_n2uq.models.build(_NETWORK.value, input_shape=(_SIZE.value, _SIZE.value, 3))
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    scheme = tf_n2uq.N2UQScheme(bits=_BITS.value)
    quantized = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    images = np.random.default_rng(0).uniform(size=(2, *model.input_shape[1:])).astype(np.float32)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    tracer = Tracer(str(tf_n2uq.__path__[0]))
    sys.setprofile(tracer)
    try:
        tf_n2uq.tflite.convert(quantized)
    finally:
        sys.setprofile(None)
    print(f'longest chain: {len(tracer.longest)} functions; {sum(tracer.calls.values()):,} calls')
    for name in tracer.longest:
        print(f'  {name}')


if __name__ == '__main__':
    app.run(main)
