"""Strategies: what is checked, and two real worker processes beside one."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import distribution, read_metrics

WORKER = Path(__file__).with_name('worker.py')
SECONDS = 240
_logs: dict[subprocess.Popen, Path] = {}


@pytest.fixture
def launch(tmp_path):
    """Function that starts worker processes; whatever happens, none of them is left over."""
    processes: list[subprocess.Popen] = []

    def start(options, task=None):
        environment = {key: value for key, value in os.environ.items() if key != 'TF_CONFIG'}
        if task is not None:
            environment['TF_CONFIG'] = json.dumps(task)
        with (tmp_path / f'log{len(processes)}').open('w') as log:
            process = subprocess.Popen(
                [sys.executable, WORKER, json.dumps({k: str(v) if isinstance(v, Path) else v
                                                     for k, v in options.items()})],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=WORKER.parents[2],
            )  # fmt: skip
        _logs[process] = Path(log.name)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def _options(tmp_path, strategy='multi_worker', name='run', **options):
    return {
        'strategy': strategy, 'sync': strategy != 'none', 'epochs': 1, 'resume': False,
        'run_dir': tmp_path / name, 'report': tmp_path / f'{name}.json', **options,
    }  # fmt: skip


def _cluster(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for sock in sockets:
            sock.bind(('127.0.0.1', 0))
        hosts = [f'127.0.0.1:{sock.getsockname()[1]}' for sock in sockets]
    return [
        {'cluster': {'worker': hosts}, 'task': {'type': 'worker', 'index': index}}
        for index in range(number)
    ]


def _wait(*processes):
    for process in processes:
        assert process.wait(SECONDS) == 0, _logs[process].read_text()[-3000:]


def _read(path):
    return json.loads(path.read_text())


@pytest.mark.slow
def test_two_workers_have_the_loss_curve_of_one_process(launch, tmp_path):
    one = launch(_options(tmp_path, 'none', 'one'))
    two = [
        launch(_options(tmp_path, name='two', report=tmp_path / f'two{index}.json'), task)
        for index, task in enumerate(_cluster(2))
    ]
    _wait(one, *two)
    alone, chief, other = (_read(tmp_path / f'{name}.json') for name in ('one', 'two0', 'two1'))
    assert (chief['replicas'], chief['chief'], other['chief']) == (2, True, False)
    assert len(alone['losses']) == 20
    assert alone['losses'][0] > alone['losses'][-1] + 0.05
    np.testing.assert_allclose(chief['losses'], alone['losses'], atol=1e-4)
    assert chief['losses'] == other['losses']
    assert chief['weights'] == other['weights']
    assert chief['rows'] == other['rows']
    files = sorted(os.listdir(tmp_path / 'two'))
    assert files == ['backup', 'best.json', 'best.keras', 'metrics.jsonl']
    keras.models.load_model(tmp_path / 'two' / 'best.keras')


@pytest.mark.slow
def test_killing_a_worker_costs_at_most_one_epoch(launch, tmp_path):
    signs = tmp_path / 'stands_still'
    first = [
        launch(_options(tmp_path, epochs=2, **({'stand_still': signs} if index else {})), task)
        for index, task in enumerate(_cluster(2))
    ]
    deadline = time.monotonic() + SECONDS
    while not signs.exists():
        assert time.monotonic() < deadline, _logs[first[1]].read_text()[-3000:]
        assert first[1].poll() is None, _logs[first[1]].read_text()[-3000:]
        time.sleep(0.1)
    first[1].send_signal(signal.SIGKILL)
    time.sleep(1.0)
    first[0].kill()
    before = read_metrics(tmp_path / 'run' / 'metrics.jsonl')
    assert [row['epoch'] for row in before] == [1]
    second = [
        launch(_options(tmp_path, epochs=2, resume=True, report=tmp_path / f'{index}.json'), task)
        for index, task in enumerate(_cluster(2))
    ]
    straight = launch(_options(tmp_path, 'none', 'straight', epochs=2))
    _wait(*second, straight)
    rows = _read(tmp_path / '0.json')['rows']
    assert [row['epoch'] for row in rows] == [1, 2]
    assert rows[0] == before[0]
    assert rows == _read(tmp_path / '1.json')['rows']
    # The order of the images, too, went on where it was.
    expected = [row['loss'] for row in _read(tmp_path / 'straight.json')['rows']]
    np.testing.assert_allclose([row['loss'] for row in rows], expected, atol=2e-3)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'TF_CONFIG'),
        ('{"cluster": {"worker": ["a:1"]}}', 'KeyError'),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}', 'index'),
    ],
)
def test_workers_need_a_complete_cluster(monkeypatch, text, words):
    monkeypatch.setenv('TF_CONFIG', text)
    with pytest.raises(ValueError, match=rf"(?s)strategy: 'multi_worker' expected.*{words}"):
        distribution.make_strategy('multi_worker')


def test_unknown_strategy_is_named():
    with pytest.raises(ValueError, match=r'strategy: expected one of none, .* got .horovod.'):
        distribution.make_strategy('horovod')


def test_strategy_none_is_one_replica_whose_process_is_the_chief(tmp_path):
    strategy = distribution.make_strategy('none')
    assert strategy.num_replicas_in_sync == 1
    assert distribution.is_chief(strategy)
    assert distribution.folder_of_worker(strategy, str(tmp_path)) == str(tmp_path)
    distribution.barrier(strategy)
    distribution.check_same_on_every_worker(strategy, 3, 'the number of epochs')
    dataset = distribution.distribute(strategy, _numbers, 8)
    assert [batch.shape[0] for batch in dataset] == [8, 8]


def _numbers(batch_size, index, count):
    return tf.data.Dataset.range(16).shard(count, index).batch(batch_size)


class _ThreeReplicas:
    num_replicas_in_sync = 3


def test_batch_that_replicas_cannot_share_is_refused():
    with pytest.raises(ValueError, match='batch_size: expected a multiple of 3, .* got 32'):
        distribution.check_batch_size(_ThreeReplicas(), 32)


def test_replica_computes_the_same_with_variables_of_the_strategy(quantized_model):
    model = quantized_model(1)
    strategy = tf.distribute.MirroredStrategy(['CPU:0'])
    copy = distribution.replicate(model, strategy)
    assert copy.distribute_strategy is strategy
    points = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    np.testing.assert_array_equal(copy(points), model(points))
    assert not {id(v) for v in copy.variables} & {id(v) for v in model.variables}


def test_batch_normalization_is_synchronized_on_request(dense_model):
    model = dense_model(1)
    strategy = tf.distribute.get_strategy()
    assert distribution.replicate(model, strategy, True).get_layer('norm').synchronized
    assert not distribution.replicate(model, strategy).get_layer('norm').synchronized


def test_normalization_inside_other_layers_is_synchronized_too(dense_model):
    inputs = keras.Input((8,))
    sequence = keras.layers.Reshape((3, 1))(dense_model(1)(inputs))
    around = keras.layers.TimeDistributed(keras.layers.BatchNormalization(name='inner'))
    model = keras.Model(inputs, around(sequence))
    copy = distribution.replicate(model, tf.distribute.get_strategy(), True)
    found = [x for x in copy.submodules if isinstance(x, keras.layers.BatchNormalization)]
    assert [layer.synchronized for layer in found] == [True, True]


@keras.saving.register_keras_serializable(package='tf_n2uq_tests')
class OwnNormalization(keras.layers.BatchNormalization):
    """A user's normalization, of which nobody knows how to synchronize it."""


def test_normalization_that_cannot_be_synchronized_is_named():
    inputs = keras.Input((8,))
    x = keras.layers.BatchNormalization(name='known')(inputs)
    model = keras.Model(inputs, OwnNormalization(name='own')(x))
    with pytest.raises(ValueError, match=r"sync_batch_norm: .* \['own'\], which cannot be"):
        distribution.replicate(model, tf.distribute.get_strategy(), True)


def test_a_model_without_a_graph_cannot_be_replicated():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    for model in (Subclassed(), None):
        with pytest.raises(TypeError, match='model: expected a built Functional or Sequential'):
            distribution.replicate(model, tf.distribute.get_strategy())


def test_synchronizing_nothing_is_refused(quantized_model):
    with pytest.raises(
        ValueError, match='sync_batch_norm: expected batch normalization .* got none'
    ):
        distribution.replicate(quantized_model(1), tf.distribute.get_strategy(), True)


def test_precision_holds_for_layers_built_within(dense_model):
    with distribution.precision('mixed_bfloat16'):
        assert dense_model(1).get_layer('hidden').compute_dtype == 'bfloat16'
    assert dense_model(1).get_layer('hidden').compute_dtype == 'float32'
    with (
        pytest.raises(ValueError, match='precision: expected one of float32, .* got .int8.'),
        distribution.precision('int8'),
    ):
        pass
