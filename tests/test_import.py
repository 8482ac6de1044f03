"""Importing the package does not import what only some users need."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import tensorflow, tf_keras, tensorflow_model_optimization
before = {name.partition('.')[0] for name in sys.modules}
import tf_n2uq
after = {name.partition('.')[0] for name in sys.modules}
print('new:', *sorted(after - before - set(sys.stdlib_module_names)))
"""
OPTIONAL = {
    'PIL',
    'hypothesis',
    'matplotlib',
    'pandas',
    'pytest',
    'sklearn',
    'tensorboard',
    'tensorflow_datasets',
    'tflite_micro',
    'torch',
    'yaml',
}


def test_no_optional_package_is_imported_until_it_is_needed():
    result = subprocess.run(
        [sys.executable, '-c', SCRIPT],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    (line,) = (line for line in result.stdout.splitlines() if line.startswith('new:'))
    new = set(line.split()[1:])
    assert 'tf_n2uq' in new
    assert not new & OPTIONAL
