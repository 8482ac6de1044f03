"""The rewrite decides which layer does whose work, and nobody else looks at Keras' records."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot

import tf_n2uq
from tests.networks import annotate, float_network, images_for, quantized_network
from tests.rooms import PACKAGE, ROOT, imported_modules
from tf_n2uq.layers import Deployment, connections, quantized_kernel

# Networks of version 0.1.0 have no roles in their configs: this function decides for them, once.
FOR_NETWORKS_OF_0_1_0 = ('tf_n2uq/layers/quantized_kernel.py', '_is_read')
# The rewrite and the decisions ask for the rules of fusing; all others read the decisions.
MAY_ASK_FOR_FUSING = ('tf_n2uq/graph/decisions.py', 'tf_n2uq/schemes/rewrite/')
# These files have such a number with another meaning: blocks of a ResNet-152, and a width of text.
OTHER_MEANINGS = (
    'tf_n2uq/models/resnet_imagenet.py',
    # The version of an operator.
    'tf_n2uq/tflite/passes/narrow_types.py',
    'tf_n2uq/tflite/reports/comparison_report.py',
)


def sources() -> Iterator[tuple[str, str]]:
    """Yields path and text of each module of the package."""
    for path in sorted(PACKAGE.rglob('*.py')):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding='utf-8')


def users_of(*names: str) -> set[tuple[str, str]]:
    """Returns path and outermost function of each use of a name that Keras' records go by."""
    found = set()
    for path, source in sources():
        for outer in ast.parse(source).body:
            for node in ast.walk(outer):
                used = node.attr if isinstance(node, ast.Attribute) else getattr(node, 'id', None)
                if used in names:
                    found.add((path, getattr(outer, 'name', '')))
    return found


def importers_of(module: str) -> set[str]:
    """Returns the paths of the modules that import a module, or names of it."""
    found = set()
    for path, source in sources():
        package = '.'.join(Path(path).parent.parts)
        names = imported_modules(source, package)
        if any(name == module or name.startswith(f'{module}.') for name in names):
            found.add(path)
    return found


def whole_numbers(source: str) -> set[int]:
    """Returns the integers of a source, without those that are exponents as in `2**14`."""
    tree = ast.parse(source)
    exponents = {
        id(node.right)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {
        node.value for node in constants if type(node.value) is int and id(node) not in exponents
    }


def test_the_records_of_calls_are_read_in_one_file():
    users = users_of('inbound_nodes', 'outbound_nodes', '_inbound_nodes', '_outbound_nodes')
    assert {path for path, _ in users} == {'tf_n2uq/_compat/keras_models.py'}


def test_only_networks_of_version_0_1_0_ask_who_reads_a_layer():
    asking = importers_of('tf_n2uq._compat.keras_models.readers_of')
    assert asking == {FOR_NETWORKS_OF_0_1_0[0]}
    used = {(path, name) for path, name in users_of('readers_of') if path in asking}
    assert used == {FOR_NETWORKS_OF_0_1_0}


def _refuse(*args: object) -> None:
    raise AssertionError(f'a call looked at the neighbours of {args}')


@pytest.fixture
def without_neighbours(monkeypatch: pytest.MonkeyPatch):
    """Forbids what layers may do only while a model is being built."""

    def forbid() -> None:
        monkeypatch.setattr(quantized_kernel, 'readers_of', _refuse)
        monkeypatch.setattr(connections, 'layers_in_front', _refuse)

    return forbid


def test_no_layer_of_an_integer_network_looks_at_its_neighbours_when_it_is_called(
    without_neighbours,
):
    model = quantized_network('rectified')
    images = images_for(model, 4)
    expected = model(images).numpy()
    without_neighbours()
    np.testing.assert_array_equal(model(images), expected)
    traced = tf.function(lambda inputs: model(inputs, training=False))
    np.testing.assert_allclose(traced(images), expected, rtol=1e-5, atol=1e-5)


def test_the_last_layer_of_a_published_network_knows_that_it_is_the_last(without_neighbours):
    network = float_network('residual')
    last = network.layers[-1].name
    scheme = tf_n2uq.SATScheme(4, tensor_bits=None, layers={last: 4})
    model = tfmot.quantization.keras.quantize_apply(annotate(network), scheme=scheme)
    without_neighbours()
    assert model.get_layer(last).bias_divisor() is not None
    assert np.all(np.isfinite(model(images_for(model, 4))))


def test_only_the_rewrite_and_the_decisions_ask_for_fusing():
    importers = importers_of('tf_n2uq.graph.fusing')
    assert importers
    assert {path for path in importers if not path.startswith(MAY_ASK_FOR_FUSING)} == set()


def test_nobody_but_the_deployment_holds_the_numbers_of_steps_per_level():
    # The 8 of 2-bit levels stands for too many other things to be looked for.
    assert [Deployment().level_stretch(bits) for bits in (2, 3, 4)] == [8, 36, 14]
    stretches = {36, 14}
    holders = {path for path, source in sources() if stretches & whole_numbers(source)}
    assert holders == {'tf_n2uq/layers/deployment.py', *OTHER_MEANINGS}
