"""Models of one replica stay; `tests/training/as_people_train/two_replicas.py` has two replicas."""

from __future__ import annotations

import tensorflow as tf

from tests.networks import float_network
from tf_n2uq.graph.one_device import on_one_device


def test_a_model_of_one_replica_stays_as_it_is():
    with tf.distribute.MirroredStrategy(['CPU:0']).scope():
        model = float_network('residual')
    assert on_one_device(model) is model
