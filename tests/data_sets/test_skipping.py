"""Good examples come through in order, and broken ones are named, wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.data import BrokenImages
from tf_n2uq.data.skipping import BLOCK, Decoder


def decode(value: tf.Tensor) -> tuple[tf.Tensor]:
    """Doubles a number; a negative one is broken."""
    with tf.control_dependencies([tf.debugging.Assert(value >= 0, ['broken'])]):
        return (2 * tf.cast(value, tf.int64),)


def decoder(broken: BrokenImages, hopeless_from: int | None = None) -> Decoder:
    return Decoder(
        decode=decode,
        placeholder=(np.array(0, np.int64),),
        broken=broken,
        hopeless_from=hopeless_from,
        explain=lambda name: f'nothing but broken examples, first {name}',
    )


def blocks_of(numbers: list[int], epochs: int = 1, size: int = BLOCK) -> tf.data.Dataset:
    """Blocks of an epoch, names and numbers; the name of a number is its place."""
    names = [f'at {place}' for place in range(len(numbers))]
    block = tf.data.Dataset.from_tensor_slices((names, numbers)).batch(size)
    epoch_numbers = tf.data.Dataset.range(epochs)
    return epoch_numbers.flat_map(
        lambda epoch: block.map(lambda name, number: (epoch, name, number))
    )


def run(numbers: list[int], calls: int = 3, **options) -> tuple[list[int], BrokenImages]:
    broken = BrokenImages()
    dataset = decoder(broken)(blocks_of(numbers, **options), calls)
    return [int(value) for (value,) in dataset.as_numpy_iterator()], broken


@pytest.mark.parametrize('count', [1, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_good_examples_come_in_order(count):
    found, broken = run(list(range(count)))
    assert found == [2 * i for i in range(count)]
    assert broken.count == 0


@pytest.mark.parametrize(
    'places',
    [[0], [BLOCK - 1], [BLOCK], [BLOCK - 1, BLOCK], [69], list(range(BLOCK)), list(range(10, 60))],
    ids=lambda places: f'{places[0]}-{places[-1]}',
)
def test_broken_examples_are_left_out_and_named_wherever_they_stand(places):
    numbers = [-1 if place in places else place for place in range(70)]
    found, broken = run(numbers)
    assert found == [2 * i for i in range(70) if i not in places]
    assert broken.names == tuple(sorted(f'at {place}' for place in places))
    assert broken.count == len(places)


def test_any_pattern_of_broken_examples_is_found():
    random = np.random.default_rng(0)
    for _ in range(5):
        numbers = [int(n) for n in np.where(random.random(100) < 0.4, -1, np.arange(100))]
        found, broken = run(
            numbers, calls=int(random.integers(1, 9)), size=int(random.integers(1, 33))
        )
        assert found == [2 * n for n in numbers if n >= 0]
        assert broken.names == tuple(sorted(f'at {i}' for i, n in enumerate(numbers) if n < 0))


def test_each_epoch_counts_its_broken_examples():
    found, broken = run([0, -1, 2], epochs=3)
    assert found == [0, 4] * 3
    assert (broken.count, broken.names) == (3, ('at 1',))


def test_an_epoch_of_broken_examples_alone_ends_the_iteration_in_the_next():
    dataset = decoder(BrokenImages(), hopeless_from=1)(blocks_of([-1, -1], epochs=9), 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match='nothing but broken .*first at 0'):
        list(dataset)


def test_a_single_epoch_of_broken_examples_alone_is_empty():
    found, broken = run([-1] * 40)
    assert found == []
    assert broken.count == 40
