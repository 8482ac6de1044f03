"""The Kotlin app of examples/android: its syntax, and its steps done in Python.

Building the app needs the Android SDK, which the tests do without.
"""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'examples' / 'android'
KOTLIN = sorted(FOLDER.rglob('*.kt'))
SCRIPTS = sorted(FOLDER.rglob('*.kts'))
TEXT = {path.name: path.read_text(encoding='utf-8') for path in (*KOTLIN, *SCRIPTS)}
MAKE, MEND = re.findall(
    r'```python\n(.*?)```', (FOLDER / 'README.md').read_text(encoding='utf-8'), re.DOTALL
)
ANDROID = '{http://schemas.android.com/apk/res/android}'
SIDE = 16
NAMES = ['apple', 'pear', 'plum']
needs_parser = pytest.mark.skipif(
    importlib.util.find_spec('tree_sitter_kotlin') is None,
    reason="needs tree-sitter-kotlin (pip install '.[dev]')",
)


def syntax_errors(code):
    """The lines of Kotlin code at which the parser stumbles."""
    import tree_sitter
    import tree_sitter_kotlin

    language = tree_sitter.Language(tree_sitter_kotlin.language())
    pending = [tree_sitter.Parser(language).parse(code.encode()).root_node]
    lines = []
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            lines.append(node.start_point[0] + 1)
        pending.extend(node.children)
    return lines


@needs_parser
@pytest.mark.parametrize('path', [*KOTLIN, *SCRIPTS], ids=lambda path: path.name)
def test_the_kotlin_code_has_no_syntax_error(path):
    code = path.read_text(encoding='utf-8')
    assert syntax_errors(code) == []
    # The parser does find errors in this file.
    place = code.rindex('}')
    assert syntax_errors(code[:place] + code[place + 1 :])
    assert syntax_errors(code.replace('=', '= =', 1))


@pytest.mark.parametrize('path', KOTLIN, ids=lambda path: path.name)
def test_a_file_lies_in_the_folder_of_its_package(path):
    (package,) = re.findall(r'^package ([\w.]+)$', TEXT[path.name], re.MULTILINE)
    assert path.parent.relative_to(FOLDER / 'src/main/kotlin').parts == tuple(package.split('.'))
    assert f'namespace = "{package}"' in TEXT['build.gradle.kts']


def test_the_manifest_names_the_activity_and_asks_for_the_camera():
    manifest = ET.parse(FOLDER / 'src/main/AndroidManifest.xml').getroot()
    (activity,) = manifest.iter('activity')
    name = activity.attrib[f'{ANDROID}name'].removeprefix('.')
    assert re.search(rf'^class {name} :', TEXT[f'{name}.kt'], re.MULTILINE)
    permissions = {each.get(f'{ANDROID}name') for each in manifest.iter('uses-permission')}
    assert permissions == {'android.permission.CAMERA'}
    actions = [each.get(f'{ANDROID}name') for each in activity.iter('action')]
    assert actions == ['android.intent.action.MAIN']


def test_every_dependency_has_an_exact_version():
    dependencies = re.findall(r'implementation\("(.+?)"\)', TEXT['build.gradle.kts'])
    assert dependencies
    for dependency in dependencies:
        assert re.fullmatch(r'[\w.]+:[\w-]+:\d+\.\d+\.\d+', dependency), dependency


def test_androids_gradle_plugin_compresses_the_model():
    (model,) = re.findall(r'const val MODEL = "(.+)"', TEXT['Classifier.kt'])
    assert not model.endswith('.tflite')
    assert 'noCompress(' not in TEXT['build.gradle.kts']


def classifier(brightest=255):
    """A calibrated classifier of square images. No pixel is brighter than a number."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3), name='photo'),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(8, 3, strides=2, activation='relu'),
            keras.layers.Flatten(),
            keras.layers.Dense(len(NAMES), activation='softmax'),
        ]
    )
    model = quantize(network, bits=4)
    images = np.random.default_rng(3).integers(0, brightest + 1, (16, SIDE, SIDE, 3))
    images[0, 0, 0] = (0, brightest, brightest)
    tf_n2uq.calibrate(model, images.astype(np.float32), verbose=0)
    return model


def made(model, folder, monkeypatch):
    """Runs the README's code; returns the folder of the assets."""
    assets = folder / 'examples/android/src/main/assets'
    assets.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    exec(MAKE, {'model': model, 'class_names': NAMES})
    return assets


def test_the_readme_makes_the_assets_that_the_app_opens(tmp_path, monkeypatch, capsys):
    assets = made(classifier(), tmp_path, monkeypatch)
    opened = set(re.findall(r'const val \w+ = "(.+)"', TEXT['Classifier.kt']))
    assert {path.name for path in assets.iterdir()} == opened
    assert (assets / 'labels.txt').read_text().splitlines() == NAMES
    shown = capsys.readouterr().out
    assert shown == f'photo: UINT8 [1, {SIDE}, {SIDE}, 3], scale 1, zero 0\n'


def test_the_steps_of_the_app_give_what_keras_gives(tmp_path, monkeypatch):
    compiled_model = pytest.importorskip('ai_edge_litert.compiled_model')
    model = classifier()
    assets = made(model, tmp_path, monkeypatch)
    litert = compiled_model.CompiledModel.from_file(str(assets / 'model.lite'))
    (source,), (result,) = litert.create_input_buffers(0), litert.create_output_buffers(0)
    pixels = np.random.default_rng(5).integers(0, 256, 3 * SIDE * SIDE).astype(np.uint8)
    source.write(pixels)
    litert.run_by_index(0, [source], [result])
    scores = result.read(len(NAMES), np.float32)
    expected = model(pixels.reshape(1, SIDE, SIDE, 3).astype(np.float32))[0]
    np.testing.assert_allclose(scores, expected, atol=2 / 256)
    # The app compares the number of scores with that of the labels.
    report = tf_n2uq.tflite.inspect((assets / 'model.lite').read_bytes())
    assert report.outputs[0].type == 'FLOAT32'
    assert report.outputs[0].shape == (1, len(NAMES))


def test_the_readme_mends_the_range_of_a_network_that_saw_no_white(tmp_path, monkeypatch, capsys):
    model = classifier(brightest=200)
    made(model, tmp_path, monkeypatch)
    assert 'scale 0.784314' in capsys.readouterr().out
    exec(MEND, {'model': model})
    made(model, tmp_path, monkeypatch)
    assert 'scale 1, zero 0' in capsys.readouterr().out


def test_a_file_of_few_bits_is_a_lot_smaller_in_the_package():
    network = keras.Sequential(
        [
            keras.Input((8, 8, 64)),
            keras.layers.Conv2D(64, 1, activation='relu'),
            keras.layers.Conv2D(256, 3, activation='relu'),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    model = quantize(network, bits=2)
    images = np.random.default_rng(0).random((4, 8, 8, 64)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    report = tf_n2uq.tflite.inspect(tf_n2uq.tflite.convert(model))
    assert report.deflated_bytes < report.file_bytes / 2
