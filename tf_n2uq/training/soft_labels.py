"""Soft labels: what a network learns from the probabilities of another."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import layers_in_front

# float16 cannot tell smaller probabilities from zero, whose logarithm is not finite.
_SMALLEST_PROBABILITY = 1e-7


class SoftCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits against the softmax of other logits, both [batch, ..., classes].

    Both are softened by the temperature T:

        loss = -T² · Σ_c softmax(y_true / T)_c · log softmax(y_pred / T)_c

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, equation 1 and
    section 2.1 (temperature and its square).

    Args:
        temperature: T, above zero.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__(name='soft_cross_entropy')
        self._temperature = temperature

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        probabilities = tf.nn.softmax(y_true / self._temperature)
        log_probabilities = tf.nn.log_softmax(y_pred / self._temperature)
        cross_entropy = -tf.reduce_sum(probabilities * log_probabilities, axis=-1)
        return self._temperature**2 * cross_entropy


def logits_of(outputs: tf.Tensor, are_logits: bool) -> tf.Tensor:
    """Returns float32 logits of what a model gives.

    Args:
        outputs: Logits or probabilities, [batch, ..., classes].
        are_logits: Which of the two.

    Returns:
        Shape of `outputs`. The logarithm of probabilities is as good as logits: softmax gives them
        back.
    """
    outputs = tf.cast(outputs, tf.float32)
    if are_logits:
        return outputs
    return tf.math.log(tf.maximum(outputs, _SMALLEST_PROBABILITY))


def gives_logits(model: keras.Model, from_logits: bool | None, name: str) -> bool:
    """Tells whether a model ends in logits.

    Args:
        model: A built model.
        from_logits: What the user says of it; None: look at its last layer.
        name: What the user knows the model as, for errors.

    Raises:
        ValueError: `from_logits` is None and the last layer cannot be found.
    """
    if from_logits is not None:
        return from_logits
    return not _is_softmax(_last_layer(model, name))


def _last_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """The layer that computes the model's output; what only passes it on is not it."""
    last = None
    for last in layers_in_front(model.outputs[0]) if model.outputs else ():
        if isinstance(last, keras.Model):
            return _last_layer(last, name)
        if not _passes_on(last):
            break
    if last is not None:
        return last
    raise ValueError(
        f'`from_logits` is None, but the last layer of `{name}` ({model.name!r}) cannot be found: '
        f'it is a {type(model).__name__}, not a Functional or Sequential model. Pass '
        'from_logits=True if both models end in logits, False if in probabilities.'
    )


def _passes_on(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    if isinstance(layer, (keras.layers.Dropout, keras.layers.Reshape, keras.layers.Flatten)):
        return True
    # Layers that quantize a tensor, this package's and TFMOT's, hold a quantizer and no layer.
    return hasattr(layer, 'quantizer') and not hasattr(layer, 'layer')


def _is_softmax(layer: keras.layers.Layer) -> bool:
    layer = getattr(layer, 'layer', layer)
    if isinstance(layer, keras.layers.Softmax):
        return True
    activation = getattr(layer, 'activation', None)
    # TFMOT puts an object around a wrapped layer's activation.
    activation = getattr(activation, 'activation', activation)
    return activation is keras.activations.softmax
