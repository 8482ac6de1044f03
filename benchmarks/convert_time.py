"""How long it takes from a quantized Keras model to the file, beside TFMOT's.

    python benchmarks/convert_time.py --network resnet18 --bits 2 --rounds 3

Both sides start where training ends, with a quantized model in memory. Theirs is the network as
users have it (`networks.py`), quantized to 8 bits by TFMOT and converted by
`tf.lite.TFLiteConverter`. Ours are two models for `tf_n2uq.tflite.convert`: the same network,
quantized by `N2UQScheme`; and the network that N2UQ publishes, which trains no ranges, so that
`convert` passes random images through it as well. All run in one process, in turns. The figures are
medians of wall time and of processor time; ratios are medians of each round's ratio.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import functools

import numpy as np
import yardstick
from absl import app, flags, logging
from measuring import time_in_turns
from networks import PLAIN_NETWORKS, quantized_network, quantized_plain_network, random_images

from tf_n2uq.tflite import convert

_NETWORK = flags.DEFINE_enum('network', 'resnet18', PLAIN_NETWORKS, 'The architecture.')
_BITS = flags.DEFINE_integer('bits', 2, 'The bit-width of our networks.', 2, 7)
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'How often each side runs.', lower_bound=1)
_SIZE = flags.DEFINE_integer('size', 224, 'Height and width of the images.', lower_bound=32)
_YARDSTICK = 'TFMOT, 8 bits'


def main(argv: list[str]) -> None:
    """Runs all in turns."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    name, bits, images = _NETWORK.value, _BITS.value, random_images(_SIZE.value)
    theirs = yardstick.quantized_by_tfmot(name, images)
    plain = quantized_plain_network(name, 'n2uq', bits, images)
    published = quantized_network(name, bits, images)
    samples = time_in_turns(
        {
            _YARDSTICK: functools.partial(yardstick.convert, theirs),
            f'the same network, {bits} bits': functools.partial(convert, plain),
            f'the published one, {bits} bits': functools.partial(
                convert, published, representative_dataset=images
            ),
        },
        rounds=_ROUNDS.value,
        warm_up=0,
    )
    print(f'{name}, {_SIZE.value}², load {os.getloadavg()[0]:.1f}')
    print(f'{"":26}{"wall s":>10}{"ratio":>7}{"CPU s":>10}{"ratio":>7}')
    for line, rounds in samples.items():
        seconds = np.median(rounds, axis=0)
        ratios = np.median(rounds / samples[_YARDSTICK], axis=0)
        cells = zip(seconds, ratios, strict=True)
        print(f'{line:26}' + ''.join(f'{second:10.2f}{ratio:7.2f}' for second, ratio in cells))


if __name__ == '__main__':
    logging.set_verbosity(logging.WARNING)
    app.run(main)
