"""What holds for every test. Folders mirror `tf_n2uq/`.

`data_sets/` tests `tf_n2uq.data`, because `data/` holds the reference values that tests read.
"""

from __future__ import annotations

import gc
import os

# TensorFlow and matplotlib read these once, when they are imported.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('MPLBACKEND', 'Agg')

import hypothesis
import pytest
import tensorflow as tf
import tf_keras as keras

# pytest-xdist gives each core a worker: one worker's threads must not crowd out another's.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(2)

# No deadline, because other workers share the machine; no database, because it would stay behind.
hypothesis.settings.register_profile(
    'tf_n2uq', deadline=None, database=None, derandomize=True, max_examples=50, print_blob=True
)
hypothesis.settings.load_profile('tf_n2uq')

# The objects of TensorFlow and of a hundred models are not garbage. Looking through them as often
# as Python does by default takes a tenth of the time of all tests.
gc.freeze()
gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    keras.utils.set_random_seed(20220)
