import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant, run
from tf_n2uq.tflite.passes import flatbuffer


def pooled(x):
    return fake_quant(tf.nn.max_pool2d(fake_quant(x, 0.02), 2, 2, 'SAME'), 0.02)


@pytest.fixture(scope='module')
def content():
    return convert(pooled, [1, 4, 4, 3])


def test_a_file_survives_reading_and_writing(content):
    x = np.random.default_rng(0).integers(-128, 128, (1, 4, 4, 3), np.int8)
    again = flatbuffer.write(flatbuffer.read(content))
    np.testing.assert_array_equal(run(again, x), run(content, x))


@pytest.mark.parametrize('interface', [tf.int8, tf.float32])
def test_dropping_unused_parts_keeps_the_results(interface):
    content = convert(pooled, [1, 4, 4, 3], interface)
    model = flatbuffer.read(content)
    flatbuffer.drop_unused(model)
    smaller = flatbuffer.write(model)
    assert len(smaller) <= len(content)
    x = np.linspace(-3, 3, 48).reshape(1, 4, 4, 3).astype(interface.as_numpy_dtype)
    np.testing.assert_array_equal(run(smaller, x), run(content, x))


def test_signatures_keep_their_tensors(tmp_path):
    module = tf.Module()
    module.call = tf.function(pooled, input_signature=[tf.TensorSpec([1, 4, 4, 3], tf.float32)])
    tf.saved_model.save(module, str(tmp_path), signatures=module.call)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    model = flatbuffer.read(converter.convert())
    graph = flatbuffer.main_graph(model)
    # An unused tensor in front moves all the others.
    graph.tensors.insert(0, graph.tensors[0])
    for operator in graph.operators:
        operator.inputs, operator.outputs = operator.inputs + 1, operator.outputs + 1
    graph.inputs, graph.outputs = graph.inputs + 1, graph.outputs + 1
    (signature,) = model.signatureDefs
    for entry in (*signature.inputs, *signature.outputs):
        entry.tensorIndex += 1
    flatbuffer.drop_unused(model)
    assert [entry.tensorIndex for entry in signature.inputs] == list(graph.inputs)
    assert [entry.tensorIndex for entry in signature.outputs] == list(graph.outputs)


def test_what_is_not_bytes_is_refused():
    with pytest.raises(TypeError, match=r'the bytes of a TFLite file, got str.*read_bytes'):
        flatbuffer.read('model.tflite')


@pytest.mark.parametrize('junk', [b'', b'TFL3', b'PK\x03\x04' * 20, bytes(64)])
def test_other_files_are_refused(junk):
    with pytest.raises(ValueError, match=r'expected a TFLite file, with b.TFL3. at byte 4'):
        flatbuffer.read(junk)


def test_every_truncation_is_refused(content):
    for length in range(8, len(content), 7):
        with pytest.raises(ValueError, match='whole TFLite file'):
            flatbuffer.read(content[:length])


def test_flipped_bits_are_refused_or_read(content):
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        forged = bytearray(content)
        for place in rng.integers(0, len(forged), rng.integers(1, 8)):
            forged[place] ^= 1 << rng.integers(0, 8)
        try:
            flatbuffer.read(bytes(forged))
        except ValueError:
            refused += 1
    assert 0 < refused < 400


def forge(content, change):
    model = flatbuffer.read(content)
    change(model, flatbuffer.main_graph(model))
    return flatbuffer.write(model)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda model, graph: graph.operators[0].inputs.__setitem__(0, 99),
            'an input of an operator',
        ),
        (
            lambda model, graph: graph.operators[0].outputs.__setitem__(0, -1),
            'an output of an operator',
        ),
        (lambda model, graph: setattr(graph.operators[0], 'opcodeIndex', 99), 'an operator code'),
        (lambda model, graph: setattr(graph.tensors[0], 'buffer', 99), 'the buffer of tensor'),
        (lambda model, graph: graph.inputs.__setitem__(0, 99), 'an input of subgraph 0'),
        (lambda model, graph: setattr(model, 'subgraphs', []), 'no subgraph'),
        (lambda model, graph: setattr(model.metadata[0], 'buffer', 99), 'entry of the metadata'),
        (lambda model, graph: graph.tensors[0].shape.__setitem__(0, -4), 'has the shape'),
        (
            lambda model, graph: setattr(graph.tensors[0], 'buffer', model.metadata[0].buffer),
            r'needs \d+ bytes, but its buffer holds',
        ),
    ],
)
def test_references_that_lead_nowhere_are_named(content, change, message):
    with pytest.raises(ValueError, match=message):
        flatbuffer.read(forge(content, change))


def test_equal_vectors_are_written_once():
    rng = np.random.default_rng(0)
    kernel = rng.choice([-1.0, 1.0], (3, 3, 4, 500))

    def function(x):
        x = fake_quant(x, 0.05)
        return fake_quant(tf.nn.conv2d(x, kernel_fake_quant(kernel, np.ones(500)), 1, 'SAME'), 0.5)

    content = convert(function, [1, 4, 4, 4])
    model = flatbuffer.read(content)
    smaller = flatbuffer.write(model)
    # The zero points of the kernel's 500 channels and those of its bias: 8 bytes each.
    assert len(smaller) <= len(content) - 500 * 8
    again = flatbuffer.read(smaller)
    for old, new in zip(
        flatbuffer.main_graph(model).tensors, flatbuffer.main_graph(again).tensors, strict=True
    ):
        np.testing.assert_array_equal(flatbuffer.scales_of(new), flatbuffer.scales_of(old))
        assert flatbuffer.buffer_bytes(again, new) == flatbuffer.buffer_bytes(model, old)
    x = rng.integers(-128, 128, (1, 4, 4, 4)).astype(np.int8)
    np.testing.assert_array_equal(run(smaller, x), run(content, x))
