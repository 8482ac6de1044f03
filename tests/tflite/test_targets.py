import typing

import numpy as np
import pytest
import tensorflow as tf

from tests.networks import quantized_network
from tests.tflite.graphs import (
    convert,
    fake_quant,
    kernel_fake_quant,
    kernels,
    marked,
    operators,
    run,
    staircase,
)
from tf_n2uq.tflite.convert import convert as convert_model
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.levels.table_chain import ChainPlan
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.verify import check_integer_only
from tf_n2uq.tflite.running.interpreter import xnnpack_partitions
from tf_n2uq.tflite.targets import PLANNERS, TARGETS, passes_of

CHANNELS = 32
PLAN = plan_comparators(staircase(np.random.default_rng(0), 3, (CHANNELS,)))


def network(x):
    """Comparators, a 3x3 convolution with a 2-bit kernel, and a dense layer with an 8-bit one."""
    rng = np.random.default_rng(0)
    levels = marked(x, 0, 0.05, plan=PLAN)
    scale = np.full(CHANNELS, 0.02, np.float32)
    kernel = rng.choice([-3.0, -1.0, 1.0, 3.0], (3, 3, CHANNELS, CHANNELS)) * 0.02
    x = fake_quant(tf.nn.conv2d(levels, kernel_fake_quant(kernel, scale), 1, 'SAME'), 0.05)
    x = fake_quant(tf.reshape(tf.reduce_mean(x, [1, 2]), [1, 1, 1, CHANNELS]), 0.02)
    dense = rng.integers(-127, 128, (1, 1, CHANNELS, CHANNELS)) * 0.02
    x = tf.nn.conv2d(x, kernel_fake_quant(dense, scale), 1, 'SAME')
    return fake_quant(tf.reshape(x, [1, CHANNELS]), 0.05)


FILES = [(target, choice) for target, choices in TARGETS.items() for choice in choices]


@pytest.fixture(scope='module')
def files():
    """The file of each target and choice."""
    content, result = convert(network, [1, 6, 6, CHANNELS]), {}
    for target, choice in FILES:
        model = flatbuffer.read(content)
        for each in passes_of(target, choice)([PLAN]):
            each(model)
        check_integer_only(model)
        result[target, choice] = flatbuffer.write(model)
    return result


def test_the_targets_are_those_that_convert_takes():
    hints = typing.get_type_hints(convert_model)
    assert typing.get_args(hints['target']) == tuple(TARGETS)
    literal, none = typing.get_args(hints['optimize_for'])
    choices = {choice for choices in TARGETS.values() for choice in choices}
    assert {*typing.get_args(literal), None} == choices
    assert none is type(None)


def test_each_target_says_how_thresholds_are_computed():
    assert PLANNERS.keys() == TARGETS.keys()
    # Two thresholds far apart from a third one. They are one table, and fewer comparators than
    # operators of a chain.
    column = (np.arange(256)[:, np.newaxis] >= [10, 20, 200]).sum(axis=1)
    table = np.repeat(column.reshape(256, 1, 1, 1), 2, axis=-1)
    plans = {target: planner(table, 3) for target, planner in PLANNERS.items()}
    assert isinstance(plans['xnnpack'], ChainPlan)
    assert plans['micro'].operators <= plan_comparators(table, 3).operators


@pytest.mark.parametrize('target', TARGETS)
def test_convert_asks_the_planner_of_the_target(target, monkeypatch):
    planner, planned = PLANNERS[target], []
    monkeypatch.setitem(PLANNERS, target, lambda *table: planned.append(table) or planner(*table))  # type: ignore[func-returns-value]
    convert_model(quantized_network('residual'), target=target)
    assert planned


def test_all_files_compute_the_same_numbers(files):
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (1, 6, 6, CHANNELS)).astype(np.int8)
    outputs = [run(content, x, reference_kernels=True) for content in files.values()]
    assert len(np.unique(outputs[0])) > 1
    for other in outputs[1:]:
        # Averages and dense layers are rounded by other operators, which may differ by one step.
        assert np.max(np.abs(outputs[0].astype(int) - other)) <= 1


def test_both_choices_for_xnnpack_give_the_same_integers_there(files):
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (1, 6, 6, CHANNELS)).astype(np.int8)
    expected = run(files['xnnpack', 'latency'], x)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(run(files['xnnpack', 'size'], x), expected)


def test_latency_is_what_xnnpack_gets_if_nothing_is_asked_for(files):
    assert files['xnnpack', None] == files['xnnpack', 'latency']


def test_a_file_for_latency_has_int8_kernels_and_gathers_no_windows(files):
    content = files['xnnpack', 'latency']
    assert [kind for kind, _ in kernels(content)] == ['INT8', 'INT8']
    assert operators(content).count('CONV_2D') == 1
    assert not {'CONCATENATION', 'PAD', 'STRIDED_SLICE'} & set(operators(content))


def test_a_file_for_size_is_one_partition_of_dense_layers(files):
    assert xnnpack_partitions(files['xnnpack', 'size']) == 1
    assert 'FULLY_CONNECTED' in operators(files['xnnpack', 'size'])
    assert 'CONV_2D' not in operators(files['xnnpack', 'size'])


def test_the_file_for_micro_keeps_its_convolutions(files):
    assert operators(files['micro', None]).count('CONV_2D') == 2
    assert 'FULLY_CONNECTED' not in operators(files['micro', None])


@pytest.mark.parametrize('file', [('xnnpack', 'size'), ('micro', None)])
def test_kernels_of_few_bits_are_int4_for_size_and_for_micro(files, file):
    assert [kind for kind, _ in kernels(files[file])] == ['INT4', 'INT8']


def test_no_marker_is_left(files):
    assert not any('LEAKY_RELU' in operators(content) for content in files.values())


def test_a_choice_that_the_target_does_not_have_is_refused():
    with pytest.raises(ValueError, match="optimize_for: expected None for target='micro', got 'si"):
        passes_of('micro', 'size')
    with pytest.raises(ValueError, match="optimize_for: expected None or 'latency' or 'size' for"):
        passes_of('xnnpack', 'speed')
    with pytest.raises(ValueError, match="target: expected 'xnnpack' or 'micro', got 'gpu'"):
        passes_of('gpu', None)


def test_a_choice_is_refused_before_anything_is_converted():
    with pytest.raises(ValueError, match='optimize_for: expected None for'):
        convert_model(quantized_network('dense_only'), target='micro', optimize_for='latency')
