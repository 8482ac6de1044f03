"""What the README says, done."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text(encoding='utf-8')


OWN_MODEL, PUBLISHED_MODEL = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
A_CHECKPOINT = """
import tf_n2uq
network = tf_n2uq.models.build('resnet18', bits=2)
tf_n2uq.checkpoints.save_pytorch(network, 'resnet18_w2a2.pth.tar')
"""


def run(code, folder):
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_the_python_that_quantizes_your_model_runs_as_written(tmp_path):
    assert 'integer-only   yes' in run(OWN_MODEL, tmp_path)
    assert (tmp_path / 'model.tflite').read_bytes()[4:8] == b'TFL3'


def test_the_python_that_loads_a_published_network_runs_as_written(tmp_path):
    run(A_CHECKPOINT + PUBLISHED_MODEL, tmp_path)


def test_the_extras_of_the_readme_exist():
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    (install,) = re.findall(r"pip install '\.\[([a-z,]+)\]'", README)
    for extra in install.split(','):
        assert f"'{extra}':" in setup
