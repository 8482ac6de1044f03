"""The published networks compute what their published code computes.

Bounds follow from the published code's own float32 error against its float64 results: a rounding
difference at a threshold flips a whole level. They are three times that error, and tighter for the
network whose thresholds no value lies close to.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints.published import Published

ROOT = Path(__file__).resolve().parents[2]
# Bounds of logits, median gradient norm, worst gradient norm, worst feature.
BOUNDS = {
    'resnet18_w2a2_all': (1e-4, 1e-2, 1e-2, 1e-4),
    'resnet18_w4a4_fpdown': (3 * 2.3e-3, 3 * 1.6e-2, None, 3 * 2.3e-3),
    'resnet50_w3a3_all': (3 * 2.3e-2, 3 * 9e-2, None, 3 * 2.3e-2),
    'mobilenet_v2_w4a4': (3 * 1.1e-2, 3 * 0.12, None, 3 * 1.1e-2),
}
PARAMETERS = {
    'resnet18_w2a2_all': 210,
    'resnet18_w4a4_fpdown': 198,
    'resnet50_w3a3_all': 561,
    'mobilenet_v2_w4a4': 519,
}


# The others are larger, or have downsampling convolutions that stay in float.
AT_NIGHT = ('resnet50_w3a3_all', 'resnet18_w4a4_fpdown', 'mobilenet_v2_w4a4')


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    [pytest.param(name, marks=[pytest.mark.nightly] * (name in AT_NIGHT)) for name in BOUNDS],
)
def test_logits_features_gradients_and_saved_names_agree_with_the_published_code(name):
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name('agreement.py')), name],
        env={
            **os.environ,
            'TF_ENABLE_ONEDNN_OPTS': '0',
            'PYTHONPATH': os.pathsep.join(filter(None, paths)),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    errors = json.loads(result.stdout.splitlines()[-1])
    logits, median, worst, feature = BOUNDS[name]
    assert errors['logits'] <= logits
    assert max(errors['features'].values()) <= feature
    assert len(errors['features']) >= 10
    assert errors['shapes'] == Published.read(name).specification['state_dict']
    gradients = errors['gradients']
    assert len(gradients) == PARAMETERS[name]
    assert np.median(list(gradients.values())) <= median
    if worst is not None:
        assert max(gradients.values()) <= worst, max(gradients, key=gradients.get)
