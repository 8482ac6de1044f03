"""The C++ program of examples/cpp, built with this machine's compiler and run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize

FOLDER = Path(__file__).parents[2] / 'examples' / 'cpp'
HEIGHT, WIDTH = 14, 10
NAMES = ['apple', 'pear', 'plum', 'blood orange', 'Birne']
LITERT = importlib.util.find_spec('ai_edge_litert')
COMPILER = next(filter(None, map(shutil.which, ('c++', 'g++', 'clang++'))), None)

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason='needs a C++ compiler (apt install g++)'),
    pytest.mark.skipif(shutil.which('cmake') is None, reason='needs CMake (apt install cmake)'),
    pytest.mark.skipif(LITERT is None, reason="needs libLiteRt.so (pip install '.[tflite]')"),
]


@pytest.fixture(scope='module')
def program(tmp_path_factory):
    """The program, built as the README says."""
    build = tmp_path_factory.mktemp('build')
    assert LITERT is not None
    assert LITERT.submodule_search_locations is not None
    litert = LITERT.submodule_search_locations[0]
    for command in (
        ['cmake', '-S', FOLDER, '-B', build, f'-DLITERT_DIR={litert}', '-DCMAKE_CXX_FLAGS=-Werror'],
        ['cmake', '--build', build],
    ):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    return build / 'classify'


@pytest.fixture(scope='module')
def model():
    """A calibrated classifier whose first layer takes pixels of 0 to 255."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 3), name='photo'),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(8, 3, strides=2, activation='relu'),
            keras.layers.Conv2D(8, 3, activation='relu'),
            keras.layers.Flatten(),
            keras.layers.Dense(len(NAMES), activation='softmax', name='fruit'),
        ]
    )
    quantized = quantize(network, bits=2)
    tf_n2uq.calibrate(quantized, photos(16).astype(np.float32), verbose=0)
    return quantized


@pytest.fixture(scope='module')
def folder(model, tmp_path_factory):
    """The model and the labels, written as the README says, and a photo."""
    folder = tmp_path_factory.mktemp('classify')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(readme_python(), {'model': model, 'class_names': NAMES})
    (photo,) = photos(1)
    (folder / 'photo.ppm').write_bytes(ppm(photo))
    (folder / 'photo.rgb').write_bytes(photo.tobytes())
    return folder


def readme_python():
    (code,) = re.findall(r'```python\n(.*?)```', (FOLDER / 'README.md').read_text(), re.DOTALL)
    return code


def photos(count):
    return np.random.default_rng(3).integers(0, 256, (count, HEIGHT, WIDTH, 3)).astype(np.uint8)


def ppm(photo, header='P6\n# from a camera\n10 14\n255\n'):
    return header.encode() + photo.tobytes()


def run(program, *arguments):
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def printed(result):
    """The printed labels with their scores, in order."""
    assert result.returncode == 0, result.stderr
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    return [(label, float(score)) for score, label in lines]


def expected(content, photo):
    """What Python's interpreter gives, in the same form."""
    interpreter = tf_n2uq.tflite.make_interpreter(content, 1)
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()['photo']
    scale, zero = details['quantization']
    given = np.clip(np.rint(photo / np.float32(scale)) + zero, 0, 255).astype(np.uint8)
    values = runner(photo=given[np.newaxis])['fruit'][0]
    scale, zero = runner.get_output_details()['fruit']['quantization']
    scores = (values.astype(np.float32) - zero) * np.float32(scale) if scale else values
    order = np.argsort(-scores, kind='stable')
    return [(NAMES[place], pytest.approx(float(scores[place]), abs=1e-6)) for place in order]


@pytest.mark.parametrize('image', ['photo.ppm', 'photo.rgb'])
def test_it_prints_the_labels_and_scores_that_python_computes(program, folder, image):
    content = (folder / 'model.tflite').read_bytes()
    result = run(program, folder / 'model.tflite', folder / 'labels.txt', folder / image, 5)
    assert printed(result) == expected(content, photos(1)[0])


def test_it_prints_three_labels_unless_asked_for_others(program, folder):
    arguments = [folder / 'model.tflite', folder / 'labels.txt', folder / 'photo.ppm']
    everything = printed(run(program, *arguments, 9))
    assert len(everything) == len(NAMES)
    assert printed(run(program, *arguments)) == everything[:3]
    assert printed(run(program, *arguments, 1)) == everything[:1]


@pytest.mark.parametrize('output', [tf.uint8, tf.int8])
def test_scores_of_integers_become_numbers(program, folder, model, tmp_path, output):
    content = tf_n2uq.tflite.convert(
        model, inference_input_type=tf.uint8, inference_output_type=output
    )
    (tmp_path / 'model.tflite').write_bytes(content)
    arguments = [tmp_path / 'model.tflite', folder / 'labels.txt', folder / 'photo.rgb', 5]
    assert printed(run(program, *arguments)) == expected(content, photos(1)[0])


def test_bytes_are_brought_into_the_range_that_the_network_was_calibrated_on(
    program, folder, model, tmp_path
):
    darker = keras.models.clone_model(model)
    darker.set_weights(model.get_weights())
    (layer,) = (each for each in darker.layers if each.name == 'photo_range')
    layer.quantizer_weights['max'].assign(180.0)
    content = tf_n2uq.tflite.convert(darker, inference_input_type=tf.uint8)
    assert tf_n2uq.tflite.inspect(content).inputs[0].scale == pytest.approx(180 / 255)
    (tmp_path / 'model.tflite').write_bytes(content)
    arguments = [tmp_path / 'model.tflite', folder / 'labels.txt', folder / 'photo.rgb', 5]
    assert printed(run(program, *arguments)) == expected(content, photos(1)[0])


def test_labels_may_have_the_line_ends_of_windows(program, folder, tmp_path):
    (tmp_path / 'labels.txt').write_bytes('\r\n'.join(NAMES).encode())
    result = run(program, folder / 'model.tflite', tmp_path / 'labels.txt', folder / 'photo.ppm')
    assert {label for label, _ in printed(result)} <= set(NAMES)


WRONG_FILES = {
    'no model': ('model.tflite', None, 'The model .*model.tflite cannot be read, or is empty.'),
    'an empty model': ('model.tflite', b'', 'The model .* cannot be read, or is empty.'),
    'another file as a model': ('model.tflite', b'text' * 100, 'is no whole TFLite file'),
    'no labels': ('labels.txt', None, 'The file of labels .* cannot be read'),
    'too few labels': ('labels.txt', b'a\nb\n', 'has 2 labels, but the model has 5 classes.'),
    'too many labels': ('labels.txt', b'a\n' * 6, 'has 6 labels, but the model has 5 classes.'),
    'no image': ('photo.ppm', None, 'The image .* cannot be read, or is empty.'),
    'an image of another size': (
        'photo.ppm',
        ppm(np.zeros((10, 14, 3), np.uint8), 'P6 14 10 255\n'),
        'has 14x10 pixels of 0 to 255, but the model takes 10x14 pixels of 3 bytes of 0 to 255.',
    ),
    'an image of 16 bits': (
        'photo.ppm',
        ppm(np.zeros((HEIGHT, WIDTH, 3), np.uint16), 'P6 10 14 65535\n'),
        'pixels of 0 to 65535, but the model takes',
    ),
    'an image without its end': (
        'photo.ppm',
        ppm(np.zeros((HEIGHT, WIDTH, 3), np.uint8))[:-20],
        'ends before its last pixel.',
    ),
    'an image of gray': (
        'photo.ppm',
        ppm(np.zeros((HEIGHT, WIDTH), np.uint8), 'P5 10 14 255\n'),
        'needs to be a binary PPM or PGM file, or 10x14 pixels of 3 bytes',
    ),
    'a header without numbers': ('photo.ppm', b'P6', 'has 0x0 pixels of 0 to 0'),
}


@pytest.mark.parametrize('wrong', WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_an_error_in_a_sentence(program, folder, tmp_path, wrong):
    name, content, message = wrong
    files = {each: folder / each for each in ('model.tflite', 'labels.txt', 'photo.ppm')}
    files[name] = tmp_path / name
    if content is not None:
        files[name].write_bytes(content)
    check_refused(run(program, *files.values()), message)


def check_refused(result, message):
    assert result.returncode == 1
    assert result.stdout == ''
    assert re.search(message, result.stderr.splitlines()[-1]), result.stderr


@pytest.mark.parametrize('kept', [8, 0.1, 0.5, 0.9, -1])
def test_a_truncated_model_is_refused(program, folder, tmp_path, kept):
    content = (folder / 'model.tflite').read_bytes()
    size = int(kept * len(content)) if isinstance(kept, float) else kept
    (tmp_path / 'model.tflite').write_bytes(content[:size])
    result = run(program, tmp_path / 'model.tflite', folder / 'labels.txt', folder / 'photo.ppm')
    check_refused(result, 'is no whole TFLite file')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'needs one uint8 image as its input: convert it with inference_input_type=tf.uint8'),
        ({'inference_input_type': tf.uint8, 'batch_size': 2}, 'needs one uint8 image'),
    ],
    ids=['a float input', 'two images'],
)
def test_a_model_of_another_form_is_refused(program, folder, model, tmp_path, options, message):
    (tmp_path / 'model.tflite').write_bytes(tf_n2uq.tflite.convert(model, **options))
    result = run(program, tmp_path / 'model.tflite', folder / 'labels.txt', folder / 'photo.ppm')
    check_refused(result, message)


@pytest.mark.parametrize('arguments', [[], ['a'], ['a', 'b', 'c', 'd', 'e']])
def test_other_numbers_of_arguments_are_refused(program, arguments):
    check_refused(run(program, *arguments), '^Call: classify model.tflite labels.txt image.ppm')


@pytest.mark.parametrize('count', ['', '-1', 'all', '99999'])
def test_what_is_no_number_of_labels_is_refused(program, folder, count):
    files = [folder / 'model.tflite', folder / 'labels.txt', folder / 'photo.ppm']
    check_refused(run(program, *files, count), 'The number of labels needs to be 0 to 9999')


def test_without_the_library_the_build_says_where_to_find_it(tmp_path):
    command = ['cmake', '-S', FOLDER, '-B', tmp_path / 'build', f'-DLITERT_DIR={tmp_path}']
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert 'libLiteRt.so is not in LITERT_DIR' in result.stderr
