"""New measurement of the statistics of batch normalizations."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import all_layers
from tf_n2uq.graph.checks import check_model
from tf_n2uq.schemes.calibration.batches import dataset_length, end_progress, list_batches


def recalibrate_batch_norm(
    model: keras.Model, dataset: Any, verbose: int = 1, steps: int | None = None
) -> None:
    """Sets the moving mean and variance of batch normalizations to the average over data.

    Weights stay as they are. The data runs through the network as in training, so each
    normalization uses the moments of the batch. The moments of all batches count alike. 8-bit
    ranges follow the data. Use batches as large as in training.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths" (CVPR
    2020), direct adaptation.

    Args:
        model: a Sequential or Functional model with batch normalizations, changed in place. In an
            adaptive model, the statistics of the active bit-width change.
        dataset: as for `tf_n2uq.calibrate`.
        verbose: 1 for a progress bar, 0 for silence.
        steps: the number of batches to read at most; None for all. A dataset that repeats for ever
            needs it.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if the model has no batch normalization, or the dataset is empty, has a wrong
            shape, or holds NaN or infinite values.
    """
    check_model(model)
    layers = [
        layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not layers:
        raise ValueError(
            f'model: expected batch normalizations, got {model.name!r} without any; give a '
            'model with BatchNormalization layers.'
        )
    momentum = tf.Variable(0.0, trainable=False)
    run = tf.function(lambda inputs: model(inputs, training=True), reduce_retracing=True)
    before = [layer.momentum for layer in layers]
    progress = keras.utils.Progbar(
        dataset_length(model, dataset, steps), unit_name='batch', verbose=verbose
    )
    count = 0
    try:
        for layer in layers:
            # Keras' own `__setattr__` would count the variable among the layer's variables.
            object.__setattr__(layer, 'momentum', momentum)
        for inputs in list_batches(model, dataset, steps):
            # With momentums 0/1, 1/2, 2/3, …, the average is that of all batches so far.
            momentum.assign(count / (count + 1))
            run(inputs)
            count += 1
            progress.add(1)
    finally:
        for layer, value in zip(layers, before, strict=True):
            object.__setattr__(layer, 'momentum', value)
    if not count:
        raise ValueError(
            'dataset: expected at least one batch, got an empty dataset; give a batch.'
        )
    end_progress(progress, count)
