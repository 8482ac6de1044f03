import numpy as np
import pytest

from tf_n2uq.tflite.network.kernels import IntegerKernel

ODD = np.arange(-15, 16, 2)
INPUT_SCALE, OUTPUT_SCALE = 0.02, 0.05


def kernel(unit, bias, bias_units):
    integers = np.random.default_rng(0).choice(ODD, (3, 3, 8, len(unit)))
    units, bias = np.asarray(unit), np.asarray(bias)
    return IntegerKernel(integers, units, bias, bias_units, may_be_halved=bias_units > 1)


@pytest.mark.parametrize('bias_units', [1, 2])
def test_a_bias_is_a_whole_number_of_what_the_file_counts_in(bias_units):
    unit, bias = np.array([0.01, 0.02, 0.03]), np.array([1.0, -0.7, 0.0])
    result = kernel(unit, bias, bias_units).representable(INPUT_SCALE, OUTPUT_SCALE)
    counted = result.bias / (INPUT_SCALE * unit * bias_units)
    np.testing.assert_allclose(counted, np.rint(counted), atol=1e-9)
    assert np.all(np.abs(result.bias - bias) <= INPUT_SCALE * unit * bias_units / 2)
    np.testing.assert_array_equal(result.unit, unit)


def test_a_channel_that_hardly_uses_its_input_can_be_halved_too():
    unit, bias = np.array([8e-7, 0.02]), np.array([2.0, 1.0])
    result = kernel(unit, bias, 2).representable(INPUT_SCALE, OUTPUT_SCALE)
    assert np.all(result.integers[..., 0] % 2 == 0)
    assert 2 <= np.abs(result.integers[..., 0]).max() <= 14
    assert np.all(result.integers[..., 1] % 2 == 1)


@pytest.mark.parametrize('bias_units', [1, 2])
def test_a_unit_of_the_accumulator_is_less_than_256_steps_of_the_output(bias_units):
    result = kernel([1e3], [0.0], bias_units).representable(INPUT_SCALE, OUTPUT_SCALE)
    assert result.unit[0] * bias_units * INPUT_SCALE / OUTPUT_SCALE < 256


def test_a_channel_without_a_kernel_keeps_its_bias_to_a_small_part_of_a_step():
    exact = IntegerKernel(np.zeros((1, 1, 4, 1), np.int32), np.ones(1), np.array([0.731]))
    result = exact.representable(INPUT_SCALE, OUTPUT_SCALE)
    assert abs(result.bias[0] - 0.731) < OUTPUT_SCALE / 1000
    assert not result.integers.any()


def test_a_line_takes_the_integer_that_its_offset_fits():
    slope, offset = np.array([0.3, -2.5, 0.0, 1.0]), np.array([0.7, 0.123, 5.0, 0.0])
    kernel = IntegerKernel.of_unrounded_line(slope, offset, 0.02)
    np.testing.assert_allclose(kernel.integers[0, 0] * kernel.unit, slope)
    assert kernel.integers[0, 0, 2:].tolist() == [0, 127]
    counts = (offset / (kernel.unit * 0.02))[:2]
    assert np.all(np.abs(counts - np.rint(counts)) < 0.02)
    assert np.all(np.abs(kernel.integers[0, 0, :2]) >= 64)
