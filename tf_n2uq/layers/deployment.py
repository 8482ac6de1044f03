"""The grid on which levels and biases of an integer file lie."""

from __future__ import annotations

import dataclasses
from typing import Any

# An int8 tensor has 256 values, so 255 steps from the lowest to the highest.
TENSOR_STEPS = 255
# A line per channel is a 1×1 depthwise kernel in the file, of ±127 units.
LINE_UNITS = 127

_STEPS_OF_4_BITS = 15
_LARGEST_INT4 = 7


@dataclasses.dataclass(frozen=True)
class Deployment:
    """The grid on which levels and biases of an integer file lie.

    A scheme has one deployment. The rewrite writes it into the layers, Keras rounds by it at
    inference, and the export reads it from the layers: so Keras and the file round alike.

    Attributes:
        halved_kernels: whether odd kernels of 4 bits may be stored halved, as INT4. The levels
            that these kernels multiply then count for 14 steps of int8 instead of 16, because
            INT4 can multiply by half of 14, and biases are even. `False` gives up this storage
            for a slightly finer grid.
    """

    halved_kernels: bool = True

    def level_stretch(self, steps: int) -> int:
        """Returns how many steps of int8 one level of an activation counts for.

        The bias of the next kernel is a whole number of these steps times the unit of the kernel.
        The more steps a level counts for, the less of the bias is lost. The number is even wherever
        two steps fit, so that half of a level is a whole number of steps.

        Args:
            steps: number of steps from the lowest to the highest level, 1..255.

        Returns:
            The number of steps, >= 1.
        """
        if self.halved_kernels and steps == _STEPS_OF_4_BITS:
            return 2 * _LARGEST_INT4
        widest = TENSOR_STEPS // steps
        return max(1, widest - widest % 2)

    def bias_units(self, kernel_bits: int, has_odd_integers: bool) -> int:
        """Returns of how many units of the kernel the bias of a layer is a multiple.

        Args:
            kernel_bits: bit-width of a kernel that is not depthwise.
            has_odd_integers: whether all integers of the kernel are odd.

        Returns:
            2 for a kernel that may be stored halved, 1 for any other.
        """
        return 2 if self.halved_kernels and has_odd_integers and kernel_bits == 4 else 1

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return dataclasses.asdict(self)
