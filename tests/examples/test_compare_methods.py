"""The comparison of methods as a user runs it, on few digits; its tables on made-up results."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver

import tf_n2uq
from tests.examples.scripts import EXAMPLES, imported

QUICK = [
    '--methods=dorefa', '--bits=2', '--seeds=4', '--epochs=1', '--float_epochs=1', '--width=0.25',
    '--train_examples=192',
]  # fmt: skip
RUN = Path('seed4', 'dorefa_2bit')


@pytest.fixture(scope='module')
def script():
    """The module `compare_methods`, which finds those beside it."""
    with imported('compare_methods') as module:
        yield module


@pytest.fixture
def parse(script):
    """Parses flags; the next test finds them as they were."""
    with flagsaver.flagsaver():
        yield lambda *arguments: script.FLAGS(['compare_methods', *arguments])


def _run(*arguments):
    command = [sys.executable, EXAMPLES / 'compare_methods.py', *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp('compare') / 'run'
    return out, _run(f'--out={out}', *QUICK)


def _csv_rows(out):
    with (out / 'results.csv').open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def test_tables_hold_what_the_runs_gave(finished):
    out, result = finished
    assert result.returncode == 0, result.stderr[-2000:]
    rows = _csv_rows(out)
    assert [(row['seed'], row['method'], row['bits']) for row in rows] == [
        ('4', 'float', ''),
        ('4', 'dorefa', '2'),
    ]
    table = (out / 'table.md').read_text(encoding='utf-8')
    assert table in result.stdout
    for row, folder, title in zip(
        rows, ('float', RUN.name), ('float', '2-bit DoReFa'), strict=True
    ):
        recorded = json.loads((out / 'seed4' / folder / 'result.json').read_text())
        assert {name: str(value) for name, value in recorded.items() if value is not None} == {
            name: value for name, value in row.items() if value
        }
        assert recorded['file_bytes'] == (out / 'seed4' / folder / 'model.tflite').stat().st_size
        assert min(recorded['step_ms'], recorded['step_cpu_ms']) > 0
        (line,) = (line for line in table.splitlines() if line.startswith(f'| {title} |'))
        assert f'| {100 * recorded["tflite_accuracy"]:.2f} ± - % |' in line
        assert f'| {recorded["file_bytes"]:,} |' in line
    assert (out / 'accuracy_over_size.png').read_bytes().startswith(b'\x89PNG')
    assert 'run 2 of 2: seed 4, 2-bit DoReFa' in result.stdout


def test_it_goes_on_where_it_stopped(finished):
    out, _ = finished
    kept = [out / RUN / 'result.json', out / RUN / 'best.weights.h5']
    before = [path.stat().st_mtime_ns for path in kept]
    log, rows = out / 'seed4' / 'float' / 'metrics.jsonl', _csv_rows(out)
    epochs = log.read_text()
    # As if it had been ended between the last epoch and the measurement.
    (out / 'seed4' / 'float' / 'result.json').unlink()
    result = _run(f'--out={out}', *QUICK)
    assert result.returncode == 0, result.stderr[-2000:]
    assert '1 of 2 runs are finished' in result.stdout
    assert 'Epoch' not in result.stdout
    assert log.read_text() == epochs
    assert [path.stat().st_mtime_ns for path in kept] == before
    for was, now in zip(rows, _csv_rows(out), strict=True):
        assert {**was, 'seconds': ''} == {**now, 'seconds': ''}


def test_other_settings_are_refused_and_named(finished, script, parse):
    out, _ = finished
    before = (out / 'settings.json').read_bytes()
    parse(f'--out={out}', *QUICK, '--epochs=3', '--nodistill')
    with pytest.raises(ValueError, match=r'epochs was 1 and is 3, distill was True and is False'):
        script.prepare()
    assert (out / 'settings.json').read_bytes() == before


def test_runs_may_be_added(finished, script, parse):
    out, _ = finished
    parse(f'--out={out}', *QUICK, '--methods=n2uq,dorefa', '--bits=4,2', '--seeds=4,1')
    _, runs = script.prepare()
    assert [(run.seed, run.method, run.bits) for run in runs] == [
        (seed, method, bits)
        for seed in (4, 1)
        for method, bits in [
            ('float', None), ('n2uq', 2), ('dorefa', 2), ('n2uq', 4), ('dorefa', 4),
        ]
    ]  # fmt: skip


@pytest.mark.nightly
def test_an_adaptive_network_is_trained_once_for_all_its_bit_widths(finished, script, parse):
    out, _ = finished
    arguments = [f'--out={out}', *QUICK, '--methods=adabits', '--bits=2,4']
    result = _run(*arguments)
    assert result.returncode == 0, result.stderr[-2000:]
    rows = [row for row in _csv_rows(out) if row['method'] == 'adabits']
    assert [row['bits'] for row in rows] == ['2', '4']
    assert result.stdout.count('6/6 - ') == 1
    assert rows[0]['step_cpu_ms'] == rows[1]['step_cpu_ms']
    assert (out / 'seed4' / 'adabits_4_2_together' / 'best.weights.h5').exists()
    parse(*arguments, '--bits=4,3,2')
    with pytest.raises(ValueError, match='--bits: expected 4,2, which adabits was trained at'):
        script.prepare()


def test_a_folder_with_other_files_is_refused(tmp_path, script, parse):
    (tmp_path / 'thesis.tex').write_text('')
    parse(f'--out={tmp_path}', *QUICK)
    with pytest.raises(ValueError, match='--out: expected an empty folder'):
        script.prepare()


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ('--methods=n2uq,foo', r"--methods: expected some of dorefa, lsq, .*, got 'foo'"),
        ('--methods=lsq,lsq', '--methods: .* got lsq more than once'),
        ('--methods=', '--methods: .* got nothing'),
        ('--bits=2,9', "--bits: expected integers of 2 to 8, got '9'"),
        ('--bits=2,3.5', "--bits: expected integers of 2 to 8, got '3.5'"),
        ('--bits=2,02', '--bits: .* got 2 more than once'),
        ('--seeds=0,-1', "--seeds: expected integers of 0 to .*, got '-1'"),
        ('--seeds=1,1', '--seeds: .* got 1 more than once'),
        ('--dataset=cats', "got 'cats'"),
        ('--model=vgg', "got 'vgg'"),
        ('--learning_rate=0', '--learning_rate: expected more than 0, got 0.0'),
        ('--train_examples=9999', '--train_examples: expected at most 1257'),
    ],
)
def test_bad_flags_are_named(tmp_path, script, parse, given, message):
    parse(f'--out={tmp_path / "run"}', given)
    with pytest.raises(SystemExit, match=f'^compare_methods: .*{message}'):
        script.main(['compare_methods'])
    assert not (tmp_path / 'run' / 'settings.json').exists()


def test_every_registered_method_is_compared_by_default(parse, script):
    parse('--bits=2', '--seeds=0')
    methods = [run.method for run in script.runs_from_flags()]
    assert methods == ['float', *(method.name for method in tf_n2uq.methods())]


def test_every_method_and_variant_is_there_alone_and_adaptively(script):
    names = {method.name for method in tf_n2uq.methods()}
    subjects = script.SUBJECTS
    assert {name for name, one in subjects.items() if not one.adaptive} == {*names, 'sat_centered'}
    adaptive = {'adabits', 'adabits_centered', *(f'adabits_{name}' for name in names - {'sat'})}
    assert {name for name, one in subjects.items() if one.adaptive} == adaptive
    assert subjects['adabits_centered'].alone == 'sat_centered'
    assert subjects['adabits_n2uq'].title == 'AdaBits, N2UQ'
    for subject in subjects.values():
        scheme = subject.scheme((3,) if subject.adaptive else 3)
        assert (scheme.weight_bits, scheme.activation_bits) == (3, 3)
    for name, levels in {'adabits': 'modified', 'adabits_centered': 'centered_symmetric'}.items():
        (config,) = subjects[name].scheme((3,)).default_config().configs.values()
        assert config.levels == levels


def _result(script, seed, method, bits, accuracy, step_ms=10.0):
    return script.Result(
        seed,
        method,
        bits,
        accuracy,
        accuracy - 0.01,
        0.995,
        1000 + seed,
        500,
        step_ms,
        20.0,
        200,
        60.0,
    )


def test_the_table_has_means_and_sample_deviations(script):
    results = [
        _result(script, 0, 'lsq', 4, 0.9),
        _result(script, 0, 'lsq', 2, 0.80, step_ms=None),
        _result(script, 2, 'lsq', 2, 0.84),
        _result(script, 0, 'n2uq', 4, 0.9),
        _result(script, 0, 'float', None, 0.95),
    ]
    lines = _table(script, results)
    assert lines[2:6] == [
        '| float | 1 | 95.00 ± - % | 94.00 ± - % | - | 99.50% | 1,000 | 500 | 10.0 | 20.0 |',
        '| 2-bit LSQ | 2 | 82.00 ± 2.83 % | 81.00 ± 2.83 % | - | 99.50% | 1,001 | 500 | 10.0 '
        '| 20.0 |',
        '| 4-bit LSQ | 1 | 90.00 ± - % | 89.00 ± - % | - | 99.50% | 1,000 | 500 | 10.0 | 20.0 |',
        '| 4-bit N2UQ | 1 | 90.00 ± - % | 89.00 ± - % | 0.00 ± - | 99.50% | 1,000 | 500 | 10.0 '
        '| 20.0 |',
    ]
    assert '200 test images' in lines[-3]


def test_methods_are_compared_with_the_best_seed_by_seed(script):
    results = [
        _result(script, seed, method, 2, accuracy)
        for method, accuracies in {
            'n2uq': (0.90, 0.88, 0.86),
            'lsq': (0.89, 0.86, 0.83),
            'pact': (0.95,),
        }.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    results.append(_result(script, 7, 'sat', 2, 0.5))
    behind = [line.split(' | ')[4] for line in _table(script, results)[2:6]]
    assert behind == ['2.00 ± 1.00', '-', '-5.00 ± -', '-']


def _table(script, results):
    return script.markdown(script.rows_of(results, list(script.TITLES)), script.TITLES).splitlines()


def test_the_time_left_follows_from_finished_runs(script):
    done = [_result(script, 0, 'float', None, 0.9), _result(script, 0, 'lsq', 2, 0.9)]
    left = [script.Run(1, 'float')] + [script.Run(1, 'lsq', bits) for bits in (2, 3)] * 40
    assert script.time_left(left, done) == 'about 1 h 21 min left'
    assert script.time_left(left[:2], done) == 'about 2 min left'
    assert script.time_left(left, done[:1]) == 'time left not known yet'


def test_a_damaged_result_is_named(tmp_path, script):
    path = tmp_path / 'seed0' / 'float' / 'result.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"seed": 1}')
    with pytest.raises(ValueError, match=r'result.json: expected the result of a run'):
        script.read_results(tmp_path)
