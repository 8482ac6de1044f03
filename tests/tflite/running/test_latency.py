import pytest
import tensorflow as tf

import tf_n2uq
from tests.tflite.graphs import convert, fake_quant


@pytest.fixture(scope='module')
def content():
    return convert(lambda x: fake_quant(tf.nn.relu(fake_quant(x, 0.02)), 0.02), [1, 8])


def test_as_many_runs_are_timed_as_asked_for(content):
    latency = tf_n2uq.tflite.benchmark(content, num_threads=2, runs=5)
    assert (latency.runs, latency.num_threads) == (5, 2)
    assert 0 < latency.fastest_ms <= latency.median_ms <= latency.slowest_ms
    assert 'median of 5 runs on 2 threads' in str(latency)


def test_bad_arguments_are_refused(content):
    with pytest.raises(ValueError, match='runs: expected at least 1, got 0'):
        tf_n2uq.tflite.benchmark(content, runs=0)
    with pytest.raises(ValueError, match='num_threads: expected at least 1, got 0'):
        tf_n2uq.tflite.benchmark(content, num_threads=0)
    with pytest.raises(ValueError, match='expected a TFLite file'):
        tf_n2uq.tflite.benchmark(b'no file at all')
