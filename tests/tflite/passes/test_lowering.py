import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tests.tflite.graphs import (
    ALL_INT8,
    convert,
    fake_quant,
    learned,
    lower,
    marked,
    operators,
    run,
    staircase,
)
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.lowering import ramp_levels
from tf_n2uq.tflite.reports.verify import check_integer_only
from tf_n2uq.tflite.running.interpreter import xnnpack_delegation


def lowered(table, scale, zero_point, steps=1):
    """A file of 256 pixels with the operators of a table [256, 1, 1, channels], and its levels."""
    plan = plan_comparators(table, steps)
    shape = [1, 16, 16, table.shape[-1]]
    content = lower(convert(lambda x: marked(x, 0, scale, zero_point, plan), shape), [plan])
    return content, (plan.zero_point + plan.stretch * table).reshape(256, -1)


def every_input(channels):
    return np.repeat(ALL_INT8.reshape(1, 16, 16, 1), channels, axis=-1)


def check_every_input(table, scale, zero_point, steps=1):
    content, levels = lowered(table, scale, zero_point, steps)
    check_integer_only(flatbuffer.read(content))
    for reference in (False, True):
        result = run(content, every_input(table.shape[-1]), reference)
        np.testing.assert_array_equal(result.reshape(256, -1), levels)
    return content


def uniform(levels, width, zero, channels=3):
    """As PACT or a clipped ReLU makes it, with a width or a zero per channel."""
    q = np.arange(-128, 128)[:, None] + np.zeros(channels)
    table = np.clip(np.rint((q - zero) / width), 0, levels).astype(int)
    return table[:, None, None]


@pytest.mark.parametrize('levels', [3, 7, 15])
@pytest.mark.parametrize('spread', [0.0, 0.2, 0.5])
@pytest.mark.parametrize(('scale', 'zero_point'), [(0.0003, 0), (0.0371, -128), (13.7, 127)])
def test_learned_thresholds_behind_rprelus_equal_their_table(levels, spread, scale, zero_point):
    table = learned(np.random.default_rng([levels, zero_point + 128]), levels, 24, spread)
    check_every_input(table, scale, zero_point, levels)


@pytest.mark.parametrize(('levels', 'zero'), [(3, -128), (7, -126), (15, -128), (63, -128)])
def test_equally_far_thresholds_are_one_subtraction(levels, zero):
    # Not 0.75: no threshold lies exactly on a value.
    width = 0.7713 * (127 - zero) / levels
    content = check_every_input(uniform(levels, width, zero), 0.02, zero, levels)
    # The MUL ends the ramp below, the ADD stretches it.
    assert operators(content) == ['SUB', 'MUL', 'ADD']


def test_equally_far_thresholds_of_other_places_are_one_subtraction():
    table = uniform(7, 20.5, np.array([-90.3, -60.1, 5.2]))
    assert operators(check_every_input(table, 0.02, -100, 7)) == ['SUB', 'MUL', 'ADD']


def test_equally_far_thresholds_of_other_widths_are_one_depthwise_convolution():
    table = uniform(15, np.array([8.21, 10.13, 13.37]), -80.27)
    assert operators(check_every_input(table, 0.02, -5, 15)) == ['DEPTHWISE_CONV_2D', 'ADD']


def test_ramps_may_fall():
    zeros = np.array([-100.3, -90.3, -70.3])
    for width, kind in (
        (20.3, ['SUB', 'MUL']),
        (np.array([17.1, 20.3, 30.7]), ['DEPTHWISE_CONV_2D']),
    ):
        table = uniform(7, width, zeros)[::-1]
        assert operators(check_every_input(table, 0.02, 60, 7)) == [*kind, 'ADD']


def test_a_start_that_no_constant_can_hold_is_convolved():
    table = uniform(7, 8.3, np.array([60.2, 50.1, 40.4]))
    assert 'SUB' in operators(check_every_input(table, 0.02, 50, 7))
    assert 'SUB' not in operators(check_every_input(table, 0.02, -128, 7))


def test_channels_that_are_always_or_never_on_are_exact():
    table = uniform(7, 12.3, np.array([-60.2, -900.0, 900.0, -140.1]), 4)
    check_every_input(table, 0.02, 0, 7)


@hypothesis.given(st.integers(0, 2**32 - 1), st.integers(-128, 127), st.floats(-8.0, 3.0))
@hypothesis.settings(deadline=None, max_examples=15)
def test_mixed_tables_are_exact_whatever_the_tensors_range(seed, zero_point, log_scale):
    rng = np.random.default_rng(seed)
    parts = [
        learned(rng, 7, 3, rng.uniform(0.0, 0.5)),
        staircase(rng, 7, (1, 1, 3), 'slopes'),
        uniform(7, rng.uniform(1.0, 30.0, 3), rng.uniform(-120.0, 60.0, 3)),
    ]
    table = np.concatenate(parts[: rng.integers(1, 4)], axis=-1)
    check_every_input(table, float(np.exp(log_scale)), zero_point, 7)


def test_micro_computes_ramps_as_the_reference_kernels_do():
    tflite_micro = pytest.importorskip('tflite_micro')
    rng = np.random.default_rng(0)
    for table in (
        learned(rng, 15, 24, 0.3),
        uniform(15, 8.3, -100.0),
        staircase(rng, 7, (1, 1, 5)),
    ):
        content, levels = lowered(table, 0.02, -7)
        interpreter = tflite_micro.runtime.Interpreter.from_bytes(content, arena_size=1 << 22)
        interpreter.set_input(every_input(table.shape[-1]), 0)
        interpreter.invoke()
        np.testing.assert_array_equal(interpreter.get_output(0).reshape(256, -1), levels)


def test_all_operators_are_one_xnnpack_partition():
    content, _ = lowered(learned(np.random.default_rng(0), 15, 24, 0.3), 0.02, 0)
    assert {'SUB', 'MUL', 'ADD', 'DEPTHWISE_CONV_2D'} == set(operators(content))
    assert xnnpack_delegation(content).coverage == 1.0


def test_few_tensors_are_alive_at_a_time():
    content, _ = lowered(learned(np.random.default_rng(0), 15, 24, 0.5), 0.02, 0)
    graph = flatbuffer.main_graph(flatbuffer.read(content))
    last_read = {}
    for number, operator in enumerate(graph.operators):
        last_read.update({int(index): number for index in operator.inputs})
    alive = set()
    for number, operator in enumerate(graph.operators):
        alive |= {int(index) for index in operator.outputs}
        # A sum, what is added to it next, and what that is made of.
        assert len(alive) <= 3
        alive = {index for index in alive if last_read.get(index, -1) > number}


def test_a_ramp_tells_how_many_levels_it_has():
    content, _ = lowered(uniform(7, 20.5, -100.0), 0.02, 0)
    graph = flatbuffer.main_graph(flatbuffer.read(content))
    assert [ramp_levels(graph, operator) for operator in graph.operators] == [0, 7, 0]


def test_no_other_operator_ends_a_ramp():
    content = convert(lambda x: fake_quant(fake_quant(x, 0.02) * 0.5, 0.01), [1, 4, 4, 3])
    graph = flatbuffer.main_graph(flatbuffer.read(content))
    assert not any(ramp_levels(graph, operator) for operator in graph.operators)


def test_levels_that_fall_far_below_zero_start_at_a_base_beyond_int8():
    falling = np.r_[np.linspace(-12, -1, 128), np.linspace(-1, -127, 128)].round().astype(int)
    table = np.stack([falling, np.linspace(-30, -10, 256).round().astype(int)], -1)
    plan = plan_comparators(table[:, None, None], 127)
    assert plan.base is not None
    assert plan.base.min() < -128
    check_every_input(table[:, None, None], 0.05, 3, 127)


def test_a_base_that_no_int8_tensor_holds_is_refused():
    high = np.where(np.arange(256) % 2, 127, 100)
    low = np.where(np.arange(256) < 200, np.linspace(0, -128, 256).round(), -1).astype(int)
    with pytest.raises(ValueError, match='int8'):
        plan_comparators(np.stack([high, low], -1)[:, None, None], 127)
