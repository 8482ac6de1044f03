"""Training on several devices and machines with `tf.distribute`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import all_layers, is_functional
from tf_n2uq.training import argument_checks

STRATEGIES = ('none', 'mirrored', 'multi_worker', 'tpu')
PRECISIONS = ('float32', 'mixed_bfloat16', 'mixed_float16')

_NORMALIZATIONS = ('BatchNormalization', 'SwitchableBatchNormalization')
_TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns a `tf.distribute` strategy.

    Several workers find each other when their first operation runs, so this function has to be
    called before anything else is done with TensorFlow.

    Args:
        name: 'none' for one device; 'mirrored' for all GPUs of this machine; 'multi_worker' for
            the machines that `TF_CONFIG` lists; 'tpu' for the TPU that this machine belongs to.

    Raises:
        ValueError: `name` is not one of `STRATEGIES`; `TF_CONFIG` is not complete for
            'multi_worker'; or there is no TPU for 'tpu'.
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
    raise ValueError(
        f"strategy: expected one of {', '.join(STRATEGIES)}, got {name!r}. Give 'none' for one "
        'device.'
    )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process is the one that writes the files that all workers share.

    Args:
        strategy: The strategy of the training.
    """
    if not _has_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict()
    return resolver.task_type == 'chief' or ('chief' not in jobs and resolver.task_id == 0)


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Waits until every worker has called this function.

    Args:
        strategy: The strategy of the training.
    """
    _from_every_worker(strategy, 0)


def check_same_on_every_worker(strategy: tf.distribute.Strategy, number: int, what: str) -> None:
    """Compares a number among the workers, each of which has to call this function.

    Args:
        strategy: The strategy of the training.
        number: This worker's number.
        what: The meaning of the number in words, for the error.

    Raises:
        ValueError: The numbers differ.
    """
    numbers = _from_every_worker(strategy, number)
    if len(set(numbers)) > 1:
        raise ValueError(
            f'run_dir: expected a folder in which {what} is the same for every worker, got '
            f'{numbers}. Give a folder that all workers share.'
        )


def folder_of_worker(strategy: tf.distribute.Strategy, folder: str) -> str:
    """Returns the folder that this worker may write in.

    The chief writes in the folder itself. The other workers take part in every checkpoint,
    because some variables are read from all workers together. Their files go to
    `folder/.worker-<type>-<index>`, which is created here.

    Args:
        strategy: The strategy of the training.
        folder: The folder of the run.
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
        strategy: The strategy that the new model is trained with.
        sync_batch_norm: Whether batch normalization takes its statistics from the batches of all
            replicas together. It changes training only, and a saved model does not remember it.

    Returns:
        A new model with the weights of `model`, not compiled.

    Raises:
        TypeError: `model` is not a Functional or Sequential tf_keras model.
        ValueError: `sync_batch_norm` is given, and `model` has no batch normalization or one that
            cannot be synchronized.
    """
    if not isinstance(model, keras.Model) or not is_functional(model):
        raise TypeError(
            f'model: expected a built Functional or Sequential tf_keras model, got '
            f'{type(model).__module__}.{type(model).__name__}. Build it with an Input layer.'
        )
    config = model.get_config()
    if sync_batch_norm:
        _synchronize(config)
    with strategy.scope():
        copy = type(model).from_config(config)
        copy.set_weights(model.get_weights())
    if sync_batch_norm:
        _check_synchronized(copy)
    return copy


def distribute(
    strategy: tf.distribute.Strategy,
    make_dataset: Callable[[int, int, int], tf.data.Dataset],
    batch_size: int,
) -> Any:
    """Has every worker read its own part of the data.

    Args:
        strategy: The strategy of the training.
        make_dataset: A function of the batch size of one replica, the number of this worker (from
            0) and the number of workers. It returns this worker's part of the data in batches of
            that size.
        batch_size: The number of examples in a batch of all replicas together.

    Returns:
        A dataset for `fit`. Without workers it is the dataset in batches of `batch_size`.

    Raises:
        TypeError: `batch_size` is not an integer.
        ValueError: `batch_size` is below one, or the replicas cannot share it evenly.
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

    Args:
        strategy: The strategy of the training.
        batch_size: The number of examples in a batch of all replicas together.

    Raises:
        TypeError: `batch_size` is not an integer.
        ValueError: `batch_size` is below one, or no multiple of the number of replicas.
    """
    batch_size = argument_checks.positive_integer(batch_size, 'batch_size')
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f'batch_size: expected a multiple of {replicas}, the number of replicas, got '
            f'{batch_size}. Give the size of the batch of all replicas together.'
        )


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Builds the layers of a `with` block with a precision.

    Args:
        policy: One of `PRECISIONS`, which are policies of `tf_keras.mixed_precision`.

    Raises:
        ValueError: `policy` is another word.
    """
    if policy not in PRECISIONS:
        raise ValueError(
            f"precision: expected one of {', '.join(PRECISIONS)}, got {policy!r}. Give 'float32' "
            'for full precision.'
        )
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


def _synchronize(config: Any) -> None:
    """Switches synchronization on in the config of a model, those of inner models included."""
    if isinstance(config, dict):
        if str(config.get('class_name')).split('>')[-1] in _NORMALIZATIONS:
            config['config']['synchronized'] = True
        _synchronize(list(config.values()))
    elif isinstance(config, (list, tuple)):
        for entry in config:
            _synchronize(entry)


def _check_synchronized(model: keras.Model) -> None:
    found = [x for x in all_layers(model) if isinstance(x, keras.layers.BatchNormalization)]
    alone = [layer.name for layer in found if not layer.synchronized]
    if alone or not found:
        got = f'the layers {alone}, which cannot be' if alone else 'none'
        raise ValueError(
            f'sync_batch_norm: expected batch normalization that can be synchronized in the model '
            f'{model.name!r}, got {got}. Set it to false.'
        )


def _check_tf_config(text: str) -> None:
    try:
        config = json.loads(text)
        members = config['cluster'][config['task']['type']]
        members[config['task']['index']]
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(
            "strategy: 'multi_worker' expected the environment variable TF_CONFIG with all workers "
            f'and the place of this one, got {text!r} ({error!r}). Set it like this: '
            f'{_TF_CONFIG_EXAMPLE}'
        ) from error


def _find_tpu() -> Any:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"strategy: 'tpu' expected a machine with a TPU, got none: {error}. Set the "
            'environment variable TPU_NAME, or choose another strategy.'
        ) from error
    return resolver
