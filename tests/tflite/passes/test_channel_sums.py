import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.tflite.graphs import convert, fake_quant, marked, run, staircase
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.channel_sums import (
    Levels,
    LevelSums,
    LevelTensors,
    can_be_halved,
    halved,
    is_odd,
    sums_builder,
    sums_channels,
)
from tf_n2uq.tflite.passes.markers import replace_markers
from tf_n2uq.tflite.passes.narrow_types import INT2, INT4, NARROW_TYPES

LOWEST, HIGHEST = -128, 127
BOTH = list(NARROW_TYPES.values())


def levels_of(steps, stretch, sign=1):
    """Levels of a quantizer; with a negative sign they are zero or below."""
    lowest, highest = sorted((0, sign * steps))
    return Levels(lowest, highest, stretch, LOWEST - stretch * lowest)


def plan_of(channels, steps=3, sign=1, stretch=42):
    table = sign * staircase(np.random.default_rng(0), steps, (channels,))
    # All levels are in use, whatever the thresholds are.
    table[:, 0] = sign * np.minimum(np.arange(256), steps)
    return plan_comparators(table, steps, stretch)


@hypothesis.given(
    st.sampled_from(BOTH),
    st.sampled_from([(0, 1), (0, 3), (-1, 2), (-3, 0), (0, 7), (-5, 10), (0, 15), (0, 31)]),
    st.integers(1, 20),
    st.integers(1, 200),
    st.sampled_from([1, 2, 4]),
)
def test_weighted_sums_are_half_of_all_levels_and_fit_int8(narrow, ends, half, channels, multiple):
    lowest, highest = ends
    stretch = 2 * min(half, 255 // (highest - lowest) // 2 or 1)
    levels = Levels(lowest, highest, stretch, LOWEST - stretch * lowest)
    sums = LevelSums.of(levels, channels, narrow, multiple)
    assert sums is not None
    assert (channels + len(sums.columns)) % multiple == 0
    assert narrow.holds(sums.weights)
    rng = np.random.default_rng(0)
    images = [
        np.full(channels, lowest),
        np.full(channels, highest),
        rng.integers(lowest, highest + 1, channels),
    ]
    for image in images:
        stored = np.asarray(
            [
                column.base - column.step * image[column.start : column.stop].sum()
                for column in sums.columns
            ]
        )
        assert np.all(stored + levels.zero_point >= LOWEST)
        assert np.all(stored + levels.zero_point <= HIGHEST)
        assert 2 * (sums.weights @ stored + sums.offset) == stretch * image.sum()


@pytest.mark.parametrize(
    ('steps', 'stretch', 'narrow', 'channels', 'sums'),
    [
        # A weight of -2 and steps of 2: int8 holds 255 // 6 channels.
        (3, 8, INT2, 42, 1),
        (3, 8, INT2, 43, 2),
        # 21 is 2·10 + 1: 255 // 30 channels in a sum, and 85 in one with steps of 1.
        (3, 42, INT2, 64, 9),
        (3, 84, INT2, 64, 16),
        (15, 14, INT4, 17, 1),
        (15, 14, INT4, 18, 2),
        (15, 16, INT4, 17, 1),
        (15, 8, INT2, 64, 8),
        (127, 2, INT4, 64, 32),
    ],
)
def test_there_are_as_few_sums_as_possible(steps, stretch, narrow, channels, sums):
    found = LevelSums.of(levels_of(steps, stretch), channels, narrow, 1)
    assert found is not None
    assert len(found.columns) == sums


def test_more_sums_than_needed_do_nothing():
    found = LevelSums.of(levels_of(3, 8), 40, INT2, 4)
    assert found is not None
    assert found.weights.tolist() == [-2, 0, 0, 0]
    assert found.columns[0].stop == 40


def test_an_odd_stretch_has_no_half():
    assert LevelSums.of(levels_of(15, 17), 64, INT4, 1) is None


def joined(plan, channels, narrow, size=4):
    """The plan, the file with its sums behind the channels, and the sums."""
    content = convert(
        lambda x: marked(x, 0, 0.02, 3, plan), [1, size, size, channels], interface=tf.int8
    )
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    sums = LevelSums.of(Levels.of(plan), channels, narrow, 1)
    operators = []  # type: ignore[var-annotated]
    output = sums.join(sums_builder(model, graph), operators, int(graph.outputs[0]))  # type: ignore[union-attr]
    graph.operators.extend(operators)
    graph.outputs = np.asarray([output], np.int32)
    model.signatureDefs = None
    return flatbuffer.write(replace_markers(model, [plan])), sums


@pytest.mark.parametrize('channels', [32, 6, 5])
@pytest.mark.parametrize(('steps', 'sign', 'stretch'), [(3, 1, 42), (3, -1, 20), (15, 1, 8)])
@pytest.mark.parametrize('narrow', BOTH)
def test_a_file_computes_the_sums(narrow, steps, sign, stretch, channels):
    plan = plan_of(channels, steps, sign, stretch)
    content, sums = joined(plan, channels, narrow)
    x = np.random.default_rng(1).integers(-128, 128, (1, 4, 4, channels), np.int8)
    levels = plan.evaluate(x.astype(int))
    added = (sums.weights, [each.base for each in sums.columns])
    for reference in (False, True):
        stored = run(content, x, reference_kernels=reference).astype(int) - plan.zero_point
        np.testing.assert_array_equal(stored[..., :channels], stretch * levels)
        half = stored[..., channels:] @ added[0] + sums.offset
        np.testing.assert_array_equal(2 * half, stretch * levels.sum(axis=-1))


def test_sums_are_found_by_name_in_a_file():
    content, _ = joined(plan_of(8), 8, INT2)
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    found = [each for each in graph.operators if sums_channels(model, graph, each)]
    assert [flatbuffer.operator_name(model, each) for each in found] == ['FULLY_CONNECTED']


def test_levels_are_those_that_a_plan_reaches():
    plan = plan_of(4, steps=3, sign=-1, stretch=42)
    assert Levels.of(plan) == Levels(-3, 0, 42, LOWEST + 3 * 42)
    assert Levels.of(plan_of(4, steps=15, stretch=8)) == Levels(0, 15, 8, LOWEST)


def test_levels_are_found_behind_padding_pooling_and_reshaping_only():
    plan = plan_of(4)

    def function(x):
        levels = marked(x, 0, 0.02, 3, plan)
        kept = tf.reshape(
            tf.nn.max_pool2d(tf.pad(levels, [[0, 0], [1, 1], [0, 0], [0, 0]]), 2, 2, 'VALID'),
            [1, -1],
        )
        return kept, fake_quant(levels + levels, 0.01)

    model = flatbuffer.read(convert(function, [1, 4, 4, 4]))
    graph = flatbuffer.main_graph(model)
    tensors = LevelTensors(model, graph, [plan])
    found = {
        math.prod(flatbuffer.shape_of(graph.tensors[index])): tensors.levels_of(int(index))
        for index in graph.outputs
    }
    assert found == {24: Levels.of(plan), 64: None}
    assert LevelTensors(model, graph, []).levels_of(int(graph.outputs[0])) is None


def test_kernels_whose_halves_fit_can_be_halved():
    odd = np.int8([[-3, 1], [3, -1]])
    assert can_be_halved(odd, INT2)
    assert can_be_halved(np.int8([[-3, 1], [2, -4]]), INT2)
    assert not can_be_halved(np.int8([[-3, 2], [3, 1]]), INT2)
    assert not can_be_halved(np.int8([[-5, 1]]), INT2)
    assert can_be_halved(np.int8([[-15, 15]]), INT4)
    np.testing.assert_array_equal(is_odd(np.int8([[-3, 1], [2, -4]])), [True, False])


def test_halves_and_weighted_sums_give_what_the_kernel_gives():
    rng = np.random.default_rng(0)
    levels = levels_of(3, 42)
    sums = LevelSums.of(levels, 10, INT2, 4)
    kernel = rng.choice([-3, -1, 1, 3], (5, 2, 10)).astype(np.int8)
    kernel[1] = rng.choice([-2, 0, 2], (2, 10))
    image = rng.integers(0, 4, (2, 10))
    stored = np.asarray(
        [
            [each.base - each.step * pixel[each.start : each.stop].sum() for each in sums.columns]  # type: ignore[union-attr]
            for pixel in image
        ]
    )
    wide = np.concatenate([42 * image, stored], axis=-1)
    got = np.einsum('otc,tc->o', halved(kernel, sums).astype(int), wide)
    got += np.where(is_odd(kernel), 2 * sums.offset, 0)  # type: ignore[union-attr]
    expected = np.einsum('otc,tc->o', kernel.astype(int), 42 * image)
    np.testing.assert_array_equal(2 * got, expected)
