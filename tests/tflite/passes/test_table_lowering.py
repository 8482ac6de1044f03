"""Chains of operators as they are in a file, compared with the kernels that run them."""

import functools

import numpy as np
import pytest

from tests.tflite.graphs import (
    ALL_INT8,
    convert,
    fake_quant,
    intervals,
    lower,
    marked,
    operators,
    run,
)
from tf_n2uq._compat.tflite_interpreter import interpreter_classes
from tf_n2uq.tflite.levels.planning import plan_tables
from tf_n2uq.tflite.levels.rounding import Bound
from tf_n2uq.tflite.levels.table_chain import Bend, ChainPlan, Line
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.markers import replace_markers
from tf_n2uq.tflite.passes.table_lowering import written_chain
from tf_n2uq.tflite.reports.verify import check_integer_only
from tf_n2uq.tflite.running.interpreter import xnnpack_delegation

CHANNELS = 3
Q = np.arange(-128, 128)


def planned(column, steps):
    table = np.repeat(column.reshape(256, 1, 1, 1), CHANNELS, axis=-1)
    plan = plan_tables(table, steps)
    assert isinstance(plan, ChainPlan)
    return plan


@functools.cache
def marker_file():
    plan = planned((Q > 0).astype(int), 1)
    return convert(lambda x: marked(x, 0, 0.02, 0, plan), [1, 16, 16, CHANNELS])


def file_with(plan, scale, zero_point):
    """A file of 256 pixels with the operators of a plan."""
    model = flatbuffer.read(marker_file())
    graph = flatbuffer.main_graph(model)
    for index, end_scale, end_zero in (
        (graph.inputs[0], scale, zero_point),
        (graph.outputs[0], scale / plan.stretch, plan.zero_point),
    ):
        quantization = graph.tensors[index].quantization
        quantization.scale = np.float32([end_scale])
        quantization.zeroPoint = np.int64([end_zero])
    return flatbuffer.write(replace_markers(model, [plan]))


def results(content, reference):
    x = np.repeat(ALL_INT8.reshape(1, 16, 16, 1), CHANNELS, axis=-1)
    values = run(content, x, reference).reshape(256, CHANNELS)
    assert (values == values[:, :1]).all()
    return values[:, 0]


def check_every_input(column, steps, scale=0.02, zero_point=-5):
    plan = planned(column, steps)
    content = file_with(plan, scale, zero_point)
    assert len(operators(content)) == plan.operators
    for reference in (False, True):
        expected = plan.zero_point + plan.stretch * column
        np.testing.assert_array_equal(results(content, reference), expected)
    return content


@pytest.mark.parametrize('levels', [1, 3, 7, 15])
@pytest.mark.parametrize('span', [40.0, 120.0, 250.0])
@pytest.mark.parametrize('sign', [1, -1])
def test_thresholds_of_all_channels_equal_their_table(levels, span, sign):
    rng = np.random.default_rng([levels, int(span), sign + 1])
    for _ in range(3):
        scale, zero_point = float(np.exp(rng.uniform(-9.0, 3.0))), int(rng.integers(-128, 128))
        check_every_input(intervals(rng, levels, span)[::sign], levels, scale, zero_point)


@pytest.mark.parametrize('levels', [15, 31, 63, 127])
def test_equally_far_thresholds_are_a_subtraction_and_a_product(levels):
    column = np.clip(np.rint((Q + 90.3) * levels / 180.0), 0, levels).astype(int)
    assert operators(check_every_input(column, levels)) == ['SUB', 'MUL']


@pytest.mark.parametrize('lowest', [-15, -8, 2])
def test_levels_that_do_not_begin_at_0_equal_their_table(lowest):
    check_every_input(intervals(np.random.default_rng(0), 7, 150.0) + lowest, 15)


@pytest.mark.parametrize('level', [-7, 0, 3])
def test_a_constant_function_is_computed(level):
    check_every_input(np.full(256, level), 7)


@pytest.mark.parametrize('sign', [1, -1])
def test_levels_behind_a_swish_equal_their_table(sign):
    x = 0.04 * (Q - 5.0)
    y = x / (1 + np.exp(-x))
    column = sign * np.rint(y * 15 / np.ptp(y)).astype(int)
    content = check_every_input(column, 15)
    assert operators(content)[:2] == ['SUB', 'LEAKY_RELU']


def test_kernels_stay_within_the_bounds_of_lines_and_bends():
    rng = np.random.default_rng(0)
    for _ in range(40):
        gain = np.exp(rng.uniform(-4.0, 4.0)) * rng.choice([-1.0, 1.0])
        line = Line(float(gain), float(rng.uniform(-100.0, 100.0)))
        factors = np.exp(rng.uniform(0.0, 8.0, 2)).astype(int) + 1
        bend = Bend(
            zero=int(rng.integers(-128, 128)),
            below=int(factors[0]) * (1 if rng.random() < 0.7 else -1),
            above=int(factors[1]),
            offset=int(rng.integers(-128, 128)),
        )
        # The last line and the product show the values of the bend as they are.
        plan = ChainPlan((1, 1, CHANNELS), (line, bend, Line(1.0, 0.0)), 0, -128, 1)
        content = file_with(plan, float(np.exp(rng.uniform(-9.0, 3.0))), int(rng.integers(-50, 50)))
        straight = [line.results(Q, bound) for bound in Bound]
        ends = [bend.results(each, bound) for each in straight for bound in Bound]
        for reference in (False, True):
            values = results(content, reference)
            assert (np.minimum.reduce(ends) <= values).all()
            assert (values <= np.maximum.reduce(ends)).all()


@pytest.mark.parametrize('levels', [1, 3, 15])
def test_kernels_without_a_delegate_compute_chains_as_well(levels):
    # Some of these kernels count in 16 bits.
    column = intervals(np.random.default_rng(levels), levels, 150.0)
    plan = planned(column, levels)
    interpreter_class, resolvers = interpreter_classes()
    interpreter = interpreter_class(
        model_content=file_with(plan, 0.02, -7),
        experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    x = np.repeat(ALL_INT8.reshape(1, 16, 16, 1), CHANNELS, axis=-1)
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x)
    interpreter.invoke()
    values = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
    expected = plan.zero_point + plan.stretch * column
    np.testing.assert_array_equal(values.reshape(256, CHANNELS)[:, 0], expected)


def test_a_chain_is_integer_and_one_partition():
    content = check_every_input(intervals(np.random.default_rng(3), 15, 120.0), 15)
    check_integer_only(flatbuffer.read(content))
    assert set(operators(content)) == {'SUB', 'LEAKY_RELU', 'MUL'}
    delegation = xnnpack_delegation(content)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)


def test_each_tensor_of_a_chain_has_one_reader():
    # XNNPACK would not make one table of the operators otherwise.
    content = check_every_input(intervals(np.random.default_rng(3), 15, 120.0), 15)
    graph = flatbuffer.main_graph(flatbuffer.read(content))
    readers = flatbuffer.consumers(graph)
    computed = [int(operator.outputs[0]) for operator in graph.operators[:-1]]
    assert all(len(readers[index]) == 1 for index in computed)


def test_micro_computes_chains_as_the_reference_kernels_do():
    tflite_micro = pytest.importorskip('tflite_micro')
    for levels in (3, 7, 15):
        column = intervals(np.random.default_rng(levels), levels, 120.0)
        plan = planned(column, levels)
        content = file_with(plan, 0.02, -7)
        interpreter = tflite_micro.runtime.Interpreter.from_bytes(content, arena_size=1 << 22)
        x = np.repeat(ALL_INT8.reshape(1, 16, 16, 1), CHANNELS, axis=-1)
        interpreter.set_input(x, 0)
        interpreter.invoke()
        values = interpreter.get_output(0).reshape(256, CHANNELS)[:, 0]
        np.testing.assert_array_equal(values, plan.zero_point + plan.stretch * column)


@pytest.mark.parametrize(('lowest', 'levels'), [(0, 15), (-8, 15), (-4, 7)])
def test_a_chain_is_found_in_a_file(lowest, levels):
    column = intervals(np.random.default_rng(0), levels, 120.0) + lowest
    plan = planned(column, levels)
    model = flatbuffer.read(file_with(plan, 0.02, 3))
    graph = flatbuffer.main_graph(model)
    makers = flatbuffer.producers(graph)
    chains = [written_chain(model, graph, operator, makers) for operator in graph.operators]
    assert chains[:-1] == [None] * (plan.operators - 1)
    chain = chains[-1]
    assert list(chain.operators) == graph.operators[::-1]  # type: ignore[union-attr]
    assert chain.levels == levels  # type: ignore[union-attr]
    assert chain.level_scale == pytest.approx(0.02)  # type: ignore[union-attr]


def test_a_leaky_relu_of_the_user_is_no_chain():
    import tensorflow as tf

    def leaky(x):
        x = tf.nn.leaky_relu(fake_quant(x, 0.02) - 0.5, 0.3)
        return fake_quant(fake_quant(x, 0.02) * 1.5, 0.03)

    model = flatbuffer.read(lower(convert(leaky, [1, 4, 4, 2]), []))
    graph = flatbuffer.main_graph(model)
    makers = flatbuffer.producers(graph)
    assert not any(written_chain(model, graph, each, makers) for each in graph.operators)


def test_a_file_whose_chain_reads_itself_is_no_trouble():
    model = flatbuffer.read(file_with(planned((Q > 0).astype(int), 1), 0.02, 3))
    graph = flatbuffer.main_graph(model)
    first, last = graph.operators
    first.inputs = np.int32([first.outputs[0], first.inputs[1]])
    chain = written_chain(model, graph, last, flatbuffer.producers(graph))
    assert list(chain.operators) == [last, first]  # type: ignore[union-attr]
