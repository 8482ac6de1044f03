"""Private names of other packages stand in `tf_n2uq/_compat` and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rooms import PACKAGE, ROOT

PRIVATE_MODULES = (
    'ai_edge_litert.schema_py_generated',
    'tensorflow.lite.python',
    'tensorflow.python',
    'tensorflow_model_optimization.python',
    'tf_keras.__internal__',
    'tf_keras.protobuf',
    'tf_keras.src',
)

PRIVATE_ATTRIBUTES = {
    # of models
    '_flatten_layers',
    '_flatten_to_reference_inputs',
    '_is_graph_network',
    '_nested_inputs',
    '_nested_outputs',
    '_nodes_by_depth',
    # of the records of calls, whose class is private
    'call_args',
    'call_kwargs',
    'is_input',
    'keras_inputs',
    'parent_nodes',
    # of tensors
    '_keras_history',
    # of layers
    '_dtype_policy',
    '_expects_training_arg',
    '_inbound_nodes',
    '_infer_output_signature',
    '_maybe_build',
    '_name_scope',
    '_outbound_nodes',
    '_set_save_spec',
    # of optimizers
    '_apply_weight_decay',
    '_index_dict',
    '_no_dependency',
    '_use_weight_decay',
    '_var_key',
    # of interpreters
    '_get_ops_details',
    '_jit_compiled_convolution_op',
}

# A class of this package may have such an attribute of its own.
PRIVATE_UNLESS_OWN = {'_name'}

EXCEPTIONS = {
    # A script that starts without TensorFlow, so it imports nothing of this package. LiteRT has
    # no public way to the operators of a file as the delegate has changed them.
    'tf_n2uq/tflite/running/_delegation.py': {'_get_ops_details'},
}


def private_names(source: str) -> set[str]:
    """Returns the private names of other packages that a source uses, however it reaches them."""
    tree = ast.parse(source)
    modules = _module_names(tree)
    found: set[str] = set()
    for node in ast.walk(tree):
        found.update(name for name in _modules_used(node, modules) if _is_private_module(name))
        found.update(_attributes_used(node))
    return found


def _module_names(tree: ast.AST) -> dict[str, str]:
    """Returns what the names that a source imports stand for, by the name in that source."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` binds `a`.
                bound = alias.name if alias.asname else alias.name.split('.')[0]
                names[alias.asname or bound] = bound
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f'{node.module}.{alias.name}'
    return names


def _modules_used(node: ast.AST, modules: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from (f'{node.module}.{alias.name}' for alias in node.names)
    elif isinstance(node, ast.Attribute):
        first, *rest = ast.unparse(node).split('.')
        if first in modules:
            yield '.'.join([modules[first], *rest])
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value  # as in importlib.import_module('tf_keras.src')


def _is_private_module(name: str) -> bool:
    return any(name == each or name.startswith(f'{each}.') for each in PRIVATE_MODULES)


def _attributes_used(node: ast.AST) -> Iterator[str]:
    underscored = {name for name in PRIVATE_ATTRIBUTES if name.startswith('_')}
    if isinstance(node, ast.Attribute):
        own = isinstance(node.value, ast.Name) and node.value.id in ('self', 'cls')
        if node.attr in PRIVATE_ATTRIBUTES or (node.attr in PRIVATE_UNLESS_OWN and not own):
            yield node.attr
    elif isinstance(node, ast.FunctionDef) and node.name in underscored:
        yield node.name  # overrides it
    elif isinstance(node, ast.Constant) and node.value in underscored | PRIVATE_UNLESS_OWN:
        yield str(node.value)  # as in getattr(model, '_nodes_by_depth')


def sources() -> list[Path]:
    folders = (PACKAGE, ROOT / 'examples', ROOT / 'benchmarks')
    found = [path for folder in folders for path in sorted(folder.rglob('*.py'))]
    return [path for path in found if PACKAGE / '_compat' not in path.parents]


@pytest.mark.parametrize(
    ('source', 'expected'),
    [
        ('from tf_keras.src.engine import functional', 'tf_keras.src.engine.functional'),
        ('from tf_keras import src', 'tf_keras.src'),
        ('import tf_keras.protobuf as messages', 'tf_keras.protobuf'),
        ('def f():\n    import tensorflow.python.eager', 'tensorflow.python.eager'),
        ('import tf_keras as keras\nkeras.src', 'tf_keras.src'),
        ('import tf_keras\ntf_keras.__internal__', 'tf_keras.__internal__'),
        ("import_module('tf_keras.src')", 'tf_keras.src'),
        (
            'from tensorflow.lite.python import schema_py_generated as schema',
            'tensorflow.lite.python.schema_py_generated',
        ),
        (
            'from ai_edge_litert import schema_py_generated',
            'ai_edge_litert.schema_py_generated',
        ),
        (
            'import tensorflow_model_optimization as tfmot\ntfmot.python.core',
            'tensorflow_model_optimization.python.core',
        ),
        ('model._nodes_by_depth', '_nodes_by_depth'),
        ('self.model._flatten_layers()', '_flatten_layers'),
        ("getattr(tensor, '_keras_history', None)", '_keras_history'),
        ('node.keras_inputs[0]', 'keras_inputs'),
        ('layer._name = name', '_name'),
        ('class A(Layer):\n    def _infer_output_signature(self): ...', '_infer_output_signature'),
        ('class A(Optimizer):\n    def f(self): self._var_key(1)', '_var_key'),
        ('super()._use_weight_decay(variable)', '_use_weight_decay'),
    ],
)
def test_a_private_name_is_found_in_every_form(source: str, expected: str):
    assert expected in private_names(source)


@pytest.mark.parametrize(
    'source',
    [
        'import tensorflow as tf\ntf.lite.Interpreter',
        'from ai_edge_litert.interpreter import Interpreter',
        'from tf_keras import layers',
        'import tensorflow_model_optimization as tfmot\ntfmot.quantization.keras',
        '"""Says what tf_keras.src and _nodes_by_depth are."""',
        'class A:\n    def f(self):\n        return self._name, self._own',
        'layer.inbound_nodes, layer.outbound_nodes',
        'def is_input(node): ...',
    ],
)
def test_public_names_and_own_ones_are_left_alone(source: str):
    assert private_names(source) == set()


def test_private_names_stand_in_one_room():
    wrong = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        found = private_names(path.read_text(encoding='utf-8')) - EXCEPTIONS.get(name, set())
        if found:
            wrong[name] = found
    assert not wrong


@pytest.mark.parametrize('name', EXCEPTIONS)
def test_every_exception_is_still_needed(name: str):
    assert EXCEPTIONS[name] <= private_names((ROOT / name).read_text(encoding='utf-8'))
