"""INT2 and INT4: the types of kernels of which several values share a byte."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class NarrowType:
    """A type of integers of less than eight bits.

    Attributes:
        name: The schema's name of the type.
        bits: The number of bits per value, 2 or 4.
        version: The version of FULLY_CONNECTED that takes kernels of this type.
    """

    name: str
    bits: int
    version: int

    @property
    def lowest(self) -> int:
        """The lowest integer of the type."""
        return -(1 << (self.bits - 1))

    @property
    def highest(self) -> int:
        """The highest integer of the type."""
        return (1 << (self.bits - 1)) - 1

    @property
    def per_byte(self) -> int:
        """The number of values in a byte.

        XNNPACK takes a kernel only if the number of its input features is a multiple of it.
        """
        return 8 // self.bits

    def holds(self, values: np.ndarray) -> bool:
        """Tells whether all integers of a non-empty array fit the type."""
        return bool(values.min() >= self.lowest and values.max() <= self.highest)

    def bytes_of(self, values: int) -> int:
        """Returns the bytes that a number of values takes."""
        return -(-values // self.per_byte)

    def pack(self, values: np.ndarray) -> np.ndarray:
        """Packs integers, the first one into the low bits of a byte.

        Args:
            values: Integers of any shape, in the order in which they are stored.

        Returns:
            uint8 array of shape [ceil(size / per_byte)]. Bits of the last byte that are left over
            are 0.

        Raises:
            ValueError: If a value does not fit the type.
        """
        flat = np.asarray(values).reshape(-1)
        if flat.size and not self.holds(flat):
            raise ValueError(
                f'values: expected integers in {self.lowest}..{self.highest}, got '
                f'{flat.min()}..{flat.max()}. Store a kernel of more than {self.bits} bits in a '
                'wider type.'
            )
        fields = np.zeros(self.bytes_of(flat.size) * self.per_byte, np.uint8)
        fields[: flat.size] = flat.astype(np.int8).view(np.uint8) & ((1 << self.bits) - 1)
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        return np.bitwise_or.reduce(fields.reshape(-1, self.per_byte) << shifts, axis=1)

    def unpack(self, packed: np.ndarray, size: int) -> np.ndarray:
        """Unpacks integers that `pack` has packed.

        Args:
            packed: uint8 array of at least ceil(`size` / per_byte) bytes.
            size: The number of values.

        Returns:
            int8 array of shape [`size`].
        """
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        fields = np.asarray(packed, np.uint8)[:, np.newaxis] >> shifts
        # The sign bit of the field moves to that of int8 and comes back with copies of itself.
        unused = 8 - self.bits
        return ((fields << unused).view(np.int8) >> unused).reshape(-1)[:size]


INT2 = NarrowType('INT2', bits=2, version=14)
INT4 = NarrowType('INT4', bits=4, version=10)
NARROW_TYPES = {each.name: each for each in (INT2, INT4)}
