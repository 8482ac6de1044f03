"""Offsets per channel of int8 tensors, so that quantizers behind them find all channels alike.

An RPReLU adds a number per channel, and the thresholds behind it are the same for all channels. So
the thresholds lie at other int8 values in each channel. If the int8 tensor in front of the RPReLU
holds the numbers plus the biases of the RPReLU, the thresholds lie at the same int8 values in all
channels. The operator in front adds the biases for free, as part of its own bias.

Keras computes with the numbers themselves. It rounds them on the grid of the offset tensor:
`round(x + offset) − offset`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_n2uq._compat.keras_models import ancestors_of
from tf_n2uq.layers.connections import Found


class HasShift(abc.ABC):
    """A layer that adds a learned number per channel."""

    name: str

    @abc.abstractmethod
    def shift(self) -> tf.Tensor:
        """Returns the number that the layer adds to each channel, float32 `[channels]`."""


class HasOffset:
    """Mixin for a layer whose int8 tensor holds its output plus an offset per channel."""

    name: str
    # Keras wraps dictionaries that are attributes of layers, and follows them.
    _factors: tuple[tuple[str, int], ...] = ()
    _shifted: Found | None = None
    _has_missed = False

    @property
    def offset(self) -> dict[str, int]:
        """The offset as a sum of shifts of other layers: a factor by the name of each layer."""
        return dict(self._factors)

    def set_offset(self, offset: Mapping[str, int]) -> None:
        """Sets the offset. The layer must not be connected yet.

        Args:
            offset: a factor by the name of each layer whose shift is a part of the offset.
        """
        self._factors = tuple((name, int(factor)) for name, factor in offset.items() if factor)

    def find_shift(self, layer: Any) -> None:
        """Keeps a layer if the offset names it, unless a layer of its name was found before."""
        known = {} if self._shifted is None else self._shifted.layer
        if layer.name in self.offset and layer.name not in known:
            self._shifted = Found({**known, layer.name: layer})

    def channel_offset(self) -> tf.Tensor | None:
        """Returns the offset, float32 `[channels]`, without a gradient; None for no offset."""
        if not self._factors:
            return None
        found = {} if self._shifted is None else self._shifted.layer
        missing = sorted(set(self.offset) - set(found))
        if missing and not self._has_missed:
            self._has_missed = True
            logging.warning(
                'Layer %r: expected the layers %s in the same model, found none of these. The '
                'layer does not round as an integer file does. Build the model from the one that '
                'quantize_apply returned, or load it as a whole.',
                self.name,
                ', '.join(map(repr, missing)),
            )
        if missing:
            return None
        return tf.stop_gradient(summed_shifts(self.offset, found))


def summed_shifts(offset: Mapping[str, int], layers: Mapping[str, Any]) -> tf.Tensor:
    """Returns a sum of shifts, float32 `[channels]`.

    Args:
        offset: a factor by the name of each layer.
        layers: the layers by name.
    """
    return tf.add_n([factor * layers[name].shift() for name, factor in offset.items()])


def connect_offsets(layer: Any, inputs: Any) -> None:
    """Lets layers with offsets find the layers whose shifts they add.

    Args:
        layer: a layer that is being connected.
        inputs: the KerasTensors that the layer is connected to.
    """
    is_shift = isinstance(layer, HasShift)
    names = set(layer.offset) if isinstance(layer, HasOffset) else set()
    if not is_shift and not names:
        return
    for other in ancestors_of(inputs):
        if is_shift and isinstance(other, HasOffset):
            other.find_shift(layer)
        if other.name in names:
            layer.find_shift(other)
