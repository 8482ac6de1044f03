from __future__ import annotations

import math
import re

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from tests.ops import surrogate
from tests.ops.references import assert_equal, cases, nhwc
from tf_n2uq import ops
from tf_n2uq.ops import compiled, n2uq, segments

ACTIVATION = cases('activation_quantizer')
WEIGHT = cases('weight_quantizer')
FUNCTIONS = [ops.learnable_threshold, ops.learnable_threshold_elementwise]
SEVERAL_CHUNKS = 2 * compiled._CHUNK + 77


def parameters_of(bits, seed=0, dtype=np.float32):
    generator = np.random.default_rng(seed)
    n = 2**bits - 1
    return [
        np.array([-0.11], dtype),
        generator.uniform(0.6, 1.4, n).astype(dtype) * 2 / n,
        np.array([1.13], dtype),
        np.array([0.87], dtype),
    ]


def with_gradients(function, x, parameters, dy):
    x, dy = tf.convert_to_tensor(x), tf.convert_to_tensor(dy)
    parameters = [tf.convert_to_tensor(p) for p in parameters]
    with tf.GradientTape() as tape:
        tape.watch([x, *parameters])
        y = function(x, *parameters)
    return [y, *tape.gradient(y, [x, *parameters], dy)]


def random_tensors(shape, bits=2, dtype=np.float32):
    generator = np.random.default_rng(1)
    x, dy = (generator.standard_normal(shape).astype(dtype) for _ in range(2))
    return x + 0.5, parameters_of(bits), dy


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('mode', ['eager', 'graph', 'xla'])
@pytest.mark.parametrize('case', ACTIVATION, ids=range(len(ACTIVATION)))
def test_equals_the_published_activation_quantizer(case, mode, function):
    def run(*arguments):
        return with_gradients(function, arguments[0], arguments[1:5], arguments[5])

    if mode != 'eager':
        run = tf.function(run, jit_compile=mode == 'xla')
    parameters = [case[k].astype(np.float32) for k in ('start', 'a', 'scale1', 'scale2')]
    results = run(nhwc(case['x']), *parameters, nhwc(case['dy']))
    expected = [case[k] for k in ('y', 'dx', 'dstart', 'da', 'dscale1', 'dscale2')]
    expected[:2] = [nhwc(tensor) for tensor in expected[:2]]
    for got, want in zip(results, expected, strict=True):
        assert_equal(got, want)


@pytest.mark.parametrize('function', FUNCTIONS)
@hypothesis.settings(max_examples=15)
@hypothesis.given(
    bits=st.integers(2, 8),
    shape=st.lists(st.integers(0, 5), min_size=0, max_size=4),
    start=st.floats(-1, 1),
    widths=st.lists(st.floats(-0.05, 1), min_size=255, max_size=255),
    scales=st.tuples(st.floats(-2, 2).filter(lambda v: abs(v) > 0.05), st.floats(-2, 2)),
    seed=st.integers(0, 99),
)
def test_forward_is_the_staircase_and_gradient_that_of_the_ramp(
    function, bits, shape, start, widths, scales, seed
):
    generator = np.random.default_rng(seed)
    # Away from the floor, whose kink has no two-sided difference.
    intervals = np.array([w for w in widths if abs(w - surrogate.FLOOR) > 1e-5], np.float64)
    intervals = np.resize(intervals, 2**bits - 1) if len(intervals) else np.full(2**bits - 1, 0.1)
    x, dy = (generator.standard_normal(shape) for _ in range(2))
    away = surrogate.far_from_knots(x, start, intervals, scales[0], margin=1e-5)
    x, dy = np.where(away, x, 1e3), np.where(away, dy, 0.0)
    arguments = (start, intervals, *scales)
    # float64: the difference quotients' own error is then the larger one.
    parameters = [np.array([start]), intervals, *(np.array([s]) for s in scales)]
    y, *gradients = with_gradients(function, x, parameters, dy)
    np.testing.assert_allclose(y, surrogate.staircase(x, *arguments), rtol=1e-9, atol=1e-9)
    expected = surrogate.numeric_gradients(x, dy, *arguments)
    size = max(1.0, max(float(np.max(np.abs(e), initial=0)) for e in expected))
    for got, want in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(np.reshape(got, np.shape(want)), want, rtol=0, atol=1e-5 * size)


@pytest.mark.parametrize('bits', [2, 4, 5, 6, 8])
@pytest.mark.parametrize('size', [1, segments.ROW, compiled._CHUNK, SEVERAL_CHUNKS])
def test_chunk_borders_do_not_show(bits, size):
    x, parameters, dy = random_tensors([size], bits)
    exact = [v.astype(np.float64) for v in (x, *parameters, dy)]
    start, intervals, input_scale, output_scale = exact[1:5]
    away = surrogate.far_from_knots(exact[0], start, intervals, input_scale, margin=1e-5)
    x[~away] = 50.0
    exact[0][~away] = 50.0
    y, *gradients = with_gradients(ops.learnable_threshold, x, parameters, dy)
    expected_y = surrogate.staircase(exact[0], start, intervals, input_scale, output_scale)
    np.testing.assert_allclose(y, expected_y, rtol=1e-6, atol=1e-6)
    expected = with_gradients(ops.learnable_threshold, exact[0], exact[1:5], exact[5])
    # Terms of both signs cancel, so errors are measured against the sum of their magnitudes; and
    # a float32 threshold is only so exact against intervals that shrink with the bits.
    positive = [np.abs(exact[0]), *exact[1:5], np.abs(exact[5])]
    sizes = with_gradients(ops.learnable_threshold, positive[0], positive[1:5], positive[5])
    for got, want, size_of in zip(gradients, expected[1:], sizes[1:], strict=True):
        tolerance = 1e-6 * 2**bits * max(1, np.max(np.abs(size_of)))
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


def test_float32_sums_of_a_large_tensor_stay_accurate():
    """One running float32 sum of these 4 million positive terms would be off by 1e-3 and more."""
    x = np.full([2**22], 0.3, np.float32)
    dy = np.full([2**22], 0.1, np.float32)
    parameters = [np.zeros(1, 'f'), np.full(3, 2 / 3, 'f'), np.ones(1, 'f'), np.ones(1, 'f')]
    _, _, d_start, _, d_input, _ = with_gradients(ops.learnable_threshold, x, parameters, dy)
    assert float(d_start[0]) == pytest.approx(-(2**22) * float(np.float32(0.1)), rel=1e-5)
    assert float(d_input[0]) == pytest.approx(0.3 * 2**22 * float(np.float32(0.1)), rel=1e-5)


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('bits', [2, 4, 8])
def test_exact_threshold_belongs_to_the_lower_level_and_exact_breakpoint_to_the_left(
    function, bits
):
    n = 2**bits - 1
    intervals = np.full([n], 0.25, np.float32)  # exact in float32, as are all sums of it
    x = np.arange(0, 2 * n + 1, dtype=np.float32) * 0.125
    one = np.ones([1], np.float32)
    arguments = [np.zeros([1], np.float32), intervals, one, one]
    y, dx, *_, d_output = with_gradients(function, x, arguments, np.ones_like(x))
    levels = np.arange(2 * n + 1) // 2
    np.testing.assert_allclose(y, levels * (2 / n), rtol=1e-6)
    np.testing.assert_allclose(d_output, [np.sum(levels) * 2 / n], rtol=1e-5)
    np.testing.assert_allclose(dx, np.where(x > 0, 2 / n / 0.25, 0), rtol=1e-6)


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16])
def test_low_precision_input_keeps_float32_parameters_and_sums(function, dtype):
    x, parameters, dy = random_tensors([40, 999])
    low_x, low_dy = tf.cast(x, dtype), tf.cast(dy, dtype)
    y, dx, *gradients = with_gradients(function, low_x, parameters, low_dy)
    assert (y.dtype, dx.dtype) == (dtype, dtype)
    same = [tf.cast(v, tf.float32) for v in (low_x, low_dy)]
    expected = with_gradients(function, same[0], parameters, same[1])
    np.testing.assert_array_equal(y, tf.cast(expected[0], dtype))
    for got, want in zip(gradients, expected[2:], strict=True):
        assert got.dtype == tf.float32
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('shape', [[None, 4, 4, 3], [None, None], None])
def test_unknown_batch_shape_and_rank(function, shape):
    x, parameters, dy = random_tensors([6, 4, 4, 3])
    signature = [tf.TensorSpec(shape, tf.float32)] * 2
    if shape == [None, None]:
        x, dy = x.reshape(6, -1), dy.reshape(6, -1)
    run = tf.function(
        lambda x, dy: with_gradients(function, x, parameters, dy), input_signature=signature
    )
    assert run.get_concrete_function().output_shapes[0] == tf.TensorShape(shape)
    for rows in (6, 1, 0):
        results = run(x[:rows], dy[:rows])
        expected = with_gradients(function, x[:rows], parameters, dy[:rows])
        for got, want in zip(results, expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('jit_compile', [False, True])
def test_empty_batch_has_zero_gradients(function, jit_compile):
    x, parameters, dy = random_tensors([0, 4, 3])
    run = tf.function(with_gradients, jit_compile=jit_compile)
    y, dx, *gradients = run(function, x, parameters, dy)
    assert y.shape == dx.shape == (0, 4, 3)
    for gradient, parameter in zip(gradients, parameters, strict=True):
        np.testing.assert_array_equal(gradient, np.zeros_like(parameter))


@pytest.mark.parametrize('bits', [4, 8])
def test_xla_computes_several_chunks(bits):
    x, parameters, dy = random_tensors([SEVERAL_CHUNKS], bits)
    away = surrogate.far_from_knots(x, parameters[0], parameters[1], parameters[2], 1e-5)
    x = np.where(away, x, 50).astype(np.float32)
    run = tf.function(with_gradients, jit_compile=True)
    results = run(ops.learnable_threshold, x, parameters, dy)
    expected = with_gradients(ops.learnable_threshold, x, parameters, dy)
    for got, want in zip(results, expected, strict=True):
        assert_equal(got, want.numpy())


def test_two_uses_on_one_tape_add_up():
    x, parameters, dy = random_tensors([100])
    once = with_gradients(ops.learnable_threshold, x, parameters, dy)

    def twice(*arguments):
        return ops.learnable_threshold(*arguments) + ops.learnable_threshold(*arguments)

    for got, want in zip(with_gradients(twice, x, parameters, dy), once, strict=True):
        np.testing.assert_allclose(got, 2 * want.numpy(), rtol=1e-6)


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('bits', [2, 4, 8])
def test_backward_pass_keeps_the_input_and_nothing_else_of_its_size(function, bits):
    size = 3 * 1009
    _, parameters, _ = random_tensors([1], bits)
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [size])
        dy = tf.compat.v1.placeholder(tf.float32, [size])
        constants = [tf.constant(p) for p in parameters]
        with tf.GradientTape() as tape:
            tape.watch([x, *constants])
            y = function(x, *constants)
        forward = set(graph.get_operations())
        tape.gradient(y, [x, *constants], dy)
        backward = set(graph.get_operations()) - forward
    kept = {
        tensor.name
        for operation in backward
        for tensor in operation.inputs
        if tensor.op in forward and not _is_small(tensor, 4 * 256)
    }
    assert kept == {x.name, dy.name}


def _is_small(tensor, limit):
    count = tensor.shape.num_elements()
    return count is not None and count <= limit


def test_compiled_gradient_has_no_temporary_of_the_size_of_its_input():
    size, n = 8 * compiled._CHUNK, 15
    vector, scalar = tf.TensorSpec([size]), tf.TensorSpec([])
    run = tf.function(n2uq._gradient_and_sums, jit_compile=True, autograph=False)
    parameters = [tf.TensorSpec([n + 1]), tf.TensorSpec([n]), tf.TensorSpec([n]), scalar]
    hlo = run.experimental_get_compiler_ir(vector, vector, *parameters)(stage='optimized_hlo')
    # What stands inside of fused computations exists in registers only.
    computations = re.findall(r'^(?:ENTRY )?%?(\S+) \(.*?\{\n(.*?)^\}', hlo, re.M | re.S)
    outside = [body for name, body in computations if not name.startswith(('fused', 'wrapped'))]
    made = re.findall(r'^ .* = f32\[([\d,]+)\]\S* (fusion|copy|pad)\(', '\n'.join(outside), re.M)
    assert len(made) > 5
    # dx, and nothing else.
    large = [shape for shape, _ in made if math.prod(map(int, shape.split(','))) >= size]
    assert len(large) <= 1


@hypothesis.settings(max_examples=20)
@hypothesis.given(bits=st.integers(2, 8), seed=st.integers(0, 99))
def test_levels_times_step_is_the_function(bits, seed):
    x = np.random.default_rng(seed).standard_normal([50]).astype(np.float32)
    start, intervals, input_scale, output_scale = parameters_of(bits, seed)
    levels = ops.threshold_levels(x, start, intervals, input_scale)
    assert levels.dtype == tf.int32
    step = output_scale * np.float32(2 / len(intervals))
    for function in FUNCTIONS:
        y = function(x, start, intervals, input_scale, output_scale)
        np.testing.assert_allclose(y, levels.numpy() * step, rtol=1e-6)


def test_floored_intervals_replaces_what_is_not_above_the_floor():
    intervals = tf.constant([-1.0, 0.0, 5e-4, 1e-3, 2e-3])
    with tf.GradientTape() as tape:
        tape.watch(intervals)
        floored = ops.floored_intervals(intervals)
    np.testing.assert_allclose(floored, [1e-3, 1e-3, 1e-3, 1e-3, 2e-3])
    np.testing.assert_array_equal(tape.gradient(floored, intervals), [0, 0, 0, 0, 1])


@pytest.mark.parametrize('shape', [[2], [3, 1], [], [0], [511]])
def test_wrong_number_of_intervals_is_named(shape):
    one = tf.ones([1])
    with pytest.raises(ValueError, match=r'intervals: expected .* got shape'):
        ops.learnable_threshold(tf.ones([2]), one, tf.ones(shape), one, one)


def test_integer_input_is_named():
    one = tf.ones([1])
    with pytest.raises(TypeError, match='x: expected a floating point tensor, got int32'):
        ops.learnable_threshold(tf.constant([1, 2]), one, tf.ones([3]), one, one)


def convolve(case, x, kernel):
    """The case's convolution, PyTorch's symmetric padding, on NHWC and HWIO or HWCM."""
    pad, stride = int(case['padding']), int(case['stride'])
    x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    convolution = tf.nn.depthwise_conv2d if int(case['groups']) > 1 else tf.nn.conv2d
    return convolution(x, kernel, [1, stride, stride, 1], 'VALID')


@pytest.mark.parametrize('mode', ['eager', 'graph', 'xla'])
@pytest.mark.parametrize('case', WEIGHT, ids=range(len(WEIGHT)))
def test_equals_the_published_weight_quantizer(case, mode):
    depthwise = int(case['groups']) > 1
    # OIHW to HWIO; depthwise [C, 1, h, w] to [h, w, C, 1].
    order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    axis = (-2, -1) if depthwise else -1

    def run(x, kernel, dy):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(case, x, ops.entropy_preserving(kernel, int(case['bits']), axis))
        return [y, *tape.gradient(y, [x, kernel], dy)]

    if mode != 'eager':
        run = tf.function(run, jit_compile=mode == 'xla')
    kernel = tf.constant(case['weight'].transpose(order).astype(np.float32))
    y, dx, d_kernel = run(tf.constant(nhwc(case['x'])), kernel, tf.constant(nhwc(case['dy'])))
    assert_equal(y, nhwc(case['y']))
    assert_equal(dx, nhwc(case['dx']))
    assert_equal(d_kernel, case['dweight'].transpose(order))


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    bits=st.integers(2, 8),
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    several_axes=st.booleans(),
    seed=st.integers(0, 99),
)
def test_kernel_integers_times_unit_is_the_quantized_kernel(bits, shape, several_axes, seed):
    kernel = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    axis = (-2, -1) if several_axes else -1
    integers, unit = ops.kernel_integers(kernel, bits, axis)
    quantized = ops.entropy_preserving(kernel, bits, axis)
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, quantized)
    assert integers.dtype == tf.int32
    assert np.all(np.abs(integers) <= 2**bits - 1)
    assert np.all(integers.numpy() % 2 == 1)
    np.testing.assert_allclose(unit * (2**bits - 1), ops.kernel_scale(kernel, bits, axis), 1e-6)


@pytest.mark.parametrize('bits', [2, 3, 4])
def test_levels_of_a_uniform_kernel_are_about_equally_likely(bits):
    kernel = np.random.default_rng(0).uniform(-1, 1, [64, 64, 8]).astype(np.float32)
    integers, _ = ops.kernel_integers(kernel, bits)
    counts = np.bincount((integers.numpy().ravel() + 2**bits - 1) // 2, minlength=2**bits)
    # The outer levels also take what is clipped, and half a step less.
    assert counts.min() > 0.5 * counts.mean()


def test_a_channel_of_zeros_stays_zero_and_its_gradient_finite():
    kernel = np.random.default_rng(0).standard_normal([3, 3, 2, 4]).astype(np.float32)
    kernel[..., 1] = 0
    kernel[..., 2] = 1e-38
    kernel = tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        quantized = ops.entropy_preserving(kernel, 2)
    gradient = tape.gradient(quantized, kernel)
    np.testing.assert_array_equal(quantized[..., 1:3], 0)
    np.testing.assert_array_equal(gradient[..., 1:3], 1)
    assert np.all(np.isfinite(gradient))
    integers, unit = ops.kernel_integers(kernel, 2)
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, quantized)


@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16])
def test_low_precision_kernel_is_quantized_in_float32(dtype):
    kernel = tf.cast(np.random.default_rng(0).standard_normal([3, 3, 4, 4]), dtype)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        quantized = ops.entropy_preserving(kernel, 3)
    expected = ops.entropy_preserving(tf.cast(kernel, tf.float32), 3)
    np.testing.assert_array_equal(quantized, tf.cast(expected, dtype))
    assert tape.gradient(quantized, kernel).dtype == dtype


@pytest.mark.parametrize('axis', [4, -5, (-2, 4)])
def test_axis_that_a_kernel_has_not_got_is_named(axis):
    with pytest.raises(ValueError, match=r'channel_axis: expected axes from -4 to 3 .* got'):
        ops.entropy_preserving(tf.ones([3, 3, 2, 2]), 2, axis)
