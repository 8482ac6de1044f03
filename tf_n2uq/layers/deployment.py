"""The grid on which levels and biases of an integer file lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# An int8 tensor has 256 values, so 255 steps from the lowest to the highest.
TENSOR_STEPS = 255
# A line per channel is a 1×1 depthwise kernel in the file, of ±127 units.
LINE_UNITS = 127

# How many steps of int8 a level counts for in front of kernels that may be stored halved, by the
# bit-width of the levels. A halved kernel needs sums of channels beside the channels, and the
# fewer steps a level counts for, the more channels fit into one sum. INT4 multiplies by up to 7,
# half of 14, so with 4 bits one sum is enough. A level of 8 steps keeps the bias of a 2-bit kernel
# exact to an eighth of a level times the unit of the kernel.
_STRETCH_IN_FRONT_OF_HALVED = {2: 8, 4: 14}


@dataclasses.dataclass(frozen=True)
class Deployment:
    """The grid on which levels and biases of an integer file lie.

    A scheme has one deployment. The rewrite writes it into the layers, Keras rounds by it at
    inference, and the export reads it from the layers: so Keras and the file round alike.

    Attributes:
        halved_bits: the bit-widths, of 2 and 4, at which kernels of odd integers may be stored
            halved: as INT2 with 2 bits, and as INT4 with 4 bits. Levels of these bit-widths then
            count for fewer steps of int8, and biases are even. `()` gives up this storage for a
            finer grid.
    """

    halved_bits: tuple[int, ...] = tuple(_STRETCH_IN_FRONT_OF_HALVED)

    def __post_init__(self) -> None:
        """Checks the bit-widths.

        Raises:
            ValueError: if `halved_bits` holds anything but 2 and 4.
        """
        known = tuple(_STRETCH_IN_FRONT_OF_HALVED)
        given = self.halved_bits
        if not isinstance(given, (tuple, list)) or not set(given) <= set(known):
            raise ValueError(
                f'halved_bits: expected a tuple of bit-widths out of {known}, got {given!r}. Only '
                'odd kernels of these bit-widths fit a smaller type when they are halved.'
            )
        object.__setattr__(self, 'halved_bits', tuple(sorted(given)))

    def level_stretch(self, bits: int) -> int:
        """Returns how many steps of int8 one level of an activation counts for.

        The bias of the next kernel is a whole number of these steps times the unit of the kernel.
        The more steps a level counts for, the less of the bias is lost. The number is even wherever
        two steps fit, so that half of a level is a whole number of steps.

        Args:
            bits: bit-width of the levels, 1..8.

        Returns:
            The number of steps, >= 1.
        """
        if bits in self.halved_bits:
            return _STRETCH_IN_FRONT_OF_HALVED[bits]
        widest = TENSOR_STEPS // (2**bits - 1)
        return max(1, widest - widest % 2)

    def halves(self, kernel_bits: int, has_odd_integers: bool) -> bool:
        """Tells whether a kernel may be stored halved.

        Args:
            kernel_bits: bit-width of a kernel that is not depthwise.
            has_odd_integers: whether all integers of the kernel are odd.
        """
        return has_odd_integers and kernel_bits in self.halved_bits

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Deployment:
        """Makes the deployment of a saved layer.

        Args:
            config: what `get_config` gave. The layers of networks that version 0.1.0 saved have
                none: these networks halve kernels of 4 bits only.

        Raises:
            ValueError: if `halved_bits` holds anything but 2 and 4.
        """
        return cls(**config) if config else cls(halved_bits=(4,))
