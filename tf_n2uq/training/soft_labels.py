"""Soft labels: a network learns from the probabilities of another network."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import layers_in_front

# float16 cannot tell smaller probabilities from zero, whose logarithm is not finite.
_SMALLEST_PROBABILITY = 1e-7


class SoftCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits against the softmax of other logits, at a temperature T.

    The loss of one example is

        loss = -T² · Σ_c softmax(y_true / T)_c · log softmax(y_pred / T)_c

    Both arguments of a call are logits of a floating dtype, `[batch, ..., classes]`.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, equation 1 and
    section 2.1 (temperature and its square).

    Args:
        temperature: T, a number above zero.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__(name='soft_cross_entropy')
        self._temperature = temperature

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example, `[batch, ...]`."""
        probabilities = tf.nn.softmax(y_true / self._temperature)
        log_probabilities = tf.nn.log_softmax(y_pred / self._temperature)
        cross_entropy = -tf.reduce_sum(probabilities * log_probabilities, axis=-1)
        return self._temperature**2 * cross_entropy


def logits_of(outputs: tf.Tensor, are_logits: bool) -> tf.Tensor:
    """Returns the logits that belong to a model's outputs.

    The logarithm of probabilities serves as logits, because its softmax is the probabilities.

    Args:
        outputs: Logits or probabilities of any floating dtype, `[batch, ..., classes]`.
        are_logits: Whether `outputs` are logits.

    Returns:
        Logits, float32, in the shape of `outputs`.
    """
    outputs = tf.cast(outputs, tf.float32)
    if are_logits:
        return outputs
    return tf.math.log(tf.maximum(outputs, _SMALLEST_PROBABILITY))


def gives_logits(model: keras.Model, from_logits: bool | None, name: str) -> bool:
    """Tells whether a model ends in logits.

    Args:
        model: A built model with one output.
        from_logits: The user's word for it. With None the model's last layer decides: a softmax
            gives probabilities, and any other layer but a sigmoid gives logits.
        name: The name of the user's argument that is the model, for errors.

    Raises:
        ValueError: `from_logits` is None, and the last layer cannot be found or is a sigmoid.
    """
    if from_logits is not None:
        return from_logits
    activation = _activation_of(_last_layer(model, name))
    if activation is keras.activations.sigmoid:
        raise ValueError(
            f'{name}: expected a model that ends in logits or in a softmax, got {model.name!r}, '
            'which ends in a sigmoid. Its outputs are neither logits nor probabilities that add '
            'up to one. Take the sigmoid off, or pass from_logits=True to use its outputs as '
            'logits.'
        )
    return activation is not keras.activations.softmax


def _last_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """Returns the layer that computes a model's output, and not one that passes it on."""
    last = None
    for last in layers_in_front(model.outputs[0]) if model.outputs else ():
        if isinstance(last, keras.Model):
            return _last_layer(last, name)
        if not _passes_on(last):
            break
    if last is not None:
        return last
    raise ValueError(
        f'from_logits: expected True or False for the model {model.name!r} ({name}), got None. '
        f'The model is a {type(model).__name__} and neither Functional nor Sequential, so its '
        'last layer cannot be found. Pass from_logits=True if both models end in logits, and '
        'False if both end in probabilities.'
    )


def _passes_on(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    if isinstance(layer, (keras.layers.Dropout, keras.layers.Reshape, keras.layers.Flatten)):
        return True
    # Layers that quantize a tensor, this package's and TFMOT's, hold a quantizer and no layer.
    return hasattr(layer, 'quantizer') and not hasattr(layer, 'layer')


def _activation_of(layer: keras.layers.Layer) -> object:
    layer = getattr(layer, 'layer', layer)
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    activation = getattr(layer, 'activation', None)
    # TFMOT puts an object around a wrapped layer's activation.
    return getattr(activation, 'activation', activation)
