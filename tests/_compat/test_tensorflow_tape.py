from __future__ import annotations

import tensorflow as tf

from tf_n2uq._compat.tensorflow_tape import is_recording


def test_it_tells_whether_a_tape_records():
    assert not is_recording()
    with tf.GradientTape() as tape:
        assert is_recording()
        with tape.stop_recording():
            assert not is_recording()
    assert not is_recording()


def test_it_tells_so_in_a_compiled_function():
    found = []

    @tf.function
    def step():
        found.append(is_recording())
        with tf.GradientTape():
            found.append(is_recording())

    step()
    assert found == [False, True]
