import numpy as np
import pytest

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq.tflite.running.isolation import run_isolated

runtime = pytest.importorskip('tflite_micro').runtime


def test_the_script_prints_an_arena_that_is_enough_and_one_step_less_is_not():
    content = convert(lambda x: fake_quant(fake_quant(x, 0.05) + 1.0, 0.05), [1, 4, 4, 5])
    arena = int(run_isolated('_arena.py', content, 'TensorFlow Lite Micro', 60))
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena)
    interpreter.set_input(np.zeros((1, 4, 4, 5), np.int8), 0)
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_output(0), np.full((1, 4, 4, 5), 20))
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(content, arena_size=arena - 16)
