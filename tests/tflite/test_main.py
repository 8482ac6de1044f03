import subprocess
import sys

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, images_for, quantize, quantized_network
from tf_n2uq.tflite.__main__ import main


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A model, the file that was made of it, and images."""
    folder = tmp_path_factory.mktemp('files')
    model = quantized_network('dense_only')
    model.save(folder / 'model.keras')
    (folder / 'model.tflite').write_bytes(tf_n2uq.tflite.convert(model))
    images = images_for(model, 6)
    np.save(folder / 'images.npy', images)
    np.savez(folder / 'images.npz', images=images)
    np.savez(folder / 'two.npz', images=images, labels=np.zeros(6))
    return folder


def _run(*arguments):
    return main([str(argument) for argument in arguments])


def test_the_module_is_a_command(folder, monkeypatch):
    # The tests themselves ask TensorFlow for silence.
    monkeypatch.delenv('TF_CPP_MIN_LOG_LEVEL')
    command = [sys.executable, '-m', 'tf_n2uq.tflite', 'inspect', str(folder / 'model.tflite')]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert 'integer-only   yes' in result.stdout
    # TensorFlow's notices about the processor are left out.
    assert 'TensorFlow binary' not in result.stderr


@pytest.mark.parametrize('images', ['images.npy', 'images.npz'])
def test_compare_prints_the_report(folder, capsys, images):
    assert _run('compare', folder / 'model.keras', folder / 'model.tflite', folder / images) == 0
    shown = capsys.readouterr().out
    assert 'compared       6 images' in shown
    assert '_thresholds' in shown


def test_compare_takes_an_array_for_each_input(tmp_path, capsys):
    photo, size = keras.Input((6, 6, 3), name='photo'), keras.Input((4,), name='size')
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(photo))
    x = keras.layers.Concatenate()([x, keras.layers.Dense(4)(size)])
    model = quantize(keras.Model([photo, size], keras.layers.Dense(2)(x)))
    generator = np.random.default_rng(0)
    images = {'size': generator.normal(size=(5, 4)), 'photo': generator.normal(size=(5, 6, 6, 3))}
    tf_n2uq.calibrate(model, images, verbose=0)
    model.save(tmp_path / 'model.keras')
    (tmp_path / 'model.tflite').write_bytes(tf_n2uq.tflite.convert(model))
    np.savez(tmp_path / 'images.npz', **images)
    assert (
        _run('compare', *map(tmp_path.joinpath, ('model.keras', 'model.tflite', 'images.npz'))) == 0
    )
    assert 'compared       5 images' in capsys.readouterr().out


def test_benchmark_prints_the_latency(folder, capsys):
    assert _run('benchmark', folder / 'model.tflite', '--threads', 2, '--runs', 3) == 0
    assert 'median of 3 runs on 2 threads' in capsys.readouterr().out


def test_convert_writes_the_file_and_keeps_what_is_there(folder, tmp_path, capsys):
    out = tmp_path / 'out.tflite'
    assert _run('convert', folder / 'model.keras', '--out', out, '--input', 'int8') == 0
    assert tf_n2uq.tflite.inspect(out.read_bytes()).inputs[0].type == 'INT8'
    assert f'{out}: {out.stat().st_size:,} bytes' in capsys.readouterr().out
    assert _run('convert', folder / 'model.keras', '--out', out) == 1
    assert 'Give another name, or --force.' in capsys.readouterr().err
    assert tf_n2uq.tflite.inspect(out.read_bytes()).inputs[0].type == 'INT8'
    assert _run('convert', folder / 'model.keras', '--out', out, '--force') == 0
    assert tf_n2uq.tflite.inspect(out.read_bytes()).inputs[0].type == 'FLOAT32'
    assert [path.name for path in tmp_path.iterdir()] == ['out.tflite']


def test_convert_takes_images_for_ranges_that_were_not_trained(folder, tmp_path, capsys):
    model = quantize(float_network('dense_only'), bits=2, tensor_bits=None, boundary_bits=None)
    tf_n2uq.calibrate(model, np.load(folder / 'images.npy'), verbose=0)
    model.save(tmp_path / 'model.h5')
    arguments = ['convert', tmp_path / 'model.h5', '--out', tmp_path / 'out.tflite']
    assert _run(*arguments) == 1
    assert 'representative_dataset: expected data' in capsys.readouterr().err
    assert _run(*arguments, '--images', folder / 'images.npy') == 0
    assert tf_n2uq.tflite.inspect((tmp_path / 'out.tflite').read_bytes()).integer_only


def test_convert_writes_for_the_target_that_is_asked_for(folder, tmp_path):
    out, model = tmp_path / 'out.tflite', folder / 'model.keras'
    assert _run('convert', model, '--out', out, '--target', 'micro') == 0
    expected = tf_n2uq.tflite.convert(keras.models.load_model(model), target='micro')
    assert out.read_bytes() == expected


def test_convert_optimizes_for_what_is_asked_for(folder, tmp_path, capsys):
    out, model = tmp_path / 'out.tflite', folder / 'model.keras'
    assert _run('convert', model, '--out', out, '--optimize_for', 'size') == 0
    network = keras.models.load_model(model)
    assert out.read_bytes() == tf_n2uq.tflite.convert(network, optimize_for='size')
    assert out.read_bytes() != (folder / 'model.tflite').read_bytes()
    arguments = ['convert', model, '--out', out, '--force', '--optimize-for', 'size']
    assert _run(*arguments, '--target', 'micro') == 1
    assert "optimize_for: expected None for target='micro'" in capsys.readouterr().err


def test_convert_takes_the_size_of_images(tmp_path, capsys):
    image = keras.Input((None, None, 3), name='photo')
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    model = quantize(keras.Model(image, keras.layers.Dense(4)(x)))
    tf_n2uq.calibrate(model, np.random.default_rng(0).normal(size=(4, 8, 8, 3)), verbose=0)
    model.save(tmp_path / 'model.keras')
    arguments = ['convert', tmp_path / 'model.keras', '--out', tmp_path / 'out.tflite']
    assert _run(*arguments) == 1
    assert "input_shapes: expected the size of images for input 'photo'" in capsys.readouterr().err
    assert _run(*arguments, '--input-shapes', '10,12,3') == 0
    report = tf_n2uq.tflite.inspect((tmp_path / 'out.tflite').read_bytes())
    assert report.inputs[0].shape == (1, 10, 12, 3)
    with pytest.raises(SystemExit):
        _run(*arguments, '--input-shapes', '10x12')
    assert "such as 96,96,3, got '10x12'" in capsys.readouterr().err


def test_convert_leaves_layers_in_float_if_it_may(tmp_path, capsys):
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3)(image)
    x = keras.layers.Add()([x, keras.layers.ELU(name='elu')(x)])
    model = quantize(keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(x))), bits=2)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    model.save(tmp_path / 'model.keras')
    arguments = ['convert', tmp_path / 'model.keras', '--out', tmp_path / 'out.tflite']
    assert _run(*arguments) == 1
    assert 'got elu (ELU)' in capsys.readouterr().err
    assert _run(*arguments, '--allow-float') == 0
    assert not tf_n2uq.tflite.inspect((tmp_path / 'out.tflite').read_bytes()).integer_only


def test_a_failed_conversion_leaves_the_old_file(folder, tmp_path, capsys):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / 'float.h5')
    out = tmp_path / 'out.tflite'
    out.write_bytes(b'old')
    assert _run('convert', tmp_path / 'float.h5', '--out', out, '--force') == 1
    assert 'expected a quantized model' in capsys.readouterr().err
    assert out.read_bytes() == b'old'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['float.h5', 'out.tflite']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['inspect', 'missing.tflite'], 'No such file'),
        (['inspect', 'images.npy'], 'expected a TFLite file'),
        (['benchmark', 'model.tflite', '--runs', '0'], 'runs: expected at least 1'),
        (['compare', 'images.npy', 'model.tflite', 'images.npy'], 'model: expected a model that'),
        (['compare', 'model.keras', 'model.tflite', 'two.npz'], 'got images, labels in batch 0'),
        (['compare', 'model.keras', 'model.tflite', 'model.tflite'], 'images: expected a .npy'),
        (['convert', 'model.keras', '--out', 'none/out.tflite'], 'folder that is there'),
        (['convert', 'model.keras', '--out', '.', '--force'], 'Give another name.'),
    ],
)
def test_what_is_wrong_is_said_in_a_line(folder, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(folder)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'{arguments[0]}: ')
    assert message in error
    assert 'Traceback' not in error


def test_pickled_objects_are_not_read(folder, tmp_path, capsys):
    np.save(tmp_path / 'objects.npy', np.array([print], object), allow_pickle=True)
    arguments = ['compare', folder / 'model.keras', folder / 'model.tflite']
    assert _run(*arguments, tmp_path / 'objects.npy') == 1
    assert 'allow_pickle=False' in capsys.readouterr().err
