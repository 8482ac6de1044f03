import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.joining import FilePart, join


def file_of(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    # Otherwise the inputs come in another order.
    converter.experimental_lower_to_saved_model = False
    return flatbuffer.read(converter.convert())


def run(model, *inputs):
    interpreter = tf.lite.Interpreter(model_content=flatbuffer.write(model))
    interpreter.allocate_tensors()
    for details, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details['index'], values)
    interpreter.invoke()
    return [interpreter.get_tensor(each['index']) for each in interpreter.get_output_details()]


def doubled(x, times):
    """Doubles a tensor in a loop, which is a subgraph of a file."""
    state = (tf.constant(0), x)
    return tf.while_loop(lambda i, _: i < times, lambda i, y: (i + 1, y + y), state)[1]


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_files_that_read_tensors_of_each_other_become_one():
    # first: a → b and c → d; second: b → c. So the order is a, b, c, d.
    first = file_of(lambda a, c: (tf.sin(a), c @ tf.constant(normal(3, 2))), [1, 3], [1, 3])
    second = file_of(lambda b: b * 2 + tf.constant([[1.0, 2.0, 3.0]]), [1, 3])
    joined = join(
        FilePart(first, ['a', 'c'], ['b', 'd']), FilePart(second, ['b'], ['c']), ['a'], ['d', 'b']
    )
    a = normal(1, 3)
    b = np.sin(a)
    got = run(joined, a)
    np.testing.assert_allclose(got[0], (b * 2 + [[1, 2, 3]]) @ normal(3, 2), 1e-5)
    np.testing.assert_allclose(got[1], b, 1e-5)


def test_both_files_may_read_an_input():
    first = file_of(tf.sin, [1, 3])
    second = file_of(lambda x, y: x + y, [1, 3], [1, 3])
    joined = join(FilePart(first, ['x'], ['y']), FilePart(second, ['x', 'y'], ['z']), ['x'], ['z'])
    assert len(flatbuffer.main_graph(joined).inputs) == 1
    np.testing.assert_allclose(
        run(joined, normal(1, 3))[0], normal(1, 3) + np.sin(normal(1, 3)), 1e-5
    )


@pytest.mark.parametrize('swapped', [False, True])
def test_loops_find_their_subgraphs(swapped):
    first = FilePart(file_of(lambda x: doubled(x, 3), [1, 2]), ['x'], ['y'])
    second = FilePart(file_of(lambda y: doubled(y + 1, 1), [1, 2]), ['y'], ['z'])
    parts = (second, first) if swapped else (first, second)
    joined = join(*parts, ['x'], ['z'])
    assert len(joined.subgraphs) == 5
    x = normal(1, 2)
    np.testing.assert_allclose(run(joined, x)[0], (8 * x + 1) * 2, 1e-5)
