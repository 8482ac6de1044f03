import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.signature import end_names, sign
from tf_n2uq.tflite.running.interpreter import make_interpreter


@pytest.fixture
def file():
    """A file of one input and two outputs, of 3 and of 4 values."""

    def halves(x):
        x = fake_quant(x, 0.02)
        return fake_quant(x[:, :3] * 2.0, 0.04), fake_quant(x[:, 3:] + 1.0, 0.04)

    model = flatbuffer.read(convert(halves, [1, 7], tf.float32))
    graph, model.signatureDefs = flatbuffer.main_graph(model), None
    graph.outputs = sorted(
        graph.outputs, key=lambda index: flatbuffer.shape_of(graph.tensors[index])
    )
    return model


def test_a_file_is_run_by_the_names_it_was_signed_with(file):
    content = flatbuffer.write(sign(file, ['row'], ['start', 'end']))
    interpreter = make_interpreter(content)
    assert interpreter.get_signature_list() == {
        'serving_default': {'inputs': ['row'], 'outputs': ['end', 'start']}
    }
    outputs = interpreter.get_signature_runner()(row=tf.ones([1, 7]).numpy())
    assert {name: each.shape for name, each in outputs.items()} == {
        'start': (1, 3),
        'end': (1, 4),
    }
    assert interpreter.get_input_details()[0]['name'] == 'serving_default_row:0'


def test_the_names_of_a_signed_file_come_in_the_order_of_the_file(file):
    assert end_names(sign(file, ['row'], ['start', 'end'])) == (['row'], ['start', 'end'])
    read = flatbuffer.read(flatbuffer.write(file))
    assert [flatbuffer.text(each.name) for each in read.signatureDefs[0].outputs] == [
        'start',
        'end',
    ]


def test_an_output_that_is_given_twice_has_two_names(file):
    graph = flatbuffer.main_graph(file)
    graph.outputs = [graph.outputs[1], graph.outputs[0], graph.outputs[1]]
    signed = sign(file, ['row'], ['end', 'start', 'again'])
    assert end_names(signed)[1] == ['end', 'start', 'again']


@pytest.mark.parametrize('kind', ['none', 'of another graph', 'that leads nowhere'])
def test_without_a_right_signature_the_names_are_those_of_the_tensors(file, kind):
    graph = flatbuffer.main_graph(file)
    expected = [flatbuffer.text(graph.tensors[index].name) for index in graph.outputs]
    if kind != 'none':
        (signature,) = sign(file, ['row'], ['start', 'end']).signatureDefs
        expected = [flatbuffer.text(graph.tensors[index].name) for index in graph.outputs]
    if kind == 'of another graph':
        signature.subgraphIndex = 7
    elif kind == 'that leads nowhere':
        for each in signature.outputs:
            each.tensorIndex = 10**6
    assert end_names(file)[1] == expected


def test_other_numbers_of_names_are_refused(file):
    with pytest.raises(ValueError, match='expected 1 and 2 names'):
        sign(file, ['a', 'b'], ['c'])
