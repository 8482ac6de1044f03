"""What the training script reads: published checkpoints, and ImageNet in each of its forms.

The script runs inside the test's process: to start Python and TensorFlow anew for every file would
take most of the time.
"""

import collections
import os
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import tf_keras as keras
import torch
from absl import flags
from absl.testing import flagsaver

from tests.checkpoints.published import Published
from tests.examples.scripts import imported
from tf_n2uq import checkpoints, models

FORMS = {'folder': 6, 'tfrecords': 1000, 'tfds': 1000}
SETS = [
    'teacher=resnet18', 'batch_size=7', 'image_size=32', 'resize_size=36', 'calibration_images=8',
]  # fmt: skip
TRAIN_LABELS = [0, 1, 2, 3, 4, 5] * 2
VALIDATION_LABELS = [0, 1, 2, 2, 3, 4, 5]
# Two of the seven validation images are of the first of these, six of one of them.
FAVOURITES = [2, 0, 1, 3, 4]
# A run without --teacher_weights has to train one first; none of these tests gets that far.
NO_TEACHER = ['--set=teacher_epochs=1']
MEASURED = 'top-1 28.57%, top-5 85.71%'


@pytest.fixture(scope='module')
def script():
    """The script as a module, which finds its neighbours as it does when it is run."""
    with imported('train_imagenet') as module:
        yield module


@pytest.fixture
def prepare(script):
    """Returns the script's session for a command line, whose flags hold until the test ends."""

    def parse(*arguments, sets=SETS):
        flags.FLAGS(['train_imagenet', *arguments, *(f'--set={pair}' for pair in sets)])
        return script.prepare()

    with flagsaver.flagsaver():
        yield parse


@pytest.fixture
def refused(script, tmp_path):
    """Returns the error with which the script ends; it must not have begun a run."""

    def run(*arguments):
        out = tmp_path / 'run'
        with flagsaver.flagsaver():
            flags.FLAGS(['train_imagenet', f'--out={out}', *arguments])
            with pytest.raises(SystemExit) as ended:
                script.main([])
        assert not (out / 'config.yaml').exists()
        return str(ended.value)

    return run


def _jpeg(label):
    pixels = np.random.default_rng(label).integers(0, 80, (40, 48, 3)) + 30 * label
    return tf.io.encode_jpeg(tf.constant(pixels, tf.uint8)).numpy()


def _write_folder(root):
    for split, labels in (('train', TRAIN_LABELS), ('val', VALIDATION_LABELS)):
        for number, label in enumerate(labels):
            path = root / split / f'n{label:08}' / f'{number}.JPEG'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_jpeg(label))


def _write_tfrecords(root):
    for split, labels in (('train', TRAIN_LABELS), ('validation', VALIDATION_LABELS)):
        with tf.io.TFRecordWriter(str(root / f'{split}-00000-of-00001')) as writer:
            for label in labels:
                image = tf.train.BytesList(value=[_jpeg(label)])
                # The well-known conversion counts from 1.
                number = tf.train.Int64List(value=[label + 1])
                features = {
                    'image/encoded': tf.train.Feature(bytes_list=image),
                    'image/class/label': tf.train.Feature(int64_list=number),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


def _write_tfds(root):
    """Prepares TensorFlow Datasets' own `imagenet2012`, from other images than its archives'."""
    builder = tfds.builder('imagenet2012', data_dir=root)

    def examples(labels):
        for number, label in enumerate(labels):
            image = tf.io.decode_jpeg(_jpeg(label)).numpy()
            yield number, {'file_name': f'{number}.JPEG', 'image': image, 'label': label}

    splits = {'train': examples(TRAIN_LABELS), 'validation': examples(VALIDATION_LABELS)}
    with mock.patch.object(type(builder), '_split_generators', return_value=splits):
        builder.download_and_prepare()


@pytest.fixture(scope='module')
def data_dirs(tmp_path_factory):
    """The same images in each of ImageNet's forms."""
    roots = {form: tmp_path_factory.mktemp(form) for form in FORMS}
    _write_folder(roots['folder'])
    _write_tfrecords(roots['tfrecords'])
    _write_tfds(roots['tfds'])
    return roots


@pytest.fixture(scope='module')
def quantized():
    """What the published code calls a 2-bit network's values; it puts `FAVOURITES` first."""
    state = Published.read('resnet18_w2a2_all').state_dict()
    state['fc.weight'] = np.zeros_like(state['fc.weight'])
    state['fc.bias'] = np.full_like(state['fc.bias'], -1)
    state['fc.bias'][FAVOURITES] = np.arange(len(FAVOURITES), 0, -1)
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


@pytest.fixture(scope='module')
def real(quantized):
    """The float network that the published training starts from, without RPReLUs."""
    only_quantized = re.compile(r'quan|downsample\.0|clip_val|\.zero|prelu|bias\d\d')
    return {name: value for name, value in quantized.items() if not only_quantized.search(name)}


@pytest.fixture(scope='module')
def torchvisions(real):
    """The same under torchvision's names: no quantizer is counted in front of a convolution."""

    def less(match):
        return f'downsample.{int(match[1]) - 1}'

    return {re.sub(r'downsample\.(\d)', less, name): value for name, value in real.items()}


def _save_training(state, path):
    """Writes what the published training writes after an epoch."""
    parallel = collections.OrderedDict((f'module.{name}', v) for name, v in state.items())
    adam = {
        'state': {0: {'step': 2, 'exp_avg': torch.zeros(3)}},
        'param_groups': [{'lr': 1e-3, 'betas': (0.9, 0.999), 'params': [0]}],
    }
    best = torch.tensor([69.4])
    content = {'epoch': 1, 'state_dict': parallel, 'best_top1_acc': best, 'optimizer': adam}
    torch.save(content, path)
    return path


@pytest.mark.parametrize('form', FORMS)
def test_each_form_of_imagenet_gives_the_same_images_and_labels(form, prepare, data_dirs):
    session = prepare('--config=resnet18_w2a2', f'--data_dir={data_dirs[form]}', *NO_TEACHER)
    images, labels = next(iter(session.data.train(first_epoch=0)))
    assert images.shape == (7, 32, 32, 3)
    assert set(labels.numpy()) <= set(TRAIN_LABELS)
    assert (session.data.classes, session.data.steps_per_epoch) == (FORMS[form], 1)
    found = collections.defaultdict(list)
    for images, labels in session.data.validation():
        for image, label in zip(images.numpy(), labels.numpy(), strict=True):
            found[label].append(image.mean())
    assert {label: len(means) for label, means in found.items()} == collections.Counter(
        VALIDATION_LABELS
    )
    # The images of each class are brighter than those of the one before.
    assert all(max(found[label]) < min(found[label + 1]) for label in range(5))


def test_tfrecords_may_count_their_classes_from_0(prepare, data_dirs):
    arguments = '--config=resnet18_w2a2', f'--data_dir={data_dirs["tfrecords"]}', *NO_TEACHER
    session = prepare(*arguments, '--set=label_offset=0', '--set=classes=7')
    assert session.data.classes == 7
    labels = np.concatenate([labels for _, labels in session.data.validation()])
    assert collections.Counter(labels) == collections.Counter(n + 1 for n in VALIDATION_LABELS)


def test_a_published_checkpoint_is_evaluated_on_tfrecords(
    script, prepare, data_dirs, quantized, tmp_path, capsys
):
    path = _save_training(quantized, tmp_path / 'model_best.pth.tar')
    session = prepare(
        '--config=resnet18_w2a2',
        f'--data_dir={data_dirs["tfrecords"]}',
        f'--init_weights={path}',
        '--evaluate',
    )
    script.run(session)
    printed = capsys.readouterr().out
    assert 'Calibrating' not in printed
    assert MEASURED in printed


def test_a_training_starts_from_float_weights_calibrated_on_tensorflow_datasets(
    prepare, data_dirs, real, torchvisions, tmp_path, capsys
):
    # As PyTorch wrote files before 1.6.
    torch.save(torchvisions, tmp_path / 'teacher.pth', _use_new_zipfile_serialization=False)
    torch.save(real, tmp_path / 'real.pth.tar')
    session = prepare(
        '--config=resnet18_w2a2',
        f'--data_dir={data_dirs["tfds"]}',
        f'--teacher_weights={tmp_path / "teacher.pth"}',
        f'--init_weights={tmp_path / "real.pth.tar"}',
        f'--out={tmp_path / "run"}',
    )
    teacher, student, calibrated = session.read_weights()
    session.start(student, teacher, calibrated)
    assert 'Calibrating on 8 images' in capsys.readouterr().out
    saved = checkpoints.save_state_dict(teacher)
    for name, value in torchvisions.items():
        np.testing.assert_array_equal(saved[name], value)
    assert not np.any([v.any() for name, v in saved.items() if 'prelu' in name])
    saved = checkpoints.save_state_dict(student)
    for name in ('conv1.weight', 'layer2.0.downsample.1.weight', 'layer4.1.conv2.weight'):
        np.testing.assert_array_equal(saved[name], real[name])
    scales = np.concatenate([value for name, value in saved.items() if name.endswith('.scale1')])
    assert len(scales) == 19
    assert np.all(scales != 1)


def test_a_checkpoint_of_another_network_is_refused_with_a_list(
    refused, data_dirs, quantized, tmp_path
):
    path = _save_training(quantized, tmp_path / 'other.pth.tar')
    text = refused(
        '--config=resnet18_w2a2',
        f'--data_dir={data_dirs["folder"]}',
        f'--teacher_weights={path}',
        *(f'--set={pair}' for pair in SETS),
    )
    start = "train_imagenet: --teacher_weights: expected float weights of 'resnet18'"
    assert text.startswith(start)
    for words in (
        'for 6 classes',
        str(path),
        '--config',
        'unknown:\n  layer1.0.quan1.start\n  layer1.0.quan1.a\n',
        '\n  fc.weight: expected shape [6, 512], got [1000, 512]\n',
    ):
        assert words in text


class Runs:
    """A pickle of this would make the folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def _pickle(path):
    torch.save({'state_dict': {'conv1.weight': Runs(f'{path}.made')}}, path)


def _lambda(path):
    folder = f'{path}.made'
    model = keras.Sequential(
        [keras.layers.Lambda(lambda x: (__import__('os').mkdir(folder), x)[1])]
    )
    model.build([None, 8])
    model.save(path)
    os.rmdir(folder)


@pytest.mark.parametrize(
    ('flag', 'name', 'write'),
    [
        ('--teacher_weights', 'code.pth.tar', _pickle),
        ('--init_weights', 'code.pth.tar', _pickle),
        ('--teacher_weights', 'code.h5', _lambda),
        ('--teacher_weights', 'code.keras', _lambda),
    ],
)
def test_code_in_a_file_is_refused_and_not_run(flag, name, write, refused, tmp_path):
    path = tmp_path / name
    write(path)
    text = refused('--config=quickstart', f'{flag}={path}')
    assert text.startswith(f'train_imagenet: {flag}: expected')
    assert str(path) in text
    assert not Path(f'{path}.made').exists()


@pytest.mark.parametrize(
    ('flag', 'name', 'content', 'words'),
    [
        ('--teacher_weights', 'none.pth.tar', None, ['No such file', 'Give the path']),
        ('--init_weights', 'none.h5', None, ['No such file', 'Give the path']),
        ('--init_weights', 'a.bin', b'', ['expected a file .pth, .pth.tar, .pt, .keras, .h5']),
        ('--teacher_weights', 'a.pth', b'not one', ['a PyTorch file', 'It was not executed']),
        (
            '--teacher_weights',
            'a.keras',
            b'not one',
            ['tf_keras saved as .keras', 'model.save(path)'],
        ),
        ('--init_weights', 'a.h5', b'not one', ['tf_keras saved as .keras', 'model.save(path)']),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named(flag, name, content, words, refused, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    text = refused('--config=quickstart', f'{flag}={path}')
    assert text.startswith(f'train_imagenet: {flag}: expected')
    for expected in [str(path), *words]:
        assert expected in text


@pytest.mark.parametrize(
    ('bits', 'classes', 'line'),
    [
        (None, 7, r'  logits: expected \[64, 10\], \[10\], got \[64, 7\], \[7\]'),
        (2, 10, r'  stage\w+_thresholds: expected no such layer, got \[1\], \[3\], \[1\], \[1\]'),
    ],
)
def test_a_keras_model_of_another_network_is_refused_with_a_list(
    bits, classes, line, refused, tmp_path
):
    path = tmp_path / 'other.keras'
    models.build('resnet8', bits, input_shape=(8, 8, 1), classes=classes).save(path)
    text = refused('--config=quickstart', f'--teacher_weights={path}')
    start = "train_imagenet: --teacher_weights: expected float weights of 'resnet8'"
    assert text.startswith(start)
    assert re.search(f'layers differ:\n(.*\n)*{line}', text)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--config=resnet18_w2a2', '--data_dir=.'], ['data_dir: expected a folder with train']),
        (['--config=resnet18_w2a2'], ['--data_dir: expected the folder of ImageNet', 'quickstart']),
        (['--set=epoch=2'], ["--set: expected a known key, got 'epoch'", "'epochs'"]),
        (['--config=quickstat'], ["Did you mean 'quickstart'?"]),
        (['--set=teacher_epochs=0'], ['--teacher_weights: expected weights of resnet8']),
        (['--teacher_weights=none.pth'], ['--teacher_weights: expected a file', 'none.pth']),
        (['--evaluate'], ['--out: expected the folder of a run with best.keras']),
        (
            ['--export', f'--teacher_weights={__file__}'],
            ['--teacher_weights: expected a file .pth'],
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(refused, arguments, words):
    message = refused(*arguments)
    for word in words:
        assert word in message
