import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.narrow_types import INT4
from tf_n2uq.tflite.passes.packing import MICRO_VERSIONS, pack_int4, store
from tf_n2uq.tflite.running.interpreter import (
    filled_up,
    make_interpreter,
    xnnpack_delegation,
    xnnpack_partitions,
)


def convolutions(x):
    for number in range(3):
        kernel = np.full((3, 3, 4, 4), number + 1.0, np.float32)
        x = tf.nn.conv2d(fake_quant(x, 0.5), kernel_fake_quant(kernel, np.ones(4)), 1, 'SAME')
    return fake_quant(x, 0.5)


@pytest.fixture(scope='module')
def content():
    return convert(convolutions, [1, 6, 6, 4])


def test_litert_runs_a_file_where_it_is_installed(content):
    interpreter = make_interpreter(content, num_threads=1)
    assert type(interpreter).__module__.startswith('ai_edge_litert')
    interpreter.allocate_tensors()
    interpreter.invoke()


def test_tensorflow_runs_a_file_where_it_is_not(content, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ai_edge_litert.interpreter', None)
    interpreter = make_interpreter(content, num_threads=1)
    assert type(interpreter).__module__.startswith('tensorflow')
    interpreter.allocate_tensors()
    interpreter.invoke()


def test_without_any_interpreter_the_error_says_what_to_install(content, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ai_edge_litert.interpreter', None)
    monkeypatch.delattr(tf.lite, 'Interpreter')
    with pytest.raises(ImportError, match='pip install ai-edge-litert'):
        make_interpreter(content)


def test_the_last_image_fills_up_a_batch():
    images = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(filled_up(images, 3), images)
    np.testing.assert_array_equal(filled_up(images, 5)[3:], [[4, 5], [4, 5]])


def test_bad_arguments_are_refused(content):
    with pytest.raises(ValueError, match='num_threads: expected at least 1, got 0'):
        make_interpreter(content, num_threads=0)
    with pytest.raises(ValueError, match='expected a TFLite file'):
        make_interpreter(b'not a model')
    with pytest.raises(ValueError, match='whole TFLite file'):
        make_interpreter(content[: len(content) // 2])


def test_an_integer_network_is_one_partition(content):
    delegation = xnnpack_delegation(content)
    assert (delegation.partitions, delegation.delegated, delegation.operators) == (1, 3, 3)
    assert delegation.coverage == 1.0
    assert xnnpack_partitions(content) == 1


def test_an_operator_that_xnnpack_leaves_splits_the_network(content):
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    # XNNPACK leaves a CONV_2D with an INT4 kernel to others.
    kernel = graph.tensors[graph.operators[1].inputs[1]]
    values = np.frombuffer(flatbuffer.buffer_bytes(model, kernel), np.int8)
    store(model, kernel, values.reshape(flatbuffer.shape_of(kernel)), INT4)
    delegation = xnnpack_delegation(flatbuffer.write(model))
    assert (delegation.partitions, delegation.delegated, delegation.operators) == (2, 2, 3)


def test_a_network_without_any_delegated_operator_has_no_partition(content):
    model = pack_int4(flatbuffer.read(content), MICRO_VERSIONS)
    delegation = xnnpack_delegation(flatbuffer.write(model))
    assert (delegation.partitions, delegation.coverage) == (0, 0.0)


def test_a_file_that_the_interpreter_cannot_prepare_is_refused(content):
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    graph.operators[0].builtinOptions.strideW = 0
    graph.tensors[graph.operators[0].outputs[0]].shape[:] = 10**6
    with pytest.raises(ValueError, match='the interpreter can prepare, got .* ended with'):
        xnnpack_delegation(flatbuffer.write(model))
