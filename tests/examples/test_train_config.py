import dataclasses

import pytest

import tf_n2uq
from tests.examples.scripts import EXAMPLES, imported

MINIMAL = 'dataset: digits\nmodel: resnet8\nbits: 2\nteacher: resnet8\n'
PUBLISHED = sorted(EXAMPLES.parent.glob('configs/*_w[0-9]a*.yaml'))
ADABITS = sorted(EXAMPLES.parent.glob('configs/*_adabits*.yaml'))
LABELS = 'dataset: digits\nmodel: resnet8\nbits: [4, 2]\ntarget: labels\n'


@pytest.fixture(scope='module')
def configs():
    """The module `train_config`, imported as the scripts beside it do."""
    with imported('train_config') as module:
        yield module


def test_there_is_a_config_for_each_published_row(configs):
    rows = {
        f'resnet{depth}_w{bits}a{bits}{ending}'
        for depth in (18, 34, 50)
        for bits in (2, 3, 4)
        for ending in ('', '_fpdown')
    }
    assert {path.stem for path in PUBLISHED} == rows | {'mobilenet_v2_w4a4'}


def test_the_published_accuracies_have_one_row_for_each_config():
    text = (EXAMPLES.parent / 'docs' / 'published.md').read_text(encoding='utf-8')
    for path in PUBLISHED:
        assert text.count(f'| `{path.stem}` |') == 1


@pytest.mark.parametrize('path', PUBLISHED, ids=lambda path: path.stem)
def test_config_is_the_published_recipe_of_its_name(configs, path):
    config = configs.read_config(path.read_text())
    assert path.stem.startswith(f'{config.model}_w{config.bits}a{config.bits}')
    assert config.quantize_downsample == ('fpdown' not in path.stem)
    recipe = configs.TrainConfig(
        'imagenet', config.model, config.bits, 'resnet101', config.quantize_downsample
    )
    assert config == recipe
    assert (config.epochs, config.scaled_learning_rate) == (128, 1.25e-3)


@pytest.mark.parametrize('name', ['quickstart', 'quickstart_adabits'])
def test_quickstart_needs_no_data(configs, name):
    config = configs.read_config(configs.find_config(name).read_text())
    assert config.dataset == 'digits'
    assert config.teacher_epochs > 0


def test_every_config_is_tested(configs):
    stems = {path.stem for path in EXAMPLES.parent.glob('configs/*.yaml')}
    assert stems == {path.stem for path in (*PUBLISHED, *ADABITS)} | {'quickstart'}


@pytest.mark.parametrize(
    ('name', 'model', 'bits', 'method'),
    [
        ('mobilenet_v1_adabits', 'mobilenet_v1', (8, 6, 5, 4), 'sat'),
        ('mobilenet_v2_adabits', 'mobilenet_v2_relu', (8, 6, 5, 4), 'sat'),
        ('resnet20_cifar10_adabits', 'resnet20', (5, 4, 3), 'sat'),
        ('resnet56_cifar10_adabits', 'resnet56', (5, 4, 3), 'sat'),
        ('resnet110_cifar10_adabits', 'resnet110', (5, 4, 3), 'sat'),
        ('resnet20_cifar10_adabits_n2uq', 'resnet20', (4, 3, 2), 'n2uq'),
    ],
)
def test_adabits_configs_are_its_recipe(configs, name, model, bits, method):
    config = configs.read_config(configs.find_config(name).read_text())
    assert (config.model, config.bits, config.method) == (model, bits, method)
    assert (config.target, config.teacher) == ('labels', None)
    assert (config.optimizer, config.momentum, config.learning_rate) == ('sgd', 0.9, 0.1)
    decays = (config.decay_depthwise, config.decay_normalization, config.decay_quantizers)
    assert decays == (False, False, False)
    assert config.rescale == ('constant' if method == 'sat' else None)
    assert config.threshold_rate == (1.0 if method == 'sat' else 0.1)
    assert (config.is_adaptive, config.monitor) == (True, 'val_loss')
    expected: tuple
    if model.startswith('mobilenet'):
        expected = ('imagenet', 150, 256, 4e-5, 'cosine', (), True)
    else:
        expected = ('tfds:cifar10', 200, 128, 1e-4, 'steps', (100, 150), False)
        assert config.augment
        assert config.mirror
    assert expected == (
        config.dataset, config.epochs, config.batch_size, config.weight_decay, config.schedule,
        config.steps_at, config.input_integers,
    )  # fmt: skip
    assert config.scaled_learning_rate == 0.1


@pytest.mark.parametrize('path', [*PUBLISHED, *ADABITS], ids=lambda path: path.stem)
def test_no_config_has_levels_that_its_method_warns_of(configs, path, caplog):
    config = configs.read_config(path.read_text())
    if config.is_adaptive:
        tf_n2uq.AdaBitsScheme(config.bits, config.method, **config.method_options)
    else:
        tf_n2uq.method(config.method).scheme(config.bits, **config.method_options)
    assert not caplog.messages


def test_the_methods_of_a_config_are_those_that_are_registered(configs):
    for method in tf_n2uq.methods():
        config = configs.read_config(MINIMAL, [f'method={method.name}'])
        assert config.method_options == {}


def test_several_bit_widths_are_written_and_read_back(configs):
    config = configs.read_config(LABELS, ['schedule=steps', 'steps_at=[2, 5]'])
    assert configs.read_config(config.to_yaml()) == config
    assert (config.bits, config.steps_at) == ((4, 2), (2, 5))
    assert config.bits_in_words == '4 and 2 bits'
    three = configs.read_config(LABELS, ['bits=[8, 4, 2]'])
    assert three.bits_in_words == '8, 4 and 2 bits'
    assert configs.differences(config, three)[0] == 'bits: (4, 2), (8, 4, 2)'
    assert configs.read_config(MINIMAL).bits_in_words == '2 bits'


def test_what_is_monitored_is_recorded(configs):
    assert 'monitor: val_accuracy\n' in configs.read_config(MINIMAL).to_yaml()
    assert 'monitor: val_loss\n' in configs.read_config(LABELS).to_yaml()
    assert configs.read_config(LABELS, ['monitor=val_accuracy_2bit']).monitor.endswith('2bit')


def test_learning_rate_grows_with_the_batch(configs):
    config = configs.read_config(MINIMAL, ['batch_size=512'])
    assert config.scaled_learning_rate == pytest.approx(2.5e-3)


def test_written_config_reads_back(configs):
    config = configs.read_config(MINIMAL, ['learning_rate=1e-5', 'steps_per_epoch=null'])
    assert configs.read_config(config.to_yaml()) == config
    assert config.learning_rate == 1e-5
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.bits = 3


def test_the_last_override_of_a_key_wins(configs):
    config = configs.read_config(MINIMAL, ['bits=3', 'bits=4', 'precision=mixed_bfloat16'])
    assert (config.bits, config.precision) == (4, 'mixed_bfloat16')


@pytest.mark.parametrize(
    ('text', 'overrides', 'words'),
    [
        (MINIMAL + 'epoch: 3\n', [], r"expected a known key, got 'epoch'. Did you mean 'epochs'\?"),
        (MINIMAL, ['learning_rat=1'], r"--set: .* Did you mean 'learning_rate'\?"),
        (MINIMAL, ['bits'], r"--set: expected key=value, got 'bits'"),
        (MINIMAL, ['bits=two'], r"bits: expected int or a list of int, got 'two' \(str\)"),
        (MINIMAL, ['bits=true'], r'bits: expected int or a list of int, got True \(bool\)'),
        (MINIMAL, ['bits=1'], 'bits: expected at least 2, got 1'),
        (MINIMAL, ['bits=[4, 1]'], 'bits: expected at least 2, got 1'),
        (MINIMAL, ['bits=[4, a]'], r"bits: expected int or a list of int, got \[4, 'a'\] \(list"),
        (MINIMAL, ['bits=[2, 4]'], r'bits: .* from the highest to the lowest .* got \[2, 4\]'),
        (MINIMAL, ['bits=[]'], r'bits: expected a number, or a list .* got \[\]'),
        (MINIMAL, ['method=int8'], "method: expected one of dorefa, lsq, .* got 'int8'"),
        (MINIMAL, ['target=label'], "target: expected one of teacher, labels, got 'label'"),
        (MINIMAL, ['optimizer=rmsprop'], 'optimizer: expected one of adam, sgd'),
        (MINIMAL, ['schedule=step'], 'schedule: expected one of linear, cosine, steps'),
        (MINIMAL, ['schedule=steps'], r'steps_at: expected rising .* got \[\] with steps'),
        (MINIMAL, ['steps_at=[3]'], r'steps_at: .* and none with another, got \[3\] with linear'),
        (MINIMAL, ['schedule=steps', 'steps_at=[5, 3]'], r'steps_at: expected rising'),
        (MINIMAL, ['rescale=constant'], "rescale: expected null with the method 'n2uq'"),
        (MINIMAL, ['method=lsq', 'levels=original'], "levels: .*'lsq', .* give method: sat"),
        (MINIMAL, ['method=sat', 'levels=all'], "levels: expected one of original, .* got 'all'"),
        (MINIMAL, ['method=sat', 'rescale=no'], 'rescale: expected str or null, got False'),
        (MINIMAL, ['mirror=true', 'augment=false'], 'mirror: expected false without augment'),
        (MINIMAL, ['teacher=null'], 'teacher: expected the network .* got null.*target: labels'),
        (MINIMAL, ['target=labels'], 'target: expected teacher, as there is a teacher'),
        (LABELS, ['teacher_epochs=1'], 'target: expected teacher, as there is a teacher'),
        (MINIMAL, ['epochs=1.5'], r'epochs: expected int, got 1.5 \(float\)'),
        (MINIMAL, ['steps_per_epoch=a'], "steps_per_epoch: expected int or null, got 'a'"),
        (MINIMAL, ['augment=1'], r'augment: expected bool, got 1 \(int\)'),
        (MINIMAL, ['learning_rate=fast'], "learning_rate: expected float, got 'fast'"),
        (MINIMAL, ['learning_rate=0'], 'learning_rate: expected above 0'),
        (MINIMAL, ['learning_rate=.nan'], 'learning_rate: expected above 0'),
        (MINIMAL, ['precision=int8'], 'precision: expected one of float32'),
        (MINIMAL, ['model=[a]'], r"model: expected str, got \['a'\]"),
        ('dataset: digits\n', [], 'expected the keys model, bits, which are missing'),
        ('- a\n', [], 'expected lines of `key: value`'),
        ('a: [\n', [], 'expected YAML'),
        ('model: !!python/object/apply:os.system [id]\n', [], 'expected YAML without tags'),
    ],
)
def test_wrong_configurations_are_named(configs, text, overrides, words):
    with pytest.raises(ValueError, match=words):
        configs.read_config(text, overrides)


def test_unknown_config_names_the_nearest(configs):
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'resnet18_w2a2'\?"):
        configs.find_config('resnet18_w2a')


def test_differences_name_both_values(configs):
    one, other = configs.read_config(MINIMAL), configs.read_config(MINIMAL, ['bits=3'])
    assert configs.differences(one, other) == ['bits: 2, 3']
    assert configs.differences(one, one) == []


def test_resumed_run_keeps_its_configuration(configs):
    config = configs.read_config(MINIMAL)
    configs.check_resumed(config, None)
    configs.check_resumed(config, config.to_yaml())
    with pytest.raises(ValueError, match='--resume: .*epochs: 5, 128.*--init_weights'):
        configs.check_resumed(config, MINIMAL + 'epochs: 5\n')
