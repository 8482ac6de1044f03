import numpy as np
import pytest

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.level_run import LevelRun


class Negated(LevelRun):
    """Writes one operator: the input, subtracted from 0."""

    def written(self):
        nothing = self.constant(f'{self.name}/nothing', np.zeros(1, np.int8), 0.5, 0)
        negated = self.tensor(f'{self.name}/negated', 0.25, 7)
        self.append('SUB', [nothing, self.input], negated)
        options = self.append('LEAKY_RELU', [negated], self.output)
        options.alpha = 0.5
        return self.operators


@pytest.fixture
def run():
    content = convert(lambda x: fake_quant(fake_quant(x, 0.02, 3) * 2.0, 0.05), [1, 4, 4, 2])
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    return model, graph, Negated(model, graph, int(graph.inputs[0]), int(graph.outputs[0]))


def test_a_run_knows_its_ends(run):
    _, graph, negated = run
    assert negated.input_scale == pytest.approx(0.02)
    assert negated.input_zero == 3
    assert negated.output_scale == pytest.approx(0.05)
    assert negated.shape == (1, 4, 4, 2)
    assert negated.name == flatbuffer.text(graph.tensors[graph.outputs[0]].name)


def test_operators_and_tensors_are_added_in_order(run):
    model, graph, negated = run
    written = negated.written()
    assert [flatbuffer.operator_name(model, each) for each in written] == ['SUB', 'LEAKY_RELU']
    between = graph.tensors[written[0].outputs[0]]
    assert between.name.decode().endswith('/negated')
    assert flatbuffer.shape_of(between) == (1, 4, 4, 2)
    assert (flatbuffer.scales_of(between)[0], flatbuffer.zero_point_of(between)) == (0.25, 7)
    assert written[1].outputs[0] == graph.outputs[0]
    assert written[1].builtinOptions.alpha == 0.5
    # The versions that take int8.
    versions = [model.operatorCodes[each.opcodeIndex].version for each in written]
    assert versions == [2, 2]


def test_constants_broadcast_against_the_input(run):
    model, graph, negated = run
    constant = graph.tensors[negated.written()[0].inputs[0]]
    assert flatbuffer.shape_of(constant) == (1, 1, 1, 1)
    assert flatbuffer.buffer_bytes(model, constant) == b'\0'


def test_weights_have_a_scale_per_index_of_the_last_axis(run):
    _, graph, negated = run
    values = np.ones((1, 1, 1, 2), np.int8)
    index = negated.weights('kernel', values, schema.TensorType.INT8, np.array([0.5, 0.25]))
    quantization = graph.tensors[index].quantization
    np.testing.assert_array_equal(quantization.scale, np.float32([0.5, 0.25]))
    np.testing.assert_array_equal(quantization.zeroPoint, [0, 0])
    assert quantization.quantizedDimension == 3
