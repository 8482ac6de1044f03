import typing

import numpy as np
import pytest
import tensorflow as tf

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
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.verify import check_integer_only
from tf_n2uq.tflite.running.interpreter import xnnpack_partitions
from tf_n2uq.tflite.targets import TARGETS

CHANNELS = 4
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


@pytest.fixture(scope='module')
def files():
    """The file of each target."""
    content, result = convert(network, [1, 6, 6, CHANNELS]), {}
    for target, passes in TARGETS.items():
        model = flatbuffer.read(content)
        for each in passes([PLAN]):
            each(model)
        check_integer_only(model)
        result[target] = flatbuffer.write(model)
    return result


def test_the_targets_are_those_that_convert_takes():
    hint = typing.get_type_hints(convert_model)['target']
    assert typing.get_args(hint) == tuple(TARGETS)


def test_all_targets_compute_the_same_numbers(files):
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (1, 6, 6, CHANNELS)).astype(np.int8)
    outputs = [run(content, x, reference_kernels=True) for content in files.values()]
    # Averages and dense layers are rounded by other operators, which may differ by one step.
    assert np.max(np.abs(outputs[0].astype(int) - outputs[1])) <= 1
    assert len(np.unique(outputs[0])) > 1


def test_the_file_for_xnnpack_is_one_partition_of_dense_layers(files):
    assert xnnpack_partitions(files['xnnpack']) == 1
    assert 'FULLY_CONNECTED' in operators(files['xnnpack'])
    assert 'CONV_2D' not in operators(files['xnnpack'])


def test_the_file_for_micro_keeps_its_convolutions(files):
    assert operators(files['micro']).count('CONV_2D') == 2
    assert 'FULLY_CONNECTED' not in operators(files['micro'])


@pytest.mark.parametrize('target', TARGETS)
def test_kernels_of_few_bits_are_int4_and_no_marker_is_left(files, target):
    assert [kind for kind, _ in kernels(files[target])] == ['INT4', 'INT8']
    assert 'LEAKY_RELU' not in operators(files[target])
