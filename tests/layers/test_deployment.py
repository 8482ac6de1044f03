import pytest

from tf_n2uq.layers import Deployment


@pytest.mark.parametrize('bits', range(1, 9))
@pytest.mark.parametrize('halved_bits', [(), (2,), (4,), (2, 4)])
def test_levels_fit_int8_an_even_number_of_steps_apart_where_two_fit(bits, halved_bits):
    steps = 2**bits - 1
    stretch = Deployment(halved_bits).level_stretch(bits)
    assert stretch >= 1
    assert steps * stretch <= 255
    assert stretch % 2 == 0 or steps * 2 > 255


@pytest.mark.parametrize(
    ('bits', 'halved_bits', 'stretch'),
    [
        *((2, (), 84), (2, (4,), 84), (2, (2, 4), 8)),
        *((3, (), 36), (3, (2, 4), 36)),
        *((4, (), 16), (4, (2,), 16), (4, (2, 4), 14)),
        *((5, (2, 4), 8), (8, (2, 4), 1)),
    ],
)
def test_levels_lie_as_far_apart_as_the_file_can_use(bits, halved_bits, stretch):
    assert Deployment(halved_bits).level_stretch(bits) == stretch


@pytest.mark.parametrize('bits', [2, 3, 4])
@pytest.mark.parametrize('odd', [True, False])
@pytest.mark.parametrize('halved_bits', [(), (2,), (2, 4)])
def test_odd_kernels_of_the_chosen_bit_widths_may_be_halved(bits, odd, halved_bits):
    assert Deployment(halved_bits).halves(bits, odd) == (odd and bits in halved_bits)


def test_the_config_makes_an_equal_deployment():
    deployment = Deployment(halved_bits=(2,))
    assert Deployment.from_config(deployment.get_config()) == deployment
    # JSON has lists only.
    assert Deployment.from_config({'halved_bits': [2]}) == deployment


def test_networks_of_0_1_0_which_have_no_config_halve_kernels_of_4_bits_only():
    assert Deployment.from_config({}) == Deployment(halved_bits=(4,))


@pytest.mark.parametrize('wrong', [(3,), (2, 8), ('2',), 4, None, True])
def test_other_bit_widths_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=r'halved_bits: expected a tuple of .*\(2, 4\), got'):
        Deployment(halved_bits=wrong)
