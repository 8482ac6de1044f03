"""Batch normalization of a network that runs at several bit-widths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.named_variables import NamedVariables

_OF_LAYERS = ('name', 'trainable', 'dtype')


@keras.saving.register_keras_serializable(package='tf_n2uq')
class SwitchableBatchNormalization(NamedVariables, keras.layers.Layer):
    """Normalizes with the statistics, scale and offset of the active bit-width.

    The layer reads the active bit-width when it is called or traced. `tf_n2uq.set_bits` changes
    the active bit-width.

    Shapes: as `tf_keras.layers.BatchNormalization`.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020;
    Yu et al., "Slimmable Neural Networks", ICLR 2019 (switchable batch normalization).

    Attributes:
        bit_widths: the bit-widths of the network, from the highest to the lowest.
        active_bits: the active bit-width, one of these.
        shared_affine: whether all bit-widths have the same scale and the same offset.
        normalizations: a Keras `BatchNormalization` for each bit-width, in this order.
    """

    def __init__(
        self,
        bits: Sequence[int],
        shared_affine: bool = False,
        active_bits: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Creates the layer.

        Args:
            bits: the bit-widths, from the highest to the lowest.
            shared_affine: whether there is one scale and one offset for all bit-widths.
            active_bits: the bit-width to start with; None: the highest.
            **kwargs: Keras layer arguments, and those of `BatchNormalization`.

        Raises:
            ValueError: if there are no bit-widths, or `active_bits` is none of them.
        """
        super().__init__(**{name: kwargs.pop(name) for name in _OF_LAYERS if name in kwargs})
        self.bit_widths = tuple(bits)
        if not self.bit_widths:
            raise ValueError(
                'bits: expected at least one bit-width, got none; give those of the network.'
            )
        self.active_bits = self.bit_widths[0] if active_bits is None else active_bits
        if self.active_bits not in self.bit_widths:
            raise ValueError(
                f'active_bits: expected one of {self.bit_widths}, got {active_bits!r}; give one of '
                'these.'
            )
        self.shared_affine = shared_affine
        # Keras leaves `synchronized` out of the config.
        self._like = {**keras.layers.BatchNormalization(**kwargs).get_config(), **kwargs}
        self.normalizations = [self._make(width) for width in self.bit_widths]
        self.supports_masking = True
        self._gamma: tf.Variable | None = None
        self._beta: tf.Variable | None = None

    def _make(self, bits: int) -> keras.layers.BatchNormalization:
        own = {'name': f'{bits}bit', 'dtype': self.dtype_policy, 'trainable': self.trainable}
        affine = {'center': False, 'scale': False} if self.shared_affine else {}
        return keras.layers.BatchNormalization(**{**self._like, **own, **affine})

    def build(self, input_shape: Any) -> None:
        for bits, normalization in zip(self.bit_widths, self.normalizations, strict=True):
            with tf.name_scope(f'{bits}bit'):
                normalization.build(input_shape)
        if self.shared_affine and self._like['scale']:
            self._gamma = self._add_affine('gamma', input_shape)
        if self.shared_affine and self._like['center']:
            self._beta = self._add_affine('beta', input_shape)
        super().build(input_shape)

    def _add_affine(self, name: str, input_shape: Any) -> tf.Variable:
        axes = self.normalizations[0].axis
        if list(axes) not in ([len(input_shape) - 1], [-1]):
            raise ValueError(
                f'shared_affine: expected a normalization of the last axis, got axis={axes}; '
                'use shared_affine=False.'
            )
        return self.add_weight(
            name,
            shape=(input_shape[-1],),
            dtype=tf.float32,
            initializer=self._like[f'{name}_initializer'],
            regularizer=self._like[f'{name}_regularizer'],
            constraint=self._like[f'{name}_constraint'],
            experimental_autocast=False,
        )

    def at(self, bits: int) -> keras.layers.BatchNormalization:
        """Returns the normalization of a bit-width, without a shared scale or offset.

        Args:
            bits: one of the bit-widths.
        """
        return self.normalizations[self.bit_widths.index(bits)]

    @property
    def moving_mean(self) -> tf.Variable:
        """The mean of the active bit-width at inference, float32 `[channels]`."""
        return self.at(self.active_bits).moving_mean

    @property
    def moving_variance(self) -> tf.Variable:
        """The variance of the active bit-width at inference, float32 `[channels]`."""
        return self.at(self.active_bits).moving_variance

    @property
    def gamma(self) -> tf.Variable | None:
        """The scale of the active bit-width, float32 `[channels]`; None without a scale."""
        return self._gamma if self.shared_affine else self.at(self.active_bits).gamma

    @property
    def beta(self) -> tf.Variable | None:
        """The offset of the active bit-width, float32 `[channels]`; None without an offset."""
        return self._beta if self.shared_affine else self.at(self.active_bits).beta

    @property
    def epsilon(self) -> float:
        """The number that is added to variances."""
        return self._like['epsilon']

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        outputs = self.at(self.active_bits)(inputs, training=training)
        if self._gamma is not None:
            outputs = outputs * tf.cast(self._gamma, outputs.dtype)
        return outputs if self._beta is None else outputs + tf.cast(self._beta, outputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def normalization_config(self) -> dict[str, Any]:
        """Returns the config of a `BatchNormalization` that does the same at one bit-width."""
        own = {'name': self.name, 'dtype': self.dtype, 'trainable': self.trainable}
        return {**self._like, **own}

    def get_config(self) -> dict[str, Any]:
        normalization = {k: v for k, v in self._like.items() if k not in _OF_LAYERS}
        return {
            **super().get_config(),
            'bits': self.bit_widths,
            'shared_affine': self.shared_affine,
            'active_bits': self.active_bits,
            **normalization,
        }
