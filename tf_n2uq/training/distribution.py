"""Training on several devices and machines, by `tf.distribute`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

STRATEGIES = ('none', 'mirrored', 'multi_worker', 'tpu')
PRECISIONS = ('float32', 'mixed_bfloat16', 'mixed_float16')

_NORMALIZATIONS = ('BatchNormalization', 'SwitchableBatchNormalization')
_TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns a `tf.distribute` strategy.

    Call it before anything else is done with TensorFlow: workers find each other when their first
    operation runs.

    Args:
        name: 'none' for one device; 'mirrored' for all GPUs of this machine; 'multi_worker' for
            the machines that `TF_CONFIG` lists; 'tpu' for the TPU that this machine belongs to.

    Raises:
        ValueError: `name` is not one of `STRATEGIES`; 'multi_worker' without a complete
            `TF_CONFIG`; or 'tpu' where there is none.
    """
    if name == 'none':
        return tf.distribute.get_strategy()
    if name == 'mirrored':
        return tf.distribute.MirroredStrategy()
    if name == 'multi_worker':
        _check_tf_config(os.environ.get('TF_CONFIG', ''))
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == 'tpu':
        return tf.distribute.TPUStrategy(_find_tpu())
    raise ValueError(f'`strategy`: expected one of {", ".join(STRATEGIES)}, got {name!r}.')


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process is the one that writes what all workers share."""
    if not _has_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict()
    return resolver.task_type == 'chief' or ('chief' not in jobs and resolver.task_id == 0)


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Waits until every worker has come here."""
    _from_every_worker(strategy, 0)


def check_same_on_every_worker(strategy: tf.distribute.Strategy, number: int, what: str) -> None:
    """Compares a number among the workers; each of them has to call this.

    Args:
        strategy: What the workers train by.
        number: This worker's number.
        what: What the number is, for the error.

    Raises:
        ValueError: The numbers differ.
    """
    numbers = _from_every_worker(strategy, number)
    if len(set(numbers)) > 1:
        raise ValueError(
            f'`run_dir`: {what} must be the same for every worker, got {numbers}. The folder has '
            'to be one that all workers share.'
        )


def folder_of_worker(strategy: tf.distribute.Strategy, folder: str) -> str:
    """Returns where this worker may write: `folder` itself for the chief.

    The others take part in every checkpoint, because some variables are read from all workers
    together. What they write goes to `folder/.worker-<type>-<index>`, which is created here.
    """
    if is_chief(strategy):
        return folder
    resolver = strategy.cluster_resolver
    own = os.path.join(folder, f'.worker-{resolver.task_type}-{resolver.task_id}')
    os.makedirs(own, exist_ok=True)
    return own


def replicate(
    model: keras.Model, strategy: tf.distribute.Strategy, sync_batch_norm: bool = False
) -> keras.Model:
    """Builds a model again with its variables on all devices of a strategy.

    Args:
        model: A built Functional or Sequential tf_keras model.
        strategy: Where the new model is to train.
        sync_batch_norm: Whether batch normalization takes its statistics from the batches of all
            replicas together. A saved model does not remember it: it changes training only.

    Returns:
        A new model with the weights of `model`.

    Raises:
        ValueError: `sync_batch_norm`, and `model` has no batch normalization.
    """
    config = model.get_config()
    if sync_batch_norm:
        _synchronize(config, model.name)
    with strategy.scope():
        copy = type(model).from_config(config)
        copy.set_weights(model.get_weights())
    return copy


def distribute(
    strategy: tf.distribute.Strategy,
    make_dataset: Callable[[int, int, int], tf.data.Dataset],
    batch_size: int,
) -> Any:
    """Has every worker read its own part of the data.

    Args:
        strategy: What the workers train by.
        make_dataset: Called with the batch size of one replica, the number of this worker and
            the number of workers; returns this worker's part of the data in such batches.
        batch_size: Examples in a batch of all replicas together.

    Returns:
        What `fit` takes: without workers, the dataset in batches of `batch_size`.

    Raises:
        ValueError: The replicas cannot share `batch_size` evenly.
    """
    check_batch_size(strategy, batch_size)
    if not _has_workers(strategy):
        return make_dataset(batch_size, 0, 1)
    return strategy.distribute_datasets_from_function(
        lambda context: make_dataset(
            context.get_per_replica_batch_size(batch_size),
            context.input_pipeline_id,
            context.num_input_pipelines,
        )
    )


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Checks that the replicas can share a batch evenly.

    Raises:
        ValueError: They cannot.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f'`batch_size`: expected a multiple of {replicas}, the number of replicas, got '
            f'{batch_size}. It is the batch of all replicas together.'
        )


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Builds layers with a precision: one of `PRECISIONS`, as `tf_keras.mixed_precision` has it.

    Raises:
        ValueError: `policy` is another one.
    """
    if policy not in PRECISIONS:
        raise ValueError(f'`precision`: expected one of {", ".join(PRECISIONS)}, got {policy!r}.')
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _has_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _from_every_worker(strategy: tf.distribute.Strategy, number: int) -> list[int]:
    if not _has_workers(strategy):
        return [number]
    return np.asarray(_gather(strategy, tf.constant([number], tf.int64))).tolist()


@tf.function
def _gather(strategy: tf.distribute.Strategy, value: tf.Tensor) -> tf.Tensor:
    return strategy.gather(strategy.run(tf.identity, args=(value,)), axis=0)


def _synchronize(config: dict[str, Any], name: str) -> None:
    layers = [
        layer['config']
        for layer in config['layers']
        if layer['class_name'].split('>')[-1] in _NORMALIZATIONS
    ]
    if not layers:
        raise ValueError(
            f'`sync_batch_norm`: the model {name!r} has no batch normalization to synchronize. '
            'Set it to false.'
        )
    for layer in layers:
        layer['synchronized'] = True


def _check_tf_config(text: str) -> None:
    try:
        config = json.loads(text)
        members = config['cluster'][config['task']['type']]
        members[config['task']['index']]
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(
            "`strategy`: 'multi_worker' needs the environment variable TF_CONFIG with all workers "
            f'and the place of this one, such as {_TF_CONFIG_EXAMPLE}; got {text!r} ({error!r}).'
        ) from error


def _find_tpu() -> Any:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(
            "`strategy`: 'tpu' needs a machine with a TPU, or the environment variable TPU_NAME; "
            f'TensorFlow found none: {error}'
        ) from error
    return resolver
