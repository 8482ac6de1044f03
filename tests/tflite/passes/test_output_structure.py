"""Files remember that their outputs are the entries of a dictionary."""

import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.output_structure import mark_dictionary, returns_dictionary
from tf_n2uq.tflite.running.interpreter import make_interpreter


@pytest.fixture
def file():
    return flatbuffer.read(
        convert(lambda x: fake_quant(tf.nn.relu(fake_quant(x, 0.02)), 0.02), [1, 4])
    )


def test_a_note_survives_writing_and_reading_and_the_interpreter_loads_the_file(file):
    assert not returns_dictionary(file)
    content = flatbuffer.write(mark_dictionary(file))
    assert returns_dictionary(flatbuffer.read(content))
    make_interpreter(content).allocate_tensors()


@pytest.mark.parametrize('buffer', [-1, 0, 10**6])
def test_a_note_that_points_nowhere_is_none(file, buffer):
    mark_dictionary(file)
    file.metadata[-1].buffer = buffer
    assert not returns_dictionary(file)


def test_a_file_without_notes_has_none(file):
    file.metadata = None
    assert not returns_dictionary(file)
