import pytest

from tf_n2uq.layers import Deployment


@pytest.mark.parametrize('bits', range(2, 9))
@pytest.mark.parametrize('halved', [True, False])
def test_levels_fit_int8_an_even_number_of_steps_apart_where_two_fit(bits, halved):
    steps = 2**bits - 1
    stretch = Deployment(halved_kernels=halved).level_stretch(steps)
    assert stretch >= 1
    assert steps * stretch <= 255
    assert stretch % 2 == 0 or steps * 2 > 255


@pytest.mark.parametrize(
    ('steps', 'halved', 'stretch'),
    [(3, True, 84), (7, True, 36), (15, True, 14), (15, False, 16), (31, True, 8), (255, True, 1)],
)
def test_levels_lie_as_far_apart_as_the_file_can_use(steps, halved, stretch):
    assert Deployment(halved_kernels=halved).level_stretch(steps) == stretch


@pytest.mark.parametrize(
    ('bits', 'odd', 'halved', 'units'),
    [(4, True, True, 2), (4, False, True, 1), (3, True, True, 1), (4, True, False, 1)],
)
def test_biases_are_even_where_kernels_may_be_halved(bits, odd, halved, units):
    assert Deployment(halved_kernels=halved).bias_units(bits, odd) == units


def test_the_config_makes_an_equal_deployment():
    deployment = Deployment(halved_kernels=False)
    assert Deployment(**deployment.get_config()) == deployment
