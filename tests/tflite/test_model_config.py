from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tests.tflite.hostile_files import ARCHIVE, FORMATS, HDF5, entry, network, write
from tf_n2uq.tflite.loading import load_model

Config = dict[str, Any]


@pytest.fixture
def witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when hostile code runs, or when `hostile_module` is imported."""
    path = tmp_path / 'ran'
    module = tmp_path / 'modules' / 'hostile_module.py'
    module.parent.mkdir()
    module.write_text(f'open({str(path)!r}, "w").close()\n')
    monkeypatch.syspath_prepend(module.parent)
    monkeypatch.delitem(sys.modules, 'hostile_module', raising=False)
    return path


def _forget(witness: Path) -> None:
    witness.unlink(missing_ok=True)
    sys.modules.pop('hostile_module', None)


def _is_run_by_keras(config: Config, witness: Path) -> bool:
    """Returns whether Keras runs what the config names, so that a refusal means something."""
    _forget(witness)
    for make in (keras.models.model_from_config, keras.saving.deserialize_keras_object):
        # It has been run by the time that Keras stumbles.
        with contextlib.suppress(Exception), tfmot.quantization.keras.quantize_scope():
            make(copy.deepcopy(config))
    ran = witness.exists()
    _forget(witness)
    return ran


def _refused(folder: Path, form: str, config: Config) -> str:
    """Returns the message with which a file is refused."""
    path = write(folder, form, config)
    with pytest.raises(ValueError, match='known, harmless layers') as raised:
        load_model(path, 'model')
    message = str(raised.value)
    assert message.startswith('model: expected ')
    assert str(path) in message
    assert 'if you trust the file' in message
    assert '\n' not in message
    return message


# A layer that is given constants alone is computed at once, while the model loads.
def _writes(witness: Path) -> Config:
    call = ['_CONSTANT_VALUE', -1, str(witness), {'contents': ''}]
    return {'inbound_nodes': [call]}


def _class_method(witness: Path) -> Config:
    call = ['_CONSTANT_VALUE', -1, str(witness), {'kwargs': {'contents': ''}}]
    config = {'cls_symbol': 'io.write_file', 'method_name': '__call__'}
    return network(entry('ClassMethod', config, inbound_nodes=[[call]]))


def _function(name: str) -> Callable[[Path], Config]:
    return lambda witness: network(entry(name, {'function': 'io.write_file'}, **_writes(witness)))


_IMPORT = entry('X', {}, module='hostile_module', registered_name=None)


def _regularizer(_: Path) -> Config:
    function = entry('deserialize_keras_object', {'config': _IMPORT})
    return network(entry('Dense', {'units': 2, 'kernel_regularizer': function}))


def _own_class_of_another_module(_: Path) -> Config:
    return network(entry('tf_n2uq>Quantize', {}, module='hostile_module', registered_name=None))


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    ('hostile', 'named'),
    [
        (_class_method, "the class 'ClassMethod'"),
        (_function('TFOpLambda'), "the class 'TFOpLambda'"),
        (_function('SlicingOpLambda'), "the class 'SlicingOpLambda'"),
        (_regularizer, "the class 'deserialize_keras_object'"),
        (_own_class_of_another_module, "of the module 'hostile_module'"),
    ],
)
def test_what_keras_would_run_is_refused_and_not_run(
    tmp_path: Path, witness: Path, form: str, hostile: Callable[[Path], Config], named: str
):
    config = hostile(witness)
    assert _is_run_by_keras(config, witness)
    assert named in _refused(tmp_path, form, config)
    assert not witness.exists()
    assert 'hostile_module' not in sys.modules


@pytest.mark.parametrize(
    ('config', 'named'),
    [
        (_IMPORT, "the class 'X' of the module 'hostile_module'"),
        ({**_IMPORT, 'class_name': '__tuple__'}, "the entry '__tuple__' with the keys"),
        ({**_IMPORT, 'class_name': 'Dense'}, "the class 'Dense' of the module 'hostile_module'"),
        (
            {**_IMPORT, 'class_name': 'Dense', 'registered_name': 'X'},
            "the class 'Dense' of the module 'hostile_module', registered as 'X'",
        ),
        (
            entry('function', 'relu', module='hostile_module', registered_name=None),
            "the function 'relu' of the module 'hostile_module'",
        ),
        (
            {**_IMPORT, 'class_name': '__typespec__', 'spec_name': 'X'},
            "the class '__typespec__' of the module 'hostile_module'",
        ),
    ],
)
def test_a_keras_file_imports_no_module(tmp_path: Path, witness: Path, config: Config, named: str):
    assert named in _refused(tmp_path, ARCHIVE, [config])
    assert not witness.exists()
    assert 'hostile_module' not in sys.modules


def test_how_a_model_was_compiled_is_not_read(tmp_path: Path, witness: Path):
    config = network(entry('Dense', {'units': 2}))
    config['compile_config'] = {'optimizer': _IMPORT, 'loss': 'mse'}
    assert _is_run_by_keras(config, witness)
    model = load_model(write(tmp_path, ARCHIVE, config))
    assert not witness.exists()
    assert model.optimizer is None


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize('name', ['StringLookup', 'IntegerLookup', 'TextVectorization'])
def test_no_vocabulary_is_read(tmp_path: Path, form: str, name: str):
    vocabulary = tmp_path / 'secret.txt'
    vocabulary.write_text('1234\n')
    splitting = {'standardize': None, 'split': None} if name == 'TextVectorization' else {}
    lookup = entry(name, {'vocabulary': str(vocabulary), **splitting})
    layer = keras.layers.deserialize(copy.deepcopy(lookup))
    assert str(layer.get_vocabulary()[-1]) == '1234'
    vocabulary.unlink()
    # Whoever reads it waits for ever.
    os.mkfifo(vocabulary)
    assert f'the class {name!r}' in _refused(tmp_path, form, network(lookup))


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    'name',
    [
        *('Lambda', 'DropoutWrapper', 'ResidualWrapper', 'DeviceWrapper'),
        *('InstanceMethod', 'InstanceProperty', 'TensorFlowOpLayer', 'AddLoss', 'AddMetric'),
        *('Hashing', 'HashedCrossing', 'CategoryEncoding', 'Discretization', 'DenseFeatures'),
        *('LocallyConnected2D', 'UpSampling1D', 'UpSampling3D', 'SpectralNormalization'),
        *('LinearModel', 'WideDeepModel', 'Input', 'add', 'Layer', 'Wrapper'),
        *('__lambda__', '__typespec__', '__bytes__', '__ellipsis__', 'TypeSpec'),
        *('CompositeTensor', 'Custom>CustomScaleLayer', 'tf_n2uq>N2UQAdam', 'tf_n2uq>X'),
    ],
)
def test_a_class_that_is_not_allowed_is_named(tmp_path: Path, form: str, name: str):
    assert f'the class {name!r}' in _refused(tmp_path, form, network(entry(name, {})))


def test_a_class_is_found_wherever_it_stands(tmp_path: Path):
    code = entry('__lambda__', {'value': 'code'})
    dense = entry('Dense', {'units': 2, 'activation': code})
    for outer in (
        entry('TimeDistributed', {'layer': dense}),
        entry('Sequential', {'name': 'inner', 'layers': [dense]}),
        entry('Bidirectional', {'layer': entry('RNN', {'cell': dense})}),
        entry('QuantizeAnnotate', {'layer': entry('ReLU', {}), 'quantize_config': code}),
        entry('Reshape', {'target_shape': {'class_name': '__tuple__', 'items': [code]}}),
        entry('ReLU', {}, inbound_nodes=[[['x', 0, 0, {'mask': code}]]]),
        entry('ReLU', {}, build_config={'input_shape': code}),
    ):
        assert "the class '__lambda__'" in _refused(tmp_path, HDF5, network(outer))


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    ('argument', 'value', 'named'),
    [
        ('activation', 'deserialize', "the activation 'deserialize'"),
        ('activation', 'tf_n2uq>Quantize', "the activation 'tf_n2uq>Quantize'"),
        ('kernel_initializer', 'os', "the initializer 'os'"),
        ('bias_regularizer', 'get', "the regularizer 'get'"),
        (
            'kernel_regularizer',
            'orthogonal_regularizer',
            "the regularizer 'orthogonal_regularizer'",
        ),
        ('kernel_constraint', 'deserialize', "the constraint 'deserialize'"),
        (
            'activation',
            entry('function', 'system', module='os', registered_name=None),
            "the function 'system' of the module 'os'",
        ),
        (
            'activation',
            entry('function', 'relu', module='builtins', registered_name='deserialize'),
            "the function 'relu' of the module 'builtins', registered as 'deserialize'",
        ),
        (
            'activation',
            entry('Popen', {}, module='subprocess', registered_name=None),
            "the class 'Popen' of the module 'subprocess'",
        ),
        (
            'kernel_initializer',
            entry('Constant', {'value': entry('__numpy__', {'value': [0], 'dtype': 'S99'})}),
            "an array of the dtype 'S99'",
        ),
    ],
)
def test_arguments_name_known_functions_only(
    tmp_path: Path, form: str, argument: str, value: Any, named: str
):
    dense = entry('Dense', {'units': 2, argument: value})
    assert named in _refused(tmp_path, form, network(dense))


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    ('layer', 'named'),
    [
        (entry('LSTM', {'units': 1, 'unroll': True}), "the class 'LSTM' with unroll=True"),
        (entry('GRU', {'units': 1, 'stateful': True}), "the class 'GRU' with stateful=True"),
        (
            entry('tf_n2uq>BorderScale', {'rows': [1] * 5000, 'columns': [1] * 5000}),
            "the class 'tf_n2uq>BorderScale' with 5000 times 5000 factors",
        ),
        (
            entry('RepeatVector', {'n': 10**12}, inbound_nodes=[['_CONSTANT_VALUE', -1, [[1.0]]]]),
            'a call of a layer with constants',
        ),
        (entry('RepeatVector', {'n': 10**12}, inbound_nodes=[[]]), 'a call of a layer with'),
    ],
)
def test_a_setting_that_takes_memory_out_of_proportion_is_named(
    tmp_path: Path, form: str, layer: Config, named: str
):
    assert named in _refused(tmp_path, form, network(layer))


@pytest.mark.parametrize('form', FORMATS)
def test_calls_that_wait_for_each_other_end_in_an_error(tmp_path: Path, form: str):
    first = entry('ReLU', {}, inbound_nodes=[[['layer_1', 0, 0, {}]]])
    second = entry('ReLU', {}, inbound_nodes=[[['layer_0', 0, 0, {}]]])
    path = write(tmp_path, form, network(first, second))
    with pytest.raises(ValueError, match='calls of its layers wait for each other'):
        load_model(path)


@pytest.mark.parametrize('config', [[], {}, 'Dense', None, entry('Dense', {'units': 2})])
def test_a_config_of_no_model_is_an_error(tmp_path: Path, config: Any):
    with pytest.raises(ValueError, match='path: expected .*, got .*model'):
        load_model(write(tmp_path, ARCHIVE, config))


def test_a_config_that_is_deeper_than_python_can_go_is_an_error(tmp_path: Path):
    path = write(tmp_path, HDF5, {})
    deep = json.dumps(network(entry('ReLU', {'x': 0}))).replace('"x": 0', '"x": ' + '[' * 10**5)
    with h5py.File(path, 'r+') as file:
        file.attrs['model_config'] = deep + ']' * 10**5
    with pytest.raises(ValueError, match='cannot be loaded'):
        load_model(path)


def test_what_a_file_says_does_not_steer_the_terminal(tmp_path: Path):
    config = network(entry('Dense', {'units': 2, 'padding\x1b[2J\n': 'x' * 10**4}))
    with pytest.raises(ValueError, match='cannot be loaded') as raised:
        load_model(write(tmp_path, HDF5, config))
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1000
