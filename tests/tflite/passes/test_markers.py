import numpy as np
import pytest

from tests.tflite.graphs import (
    ALL_INT8,
    convert,
    fake_quant,
    lower,
    marked,
    operators,
    run,
    staircase,
)
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.markers import marker_alpha, replace_markers
from tf_n2uq.tflite.reports.verify import check_integer_only
from tf_n2uq.tflite.running.interpreter import xnnpack_delegation

CHANNELS = 5


def check_every_input(table, scale, zero_point, rank=4):
    """Compares a lowered marker with its table on all 256 inputs, with XNNPACK and without."""
    # As the export has it: an image's functions are the same for all pixels.
    plan = plan_comparators(table[:, None, None] if rank == 4 and table.ndim == 2 else table)
    if rank == 2:
        shape = [1, CHANNELS]
    else:
        # 256 pixels, one per input value; or the values one by one where every pixel has its own.
        shape = [1, 16, 16, CHANNELS] if table.ndim == 2 else [1, *table.shape[1:]]
    content = lower(convert(lambda x: marked(x, 0, scale, zero_point, plan), shape), [plan])
    check_integer_only(flatbuffer.read(content))
    assert set(operators(content)) <= {'ADD', 'SUB', 'MUL', 'DEPTHWISE_CONV_2D'}
    for reference in (False, True):
        if rank == 4 and table.ndim == 2:
            x = np.broadcast_to(ALL_INT8.reshape(1, 16, 16, 1), shape)
            levels = run(content, x, reference).reshape(256, CHANNELS)
        else:
            batch = [run(content, np.full(shape, q, np.int8), reference)[0] for q in ALL_INT8]
            levels = np.stack(batch)
        np.testing.assert_array_equal(levels, plan.zero_point + plan.stretch * table)
    return content


@pytest.mark.parametrize('levels', [1, 3, 7, 15])
@pytest.mark.parametrize('kind', ['monotone', 'slopes', 'shared'])
@pytest.mark.parametrize(
    ('scale', 'zero_point'), [(0.0003, 0), (0.0371, -128), (0.9, 17), (13.7, 127)]
)
def test_comparators_equal_their_table_on_all_inputs(levels, kind, scale, zero_point):
    rng = np.random.default_rng([levels, len(kind), zero_point + 128])
    table = staircase(rng, levels, (CHANNELS,), kind)
    check_every_input(table, scale, zero_point)


@pytest.mark.parametrize('levels', [31, 63, 127])
def test_activations_of_up_to_seven_bits_are_exact(levels):
    check_every_input(staircase(np.random.default_rng(levels), levels, (CHANNELS,)), 0.02, 3)


def test_thresholds_per_pixel_are_exact():
    check_every_input(staircase(np.random.default_rng(0), 3, (2, 3, CHANNELS)), 0.02, -5)


def test_comparators_of_dense_features_are_exact():
    table = staircase(np.random.default_rng(0), 3, (CHANNELS,), 'slopes')
    check_every_input(table, 0.02, -5, rank=2)


@pytest.mark.parametrize('level', [-7, 0, 3])
def test_a_constant_function_is_computed(level):
    check_every_input(np.full((256, CHANNELS), level), 0.02, 0)


def test_channels_with_a_level_below_every_threshold_get_it_as_base():
    table = np.stack([np.arange(256) // 64 + 2, np.full(256, 3)] + [np.arange(256) // 128] * 3, -1)
    assert plan_comparators(table).base is not None
    check_every_input(table, 0.02, 0, rank=2)


def test_all_of_a_files_comparators_are_one_xnnpack_partition():
    table = staircase(np.random.default_rng(0), 7, (CHANNELS,), 'slopes')
    content = check_every_input(table, 0.02, 0)
    delegation = xnnpack_delegation(content)
    assert delegation.partitions == 1
    assert delegation.coverage == 1.0


def two_markers(plans):
    def function(x):
        x = fake_quant(x, 0.02)
        levels = [marked(x, index, 0.02, plan=plan) for index, plan in enumerate(plans)]
        return fake_quant(levels[0] + levels[1], 0.02)

    return function


def test_two_quantizers_of_one_tensor_keep_their_own_thresholds():
    rng = np.random.default_rng(0)
    tables = [staircase(rng, 3, (CHANNELS,)) for _ in range(2)]
    shape = [1, 16, 16, CHANNELS]
    plans = [plan_comparators(table) for table in tables]
    content = lower(convert(two_markers(plans), shape), plans)
    x = np.broadcast_to(ALL_INT8.reshape(1, 16, 16, 1), shape)
    np.testing.assert_array_equal(run(content, x).reshape(256, CHANNELS), sum(tables))


def test_nothing_unused_stays_in_the_file():
    plans = [plan_comparators(staircase(np.random.default_rng(0), 3, (CHANNELS,)))] * 2
    content = lower(convert(two_markers(plans), [1, 4, 4, CHANNELS]), plans)
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    assert {operator.opcodeIndex for operator in graph.operators} == set(
        range(len(model.operatorCodes))
    )
    holders = [*graph.tensors, *model.metadata]
    assert {holder.buffer for holder in holders} | {0} == set(range(len(model.buffers)))
    used = {index for operator in graph.operators for index in operator.inputs}
    used |= {index for operator in graph.operators for index in operator.outputs}
    assert used == set(range(len(graph.tensors)))


def test_operators_come_after_what_they_read():
    plans = [plan_comparators(staircase(np.random.default_rng(0), 7, (CHANNELS,), 'slopes'))] * 2
    model = flatbuffer.read(lower(convert(two_markers(plans), [1, 4, 4, CHANNELS]), plans))
    graph = flatbuffer.main_graph(model)
    known = {int(index) for index in graph.inputs}
    known |= {
        index for index, tensor in enumerate(graph.tensors) if flatbuffer.is_constant(model, tensor)
    }
    for operator in graph.operators:
        assert set(operator.inputs) <= known
        known |= set(operator.outputs)


def test_alphas_are_exact_in_float32_and_all_different():
    alphas = [marker_alpha(index) for index in (0, 1, 2, 1023, 1024, 2**20 - 1)]
    assert [float(np.float32(alpha)) for alpha in alphas] == alphas
    assert len(set(alphas)) == len(alphas)
    with pytest.raises(ValueError, match='index: expected a number in'):
        marker_alpha(-1)


def test_a_leaky_relu_of_the_user_stays():
    import tensorflow as tf

    def leaky(x):
        x = fake_quant(x, 0.02)
        return fake_quant(tf.nn.leaky_relu(x, 0.3), 0.02)

    assert operators(lower(convert(leaky, [1, 4, 4, 2]), [])) == ['LEAKY_RELU']


def marker_model(plan):
    return flatbuffer.read(convert(lambda x: marked(x, 0, 0.02, plan=plan), [1, 4, 4, CHANNELS]))


def test_plans_and_markers_must_match_one_to_one():
    plan = plan_comparators(np.zeros((256, CHANNELS), int))
    with pytest.raises(ValueError, match='expected a plan for marker 0 of the file, got 0 plans'):
        replace_markers(marker_model(plan), [])
    with pytest.raises(ValueError, match=r'for each of the 2 plans, got the markers \[0\]'):
        replace_markers(marker_model(plan), [plan, plan])


def test_a_plan_for_other_channels_is_refused():
    plan = plan_comparators(staircase(np.random.default_rng(0), 3, (3,)))
    with pytest.raises(ValueError, match=r'fits the shape \(1, 4, 4, 5\).*got \(3,\)'):
        replace_markers(marker_model(plan), [plan])


def test_a_marker_with_another_scale_behind_it_is_refused():
    plan = plan_comparators(np.zeros((256, CHANNELS), int))
    model = marker_model(plan)
    output = flatbuffer.main_graph(model).outputs[0]
    flatbuffer.main_graph(model).tensors[output].quantization.scale = np.float32([0.03])
    with pytest.raises(ValueError, match='expected marker 0 to write with the scale'):
        replace_markers(model, [plan])


def test_a_marker_on_a_float_tensor_is_refused():
    import tensorflow as tf

    def unquantized(x):
        return tf.raw_ops.LeakyRelu(features=x, alpha=marker_alpha(0))

    model = flatbuffer.read(convert(unquantized, [1, 4, 4, CHANNELS], tf.float32))
    with pytest.raises(
        ValueError, match='expected an int8 input with one scale for marker 0, got FLOAT32'
    ):
        replace_markers(model, [plan_comparators(np.zeros((256, CHANNELS), int))])
