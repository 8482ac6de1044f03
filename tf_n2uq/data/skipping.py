"""Leaves out examples that cannot be decoded, and finds out their names.

`tf.data` catches an error only by leaving out the element that it comes from, and with the element
goes all information about it. Examples are therefore numbered within small blocks, and behind each
block comes a closing element, which is no example and cannot fail. The closing element carries the
names of all examples of its block. The examples whose numbers have not come by then are broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_n2uq.data.broken import BrokenImages

# The number of examples in a block. Their numbers are bits of one integer.
BLOCK = 32
# The number of elements that are checked at once. One call for each element would take as long as
# reading its file does.
_WINDOW = 16
_SEPARATOR = '\0'


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Decodes the examples that can be decoded, and leaves out the others.

    Attributes:
        decode: A function that makes an example, a tuple of tensors, from one element of a block.
            An example that raises an error is left out.
        placeholder: Arrays with the shapes and dtypes of an example.
        broken: The record of the examples that were left out.
        hopeless_from: The number of the epoch that is not begun if the earlier epochs had no good
            example. None means that there is one epoch only.
        explain: A function that makes an error message from the name of an example.
    """

    decode: Callable[[Any], tuple[tf.Tensor, ...]]
    placeholder: tuple[np.ndarray, ...]
    broken: BrokenImages
    hopeless_from: int | None
    explain: Callable[[str], str]

    def __call__(self, blocks: tf.data.Dataset, calls: int) -> tf.data.Dataset:
        """Returns a dataset of the good examples, in order.

        Iterating over the dataset raises an `InvalidArgumentError` if a whole epoch had no good
        example and another epoch has begun.

        Args:
            blocks: A dataset of blocks of at most `BLOCK` examples. A block is the number of its
                epoch, int64 `[]`; the names of its examples, string `[examples]`; and a structure
                of tensors `[examples, …]` for `decode`.
            calls: The number of examples that are decoded at the same time.
        """
        elements = blocks.map(_append_names).unbatch()
        decoded = elements.map(self._decode, num_parallel_calls=calls, deterministic=True)
        windows = decoded.ignore_errors(log_warning=False).window(_WINDOW)
        never = np.iinfo(np.int64).max
        hopeless_from = never if self.hopeless_from is None else self.hopeless_from
        state = np.int64(0), np.int64(0), np.int64(hopeless_from)
        examples = windows.scan(state, self._check).flat_map(lambda window: window)
        examples = examples.filter(lambda good, example: good)
        return examples.map(lambda good, example: example)

    def _decode(
        self, number: tf.Tensor, epoch: tf.Tensor, names: tf.Tensor, element: Any
    ) -> tuple[Any, ...]:
        example = tf.cond(
            number < 0,
            lambda: tuple(tf.constant(array) for array in self.placeholder),
            lambda: self.decode(element),
        )
        return (number, epoch, names), number >= 0, example

    def _check(
        self, state: tuple[tf.Tensor, ...], window: tuple[Any, ...]
    ) -> tuple[tuple[tf.Tensor, ...], tf.data.Dataset]:
        """Checks a window of elements, and passes it on.

        The state is the number that comes next, the numbers that have come by as bits, and the
        epoch that is not begun without a good example.
        """
        expected, seen, hopeless_from = state
        labels, good, examples = window
        labels = tf.data.Dataset.zip(labels).batch(_WINDOW)
        numbers, epochs, names = tf.data.Dataset.get_single_element(labels)
        following = tf.maximum(numbers, -1) + 1
        # The number of a closing element is minus the number of the example that would follow.
        complete = tf.reduce_all(tf.abs(numbers) == tf.concat([[expected], following[:-1]], 0))
        seen, hopeless_from = tf.cond(
            complete & (seen == _first(expected)),
            lambda: (_first(following[-1]), epochs[-1] + 2),
            lambda: tuple(
                tf.numpy_function(
                    self._account, [seen, hopeless_from, numbers, epochs, names], [tf.int64] * 2
                )
            ),
        )
        state = following[-1], tf.ensure_shape(seen, []), tf.ensure_shape(hopeless_from, [])
        return state, tf.data.Dataset.zip((good, tf.data.Dataset.zip(examples)))

    def _account(
        self,
        seen: np.int64,
        hopeless_from: np.int64,
        numbers: np.ndarray,
        epochs: np.ndarray,
        names: np.ndarray,
    ) -> tuple[np.int64, np.int64]:
        for number, epoch, joined in zip(numbers, epochs, names, strict=True):
            if number >= 0:
                seen |= np.int64(1) << number
                # This epoch may end without another good example, but the next epoch may not.
                hopeless_from = epoch + 2
                continue
            separated = joined.decode(errors='replace').split(_SEPARATOR)
            missing = [name for i, name in enumerate(separated) if not seen >> np.int64(i) & 1]
            self.broken.add(missing)
            if not seen and epoch >= hopeless_from:
                raise ValueError(self.explain(missing[0]))
            seen = np.int64(0)
        return seen, hopeless_from


def _append_names(epoch: tf.Tensor, names: tf.Tensor, block: Any) -> tuple[Any, ...]:
    """Returns a block's numbers, epochs, names and elements, with a closing element.

    The number of the closing element is minus the size of the block, its name is the names of all
    examples, and the rest is a copy of the last element.
    """
    size = tf.size(names, tf.int64)
    joined = tf.strings.reduce_join(names, separator=_SEPARATOR)
    return (
        tf.concat([tf.range(size), [-size]], 0),
        tf.fill([size + 1], epoch),
        tf.concat([tf.fill([size], ''), [joined]], 0),
        tf.nest.map_structure(lambda values: tf.concat([values, values[-1:]], 0), block),
    )


def _first(count: tf.Tensor) -> tf.Tensor:
    """Returns the bits of the numbers 0..count−1."""
    return tf.bitwise.left_shift(np.int64(1), count) - 1
