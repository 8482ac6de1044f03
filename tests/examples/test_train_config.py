import dataclasses
import importlib
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / 'examples'
MINIMAL = 'dataset: digits\nmodel: resnet8\nbits: 2\nteacher: resnet8\n'
PUBLISHED = sorted(set(EXAMPLES.parent.glob('configs/*.yaml')) - {
    EXAMPLES.parent / 'configs' / 'quickstart.yaml'
})  # fmt: skip


@pytest.fixture(scope='module')
def configs():
    """The module `train_config`, imported as the scripts beside it do."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module('train_config')
    finally:
        sys.path.remove(str(EXAMPLES))


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


def test_quickstart_needs_no_data(configs):
    config = configs.read_config(configs.find_config('quickstart').read_text())
    assert config.dataset == 'digits'
    assert config.teacher_epochs > 0


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
        (MINIMAL, ['bits=two'], r"bits: expected int, got 'two' \(str\)"),
        (MINIMAL, ['bits=true'], r'bits: expected int, got True \(bool\)'),
        (MINIMAL, ['bits=1'], 'bits: expected at least 2, got 1'),
        (MINIMAL, ['epochs=1.5'], r'epochs: expected int, got 1.5 \(float\)'),
        (MINIMAL, ['steps_per_epoch=a'], "steps_per_epoch: expected int or null, got 'a'"),
        (MINIMAL, ['augment=1'], r'augment: expected bool, got 1 \(int\)'),
        (MINIMAL, ['learning_rate=fast'], "learning_rate: expected float, got 'fast'"),
        (MINIMAL, ['learning_rate=0'], 'learning_rate: expected above 0'),
        (MINIMAL, ['learning_rate=.nan'], 'learning_rate: expected above 0'),
        (MINIMAL, ['precision=int8'], 'precision: expected one of float32'),
        (MINIMAL, ['model=[a]'], r"model: expected str, got \['a'\]"),
        ('dataset: digits\n', [], 'expected the keys model, bits, teacher, which are missing'),
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
