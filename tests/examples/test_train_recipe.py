"""AdaBits' recipes in the training script: several bit-widths, labels, SGD, CIFAR-10.

The script runs inside the test's process, which saves starting TensorFlow for every call.
"""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import tensorflow_model_optimization as tfmot
from absl import flags
from absl.testing import flagsaver

import tf_n2uq
from tests.examples.scripts import imported

SMALL = ['width=0.125', 'calibration_images=32']
TINY = [
    *SMALL, 'bits=[4, 2]', 'target=labels', 'teacher=null', 'teacher_epochs=0', 'epochs=1',
    'steps_per_epoch=2', 'tflite_images=8', 'rescale=constant',
]  # fmt: skip


@pytest.fixture(scope='module')
def script():
    """The script as a module, which finds its neighbours as it does when it is run."""
    with imported('train_imagenet') as module:
        yield module


@pytest.fixture
def prepare(script):
    """Returns the script's session for a command line, whose flags hold until the test ends."""

    def parse(*arguments, sets=()):
        flags.FLAGS.unparse_flags()
        flags.FLAGS(['train_imagenet', *arguments, *(f'--set={pair}' for pair in sets)])
        return script.prepare()

    with flagsaver.flagsaver():
        yield parse


@pytest.fixture(scope='module')
def adaptive_run(script, tmp_path_factory):
    """A run of two bit-widths that learned labels, and what was printed."""
    out = tmp_path_factory.mktemp('adaptive') / 'run'
    with flagsaver.flagsaver():
        sets = [f'--set={pair}' for pair in TINY]
        flags.FLAGS(['train_imagenet', '--config=quickstart_adabits', f'--out={out}', *sets])
        script.run(script.prepare())
    return out


@pytest.fixture(scope='module')
def cifar_dir(tmp_path_factory):
    """TensorFlow Datasets' own `cifar10`, with other images than its archive's."""
    root = tmp_path_factory.mktemp('tfds')
    builder = tfds.builder('cifar10', data_dir=root)

    def examples(split, number):
        for index in range(number):
            image = np.zeros((32, 32, 3), np.uint8)
            # Bright in the left half, so that mirror images are told apart.
            image[:, :16] = 200
            yield f'{split}_{index}', {'id': f'{index}', 'image': image, 'label': index % 10}

    splits = {'train': examples('train', 40), 'test': examples('test', 10)}
    with mock.patch.object(type(builder), '_split_generators', return_value=splits):
        builder.download_and_prepare()
    return root


@pytest.mark.slow
def test_an_adaptive_run_writes_a_file_and_an_accuracy_for_each_bit_width(adaptive_run):
    names = {path.name for path in adaptive_run.iterdir()}
    assert {'best_4bit.tflite', 'best_2bit.tflite', 'best.keras', 'summary.md'} <= names
    assert not names & {'teacher', 'model.tflite'}
    assert list((adaptive_run / 'tensorboard').rglob('events*'))
    (row,) = tf_n2uq.training.read_metrics(adaptive_run / 'metrics.jsonl')
    assert row['val_loss'] == pytest.approx(row['val_loss_4bit'] + row['val_loss_2bit'], rel=1e-4)
    summary = (adaptive_run / 'summary.md').read_text()
    for words in ('resnet8, 4 and 2 bits, sat', 'none, labels', 'best epoch by val_loss'):
        assert words in summary
    for bits in (4, 2):
        assert f'| val_accuracy_{bits}bit | ' in summary
        assert f'| top-1 of the file, {bits} bits | ' in summary
        content = (adaptive_run / f'best_{bits}bit.tflite').read_bytes()
        assert tf_n2uq.tflite.inspect(content).integer_only


@pytest.mark.slow
def test_an_adaptive_run_is_measured_and_exported_again(
    script, prepare, adaptive_run, tmp_path, capsys
):
    (row,) = tf_n2uq.training.read_metrics(adaptive_run / 'metrics.jsonl')
    best = adaptive_run / 'best.keras'
    arguments = ['--config=quickstart_adabits', f'--init_weights={best}', f'--out={tmp_path}']
    script.run(prepare('--evaluate', *arguments, sets=TINY))
    printed = capsys.readouterr().out
    for bits in (4, 2):
        assert f'{bits} bits: top-1 {row[f"val_accuracy_{bits}bit"]:.2%}' in printed
    with pytest.raises(ValueError, match=r'without best_4bit.tflite, best_2bit.tflite.*--resume'):
        prepare('--export', f'--out={adaptive_run}')


def test_one_bit_width_of_another_method_starts_from_float_weights(prepare, tmp_path):
    sets = [*TINY, 'bits=3', 'rescale=null', 'levels=null', 'method=pact']
    session = prepare('--config=quickstart_adabits', f'--out={tmp_path / "run"}', sets=sets)
    network = session.networks.float_student()
    path = tmp_path / 'float.keras'
    network.save(path)
    student = session.networks.student()
    assert not session.networks.load_student(student, str(path), '--init_weights')
    # PACT fits the normalizations to its larger kernels, in place of copying them.
    expected = tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(network), scheme=tf_n2uq.PACTScheme(3)
    )
    for found, wanted in zip(student.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert type(session.recipe.student(student, None)) is type(student)


def test_levels_and_rescaling_reach_the_kernels(prepare, tmp_path):
    session = prepare('--config=quickstart_adabits', f'--out={tmp_path / "run"}', sets=TINY)
    kernels = [
        quantizer.quantizers[2]
        for layer in session.networks.student().layers
        if isinstance(layer, tf_n2uq.layers.QuantizedKernel)
        for _, quantizer, _ in layer.kernel_quantizers
        if isinstance(quantizer, tf_n2uq.quantizers.AdaptiveQuantizer)
    ]
    assert kernels
    for quantizer in kernels:
        assert isinstance(quantizer, tf_n2uq.quantizers.DoReFaQuantizer)
        assert (quantizer.level_scheme, quantizer.rescale) == ('centered_symmetric', 'constant')


def test_quantizers_learn_at_a_rate_of_their_own_whatever_their_variables_are_called(
    prepare, tmp_path
):
    sets = [
        *SMALL, 'bits=3', 'method=lsq_plus', 'levels=null', 'threshold_rate=0.5', 'optimizer=adam',
    ]  # fmt: skip
    session = prepare('--config=quickstart_adabits', f'--out={tmp_path / "run"}', sets=sets)
    student = session.networks.student()
    optimizer = session.recipe.student(student, session.networks.teacher()).optimizer
    assert optimizer.get_config()['multipliers'] == [[{'group': 'quantizer_parameters'}, 0.5]]
    group = tf_n2uq.training.VariableGroup.QUANTIZER_PARAMETERS
    learned = [v.name for v in student.trainable_variables if group.holds(v)]
    assert any(name.endswith('_offset:0') for name in learned)


def test_an_adaptive_network_starts_from_its_teacher(prepare, tmp_path):
    sets = [*SMALL, 'teacher_epochs=1', 'bits=[4, 2]']
    session = prepare('--config=quickstart_adabits', f'--out={tmp_path / "run"}', sets=sets)
    teacher, student, calibrated = session.read_weights()
    normalization = teacher.get_layer('stem_bn')
    normalization.moving_mean.assign_add(tf.ones_like(normalization.moving_mean))
    session.start(student, teacher, calibrated)
    for bits in (4, 2):
        own = student.get_layer('stem_bn').at(bits)
        # Calibration corrects it a little.
        np.testing.assert_allclose(own.moving_mean, normalization.moving_mean, atol=0.05)
    trainer = session.recipe.student(student, teacher)
    assert isinstance(trainer, tf_n2uq.training.AdaptiveTraining)


def test_only_kernels_decay_in_adabits_recipe(prepare, tmp_path):
    folder = tmp_path / 'data'
    for split in ('train', 'val'):
        (folder / split / 'n1').mkdir(parents=True)
        image = tf.io.encode_jpeg(tf.zeros([40, 40, 3], tf.uint8)).numpy()
        (folder / split / 'n1' / '0.JPEG').write_bytes(image)
    sets = [*SMALL, 'batch_size=1', 'image_size=32', 'resize_size=36', 'bits=[8, 4]']
    session = prepare(
        '--config=mobilenet_v1_adabits',
        f'--data_dir={folder}',
        f'--out={tmp_path / "run"}',
        sets=sets,
    )
    student = session.networks.student()
    optimizer = session.recipe.student(student, None).optimizer
    assert isinstance(optimizer, tf_n2uq.training.L2SGD)
    optimizer.build(student.trainable_variables)
    decayed = {v.name for v in student.trainable_variables if optimizer.decays(v)}
    pointwise = {f'quant_block{number}_pointwise/kernel:0' for number in range(1, 14)}
    assert decayed == pointwise | {'quant_stem/kernel:0', 'quant_logits/kernel:0'}
    assert float(optimizer.learning_rate) == pytest.approx(0.1 / 256)


@pytest.mark.parametrize('input_integers', [True, False])
def test_images_of_imagenet_are_whole_levels_where_that_is_asked_for(
    prepare, tmp_path, input_integers
):
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3))
    for split in ('train', 'val'):
        (tmp_path / split / 'n1').mkdir(parents=True)
        image = tf.io.encode_jpeg(tf.constant(noise, tf.uint8)).numpy()
        (tmp_path / split / 'n1' / '0.JPEG').write_bytes(image)
    sets = [
        'batch_size=1', 'image_size=32', 'resize_size=36', f'input_integers={input_integers}',
    ]  # fmt: skip
    session = prepare('--config=mobilenet_v2_adabits', f'--data_dir={tmp_path}', sets=sets)
    batches = (session.data.train(0), session.data.validation(), session.data.calibration())
    for (images, _), *_ in (batch.take(1) for batch in batches):
        levels = 255 * images.numpy().astype(np.float64)
        whole = np.abs(levels - np.round(levels)).max() < 1e-4
        assert whole == input_integers
        assert (levels.min() >= 0) == input_integers


def test_cifar10_is_shifted_and_mirrored(prepare, cifar_dir):
    session = prepare(
        '--config=resnet20_cifar10_adabits', f'--data_dir={cifar_dir}', '--set=batch_size=36'
    )
    assert (session.data.classes, session.data.input_shape) == (10, (32, 32, 3))
    ((images, _),) = session.data.train(0).as_numpy_iterator()
    # The padding is black, as the right half is.
    mirrored = images[:, 16, 2:14].mean((1, 2)) < images[:, 16, 18:30].mean((1, 2))
    assert 0.2 < mirrored.mean() < 0.8
    assert len({tuple(image[:, 10, 0] > 0) for image in images}) > 4
    ((images, _),) = session.data.validation().as_numpy_iterator()
    assert len(images) == 4
    np.testing.assert_array_equal(np.unique(np.round(255 * images)), [0, 200])


def test_a_teacher_beside_labels_is_refused(prepare, tmp_path):
    weights = tmp_path / 'teacher.keras'
    weights.write_bytes(b'')
    with pytest.raises(ValueError, match='--teacher_weights: expected none, because .* labels'):
        prepare('--config=quickstart_adabits', f'--teacher_weights={weights}', sets=TINY)
