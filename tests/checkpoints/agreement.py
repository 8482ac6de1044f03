"""Compares one network with its published code; prints errors and saved shapes as JSON.

    python agreement.py NETWORK

A process of its own: oneDNN's convolutions, which TensorFlow takes by default on some processors,
have about twice the rounding error of TensorFlow's own. An input of a PReLU that lies closer
to zero than that gets the other slope, and every gradient before it moves by about a percent.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import functools
import json
import sys

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tests.checkpoints.published import Published
from tf_n2uq import checkpoints, models
from tf_n2uq._compat.keras_models import nodes_read
from tf_n2uq.checkpoints.entries import entries_of
from tf_n2uq.layers import RPReLU

_NAMED = {
    'maxpool': 'maxpool',
    'feature.0': 'feature_0_relu6',
    'feature.18': 'feature_18_relu6',
}


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference over the norm."""
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


def outputs_of(model: keras.Model, images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Runs the model layer by layer."""
    tensors = {model.layers[0].name: images}
    for layer in model.layers[1:]:
        inputs = [tensors[node.layer.name] for node in nodes_read(layer.inbound_nodes[-1])]
        tensors[layer.name] = layer(inputs if len(inputs) > 1 else inputs[0], training=False)
    return tensors


def layer_of(model: keras.Model, feature: str) -> str:
    """The layer whose output the published code calls `feature`."""
    if feature in _NAMED:
        return _NAMED[feature]
    inside = [x for x in model.layers if x.name.startswith(feature.replace('.', '_') + '_')]
    if feature.startswith('layer'):
        inside = [layer for layer in inside if isinstance(layer, RPReLU)]
    return inside[-1].name


def feature_errors(model: keras.Model, published: Published) -> dict[str, float]:
    """Errors of the means and standard deviations per channel, by feature."""
    outputs = outputs_of(model, tf.constant(published.images()))
    errors = {}
    for name in published.results.files:
        kind, _, feature = name.partition('/')
        if kind not in ('feature_mean', 'feature_std'):
            continue
        values = outputs[layer_of(model, feature)].numpy().astype(np.float64)
        # PyTorch's standard deviation is that of a sample.
        of_channels = np.mean if kind == 'feature_mean' else functools.partial(np.std, ddof=1)
        errors[name] = relative_error(of_channels(values, axis=(0, 1, 2)), published.results[name])
    return errors


def gradient_errors(model: keras.Model, published: Published) -> tuple[float, dict[str, float]]:
    """Error of the logits, and of each parameter's gradient norm."""
    has_quantizer = any('downsample.2.' in name for name in published.specification['state_dict'])
    entries = list(entries_of(model, has_quantizer))
    with tf.GradientTape() as tape:
        logits = model(tf.constant(published.images()), training=False)
        loss = tf.reduce_sum(logits * published.loss_weights())
    gradients = tape.gradient(loss, [entry.variable for entry in entries])
    errors = {}
    for entry, gradient in zip(entries, gradients, strict=True):
        if f'grad_norm/{entry.name}' in published.results.files:
            expected = float(published.results[f'grad_norm/{entry.name}'])
            errors[entry.name] = abs(float(tf.norm(gradient)) - expected) / abs(expected)
    return relative_error(logits.numpy(), published.results['logits']), errors


def main(name: str) -> None:
    """Prints the results of one network."""
    published = Published.read(name)
    specification = published.specification
    model = models.build(
        specification['architecture'],
        specification['bits'],
        specification['quantize_downsample'],
    )
    checkpoints.load_state_dict(model, published.state_dict())
    logits, gradients = gradient_errors(model, published)
    saved = checkpoints.save_state_dict(model)
    results = {
        'logits': logits,
        'gradients': gradients,
        'features': feature_errors(model, published),
        'shapes': {name: list(array.shape) for name, array in saved.items()},
    }
    print(json.dumps(results))


if __name__ == '__main__':
    main(sys.argv[1])
