"""A model of several replicas as a model of one."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq._compat.keras_models import is_functional
from tf_n2uq.graph.graph import Graph


def on_one_device(model: keras.Model) -> keras.Model:
    """Returns a copy of a model of several replicas, with the mean of what the replicas have.

    Each replica has ranges and statistics of its own, by which it predicts. A file has their mean.

    Args:
        model: a built model. A model that `tf.distribute` has not given several replicas, and a
            subclassed one, which cannot be copied, are returned as they are.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1 or not is_functional(model):
        return model
    graph = Graph.from_model(model)
    graph.added = []
    return graph.to_model()
