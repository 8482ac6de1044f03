"""The training script as a user runs it: on digits, and on a small folder laid out as ImageNet."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

import tf_n2uq

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'examples' / 'train_imagenet.py'
QUICK = ['width=0.5', 'epochs=2', 'teacher_epochs=1', 'calibration_images=64', 'tflite_images=20']
SMALL = [
    'width=0.125', 'epochs=1', 'batch_size=8', 'image_size=32', 'resize_size=36',
    'model=resnet8', 'teacher=resnet8', 'calibration_images=16', 'tflite_images=4',
]  # fmt: skip
CLASSES = 6


def _command(*arguments, sets=()):
    return [sys.executable, SCRIPT, *arguments, *(f'--set={pair}' for pair in sets)]


def _run(*arguments, sets=()):
    command = _command(*arguments, sets=sets)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)


def _refused(result, *words):
    assert result.returncode != 0
    assert 'Traceback' not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture(scope='module')
def quickstart(tmp_path_factory):
    out = tmp_path_factory.mktemp('quickstart') / 'run'
    return out, _run(f'--out={out}', sets=QUICK)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """JPEGs of six colours with noise, laid out as ImageNet is."""
    root = tmp_path_factory.mktemp('imagenet')
    random = np.random.default_rng(0)
    for split, number in (('train', 8), ('val', 3)):
        for label in range(CLASSES):
            (root / split / f'n{label:08}').mkdir(parents=True)
            for index in range(number):
                image = random.integers(0, 80, (48, 64, 3)) + 30 * label
                jpeg = tf.io.encode_jpeg(tf.constant(image, tf.uint8)).numpy()
                (root / split / f'n{label:08}' / f'{index}.JPEG').write_bytes(jpeg)
    return root


def _weights(folder, name):
    path = folder / f'{name}.keras'
    tf_n2uq.models.build(name, input_shape=(32, 32, 3), classes=CLASSES, width=0.125).save(path)
    return path


@pytest.mark.slow
def test_default_run_tries_the_whole_pipeline_without_data(quickstart):
    out, result = quickstart
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'quickstart: trains on digits, not on ImageNet' in result.stdout
    assert 'images per second' in result.stdout
    assert sorted(os.listdir(out)) == [
        'backup', 'best.json', 'best.keras', 'config.yaml', 'environment.json', 'metrics.jsonl',
        'model.tflite', 'summary.md', 'teacher', 'tensorboard',
    ]  # fmt: skip
    config = yaml.safe_load((out / 'config.yaml').read_text())
    assert (config['epochs'], config['width'], config['learning_rate']) == (2, 0.5, 2.5e-3)
    rows = tf_n2uq.training.read_metrics(out / 'metrics.jsonl')
    assert len(rows) == 2
    assert {'val_accuracy', 'val_top5_accuracy', 'images_per_second'} <= set(rows[0])
    (start,) = json.loads((out / 'environment.json').read_text())
    assert start['packages']['tensorflow'] == tf.__version__
    summary = (out / 'summary.md').read_text()
    assert 'val_top5_accuracy' in summary
    assert tf_n2uq.tflite.inspect((out / 'model.tflite').read_bytes()).integer_only
    assert list((out / 'tensorboard').rglob('events*'))


@pytest.mark.slow
def test_finished_run_is_left_alone_resumed_measured_and_exported(quickstart):
    out, _ = quickstart
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    _refused(_run(f'--out={out}', sets=QUICK), '--out: expected a folder without a run', '--resume')
    _refused(_run(f'--out={out}', '--export'), 'model.tflite', '--resume')
    _refused(_run(f'--out={out}', '--resume', '--set=bits=3'), 'bits: 2, 3', '--init_weights')
    result = _run(f'--out={out}', '--evaluate')
    assert result.returncode == 0, result.stderr[-2000:]
    best = max(
        tf_n2uq.training.read_metrics(out / 'metrics.jsonl'), key=lambda row: -row['val_loss']
    )
    shown = f'top-1 {best["val_accuracy"]:.2%}, top-5 {best["val_top5_accuracy"]:.2%}'
    assert shown in result.stdout
    assert {path: path.read_bytes() for path in out.rglob('*') if path.is_file()} == before
    result = _run(f'--out={out}', '--export', '--resume')
    assert result.returncode == 0, result.stderr[-2000:]
    assert (out / 'model.tflite').read_bytes() == before[out / 'model.tflite']


@pytest.mark.slow
def test_imagenet_is_trained_on_from_a_folder_and_resumed(folder, tmp_path):
    out, teacher = tmp_path / 'run', _weights(tmp_path, 'resnet8')
    arguments = [f'--data_dir={folder}', f'--teacher_weights={teacher}', f'--out={out}']
    config = ['--config=resnet18_w2a2_fpdown', f'--init_weights={teacher}']
    result = _run(*arguments, *config, sets=SMALL)
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'trains on' not in result.stdout
    assert (out / 'model.tflite').exists()
    assert not (out / 'teacher').exists()
    (row,) = tf_n2uq.training.read_metrics(out / 'metrics.jsonl')
    assert np.isfinite(row['loss'])
    (out / 'summary.md').unlink()
    result = _run(*arguments, '--resume')
    assert result.returncode == 0, result.stderr[-2000:]
    assert tf_n2uq.training.read_metrics(out / 'metrics.jsonl') == [row]
    assert (out / 'summary.md').exists()


@pytest.mark.nightly
@pytest.mark.slow
def test_a_published_network_is_trained_and_exported(folder, tmp_path):
    out = tmp_path / 'run'
    result = _run(
        '--config=resnet18_w2a2',
        f'--data_dir={folder}',
        f'--teacher_weights={_weights(tmp_path, "resnet18")}',
        f'--out={out}',
        sets=[*SMALL, 'model=resnet18', 'teacher=resnet18', 'precision=mixed_bfloat16'],
    )
    assert result.returncode == 0, result.stderr[-2000:]
    (row,) = tf_n2uq.training.read_metrics(out / 'metrics.jsonl')
    assert np.isfinite(row['loss'])
    assert 'val_top5_accuracy' in (out / 'summary.md').read_text()
    inspection = tf_n2uq.tflite.inspect((out / 'model.tflite').read_bytes())
    assert inspection.integer_only
    assert {layer.kernel_type for layer in inspection.layers} == {'INT8'}
    assert sum(layer.comparators > 0 for layer in inspection.layers) == 19
    assert inspection.xnnpack_partitions == 1


@pytest.mark.slow
def test_what_cannot_be_exported_is_named_and_kept(tmp_path, folder):
    network = tf_n2uq.models.build(
        'resnet18', bits=2, input_shape=(32, 32, 3), classes=CLASSES, width=0.125
    )
    silenced = network.get_layer('layer2_0_conv1_thresholds')
    silenced.quantizer_weights['output_scale'].assign([0.0])
    weights = tmp_path / 'silenced.keras'
    network.save(weights)
    out = tmp_path / 'run'
    result = _run(
        '--config=resnet18_w2a2',
        '--export',
        f'--data_dir={folder}',
        f'--init_weights={weights}',
        f'--out={out}',
        sets=[*SMALL, 'model=resnet18', 'teacher=resnet18'],
    )
    _refused(result, 'model.tflite was not written', 'layer2_0_conv1_thresholds', str(out))
    assert not (out / 'model.tflite').exists()
    assert weights.exists()


@pytest.mark.nightly
@pytest.mark.slow
def test_two_workers_train_on_a_folder(folder, tmp_path):
    teacher = _weights(tmp_path, 'resnet8')
    with socket.socket() as one, socket.socket() as two:
        hosts = []
        for sock in (one, two):
            sock.bind(('127.0.0.1', 0))
            hosts.append(f'127.0.0.1:{sock.getsockname()[1]}')
    out = tmp_path / 'run'
    command = _command(
        '--config=resnet18_w2a2', f'--data_dir={folder}', f'--teacher_weights={teacher}',
        f'--out={out}', '--strategy=multi_worker', sets=[*SMALL, 'sync_batch_norm=true'],
    )  # fmt: skip
    workers = []
    try:
        for index in range(2):
            task = {'cluster': {'worker': hosts}, 'task': {'type': 'worker', 'index': index}}
            workers.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, 'TF_CONFIG': json.dumps(task)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        outputs = [worker.communicate(timeout=400) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0, 0], outputs[0][1][-2000:]
    assert '2 replica(s)' in outputs[0][0]
    assert 'epoch 1/1' not in outputs[1][0]
    assert len(tf_n2uq.training.read_metrics(out / 'metrics.jsonl')) == 1
    assert not list(out.glob('.worker*'))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [(['--strategy=multi_worker'], ['TF_CONFIG']), (['--strategy=many'], ['strategy'])],
)
def test_a_wrong_strategy_is_named(tmp_path, arguments, words):
    out = tmp_path / 'run'
    _refused(_run(f'--out={out}', *arguments), *words)
    assert not (out / 'config.yaml').exists()
