import pytest

from tf_n2uq.quantizers.stretch import level_stretch


@pytest.mark.parametrize('bits', range(2, 9))
def test_levels_fit_int8_an_even_number_of_steps_apart_where_two_fit(bits):
    steps = 2**bits - 1
    stretch = level_stretch(steps)
    assert stretch >= 1
    assert steps * stretch <= 255
    assert stretch % 2 == 0 or steps * 2 > 255


@pytest.mark.parametrize(('steps', 'stretch'), [(3, 84), (7, 36), (15, 14), (31, 8)])
def test_levels_lie_as_far_apart_as_the_file_can_use(steps, stretch):
    assert level_stretch(steps) == stretch
