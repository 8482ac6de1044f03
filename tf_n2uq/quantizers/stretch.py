"""How far apart an integer file puts the levels of an activation."""

_STEPS_OF_INT8 = 255


def level_stretch(steps: int) -> int:
    """How many steps of int8 one level of an activation counts for in an integer file.

    The bias of the next kernel is a whole number of these steps times the kernel's unit, so the
    more, the less of it is lost. Odd 4-bit kernels are stored halved, and what that leaves out is
    half of a level per product: it is a whole number of steps if their number is even, and INT4
    can multiply by it if it is at most 7. So 15 steps are stretched by 14; by 16, sums of half as
    many channels would fit int8.

    Args:
        steps: From the lowest to the highest level, 1..255.

    Returns:
        The number of steps, >= 1: even wherever two fit.
    """
    if steps == 15:
        return 14
    widest = _STEPS_OF_INT8 // steps
    return max(1, widest - widest % 2)
