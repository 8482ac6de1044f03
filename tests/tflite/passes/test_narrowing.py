import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
import tf_n2uq.tflite.passes.narrow_types
from tests.networks import images_for, quantize
from tests.tflite.graphs import (
    convert,
    fake_quant,
    kernel_fake_quant,
    kernels,
    lower,
    marked,
    operators,
    run,
    staircase,
)
from tf_n2uq.layers import Deployment
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.channel_sums import sums_channels
from tf_n2uq.tflite.passes.dense import connect_fully
from tf_n2uq.tflite.passes.narrowing import narrow_kernels
from tf_n2uq.tflite.running.interpreter import make_interpreter, xnnpack_delegation
from tf_n2uq.tflite.targets import latency_passes

ODD = {2: np.arange(-3, 4, 2), 3: np.arange(-7, 8, 2), 4: np.arange(-15, 16, 2)}
SCALE = 0.02


def plan_of(channels, steps=3, sign=1, stretch=42):
    table = sign * staircase(np.random.default_rng(0), steps, (channels,))
    # All levels are in use, whatever the thresholds are.
    table[:, 0] = sign * np.minimum(np.arange(256), steps)
    return plan_comparators(table, steps, stretch)


class Layer:
    """A convolution of levels, on the grid of its kernel, with a bias of whole units."""

    def __init__(self, plan, shape, values=ODD[2], biases=None, **options):
        rng = np.random.default_rng(1)
        self.options = {'strides': 1, 'padding': 'SAME', **options}
        self.integers = values if values.shape == shape else rng.choice(values, shape)
        self.unit = rng.uniform(0.01, 0.05, shape[-1]).astype(np.float32)
        self.step = SCALE / plan.stretch
        biases = 2 * rng.integers(-900, 900, shape[-1]) if biases is None else biases
        self.bias = (biases * self.unit * self.step).astype(np.float32)
        self.scale = 3 * SCALE if np.abs(self.integers).max() > 7 else SCALE

    def __call__(self, x):
        kernel = kernel_fake_quant(self.integers * self.unit, self.unit)
        x = tf.nn.conv2d(x, kernel, **self.options) + self.bias
        return fake_quant(x, self.scale, -10)


def levels_then(plan, function, size=8):
    """A file of a marker and what comes behind it."""
    channels = plan.channel_shape[-1]
    return convert(
        lambda x: function(marked(x, 0, SCALE, 3, plan)), [1, size, size, channels], tf.int8
    )


def as_int8(content, plan):
    model = flatbuffer.read(content)
    for each in latency_passes([plan]):
        each(model)
    return flatbuffer.write(model)


def inputs(channels, size=8):
    return np.random.default_rng(2).integers(-128, 128, (1, size, size, channels), np.int8)


def types(content):
    return [kind for kind, _ in kernels(content)]


def check_same(before, plan, expected_types):
    """Checks the kernels of the small file, and its integers, to the bit."""
    after, before = lower(before, [plan]), as_int8(before, plan)
    assert types(after) == expected_types
    assert len(after) < len(before)
    x = inputs(plan.channel_shape[-1])
    expected = run(before, x)
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(run(after, x), expected)
    delegation = xnnpack_delegation(after)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)
    # A matrix product rounds the same way in every implementation.
    np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)
    return after


@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize(
    ('bits', 'steps', 'stretch', 'stored'),
    [
        *((2, 3, stretch, ['INT2', 'INT2']) for stretch in (2, 6, 8, 20, 42, 84)),
        (2, 15, 8, ['INT2', 'INT2']),
        (3, 7, 18, ['INT4']),
        *((4, 15, stretch, ['INT2', 'INT4']) for stretch in (2, 8, 14, 16)),
        (4, 3, 42, ['INT2', 'INT4']),
        (4, 63, 4, ['INT2', 'INT4']),
    ],
)
def test_halved_kernels_give_what_odd_ones_give(bits, steps, stretch, stored, sign):
    plan = plan_of(64, steps, sign, stretch)
    check_same(levels_then(plan, Layer(plan, (3, 3, 64, 64), ODD[bits])), plan, stored)


@pytest.mark.parametrize('channels', [64, 67])
@pytest.mark.parametrize('bits', [2, 4])
@pytest.mark.parametrize(
    ('taps', 'options'),
    [
        (3, {'strides': 2}),
        (3, {'padding': 'VALID'}),
        (3, {'dilations': 2}),
        (2, {}),
        (1, {}),
        (1, {'strides': 2, 'padding': 'VALID'}),
    ],
)
def test_of_all_kinds_of_convolutions(taps, options, bits, channels):
    plan = plan_of(channels)
    before = levels_then(plan, Layer(plan, (taps, taps, channels, 160), ODD[bits], **options))
    ones = 'INT8' if channels % 2 else 'INT2'
    check_same(before, plan, [ones, f'INT{bits}'])


@pytest.mark.parametrize('bits', [2, 4])
def test_of_dense_layers_behind_a_pooled_and_flattened_image(bits):
    plan = plan_of(16)
    layer = Layer(plan, (1, 1, 256, 300), ODD[bits])

    def function(x):
        x = tf.nn.max_pool2d(x, 2, 2, 'VALID')
        return tf.reshape(layer(tf.reshape(x, [1, 1, 1, 256])), [1, 300])

    check_same(levels_then(plan, function), plan, ['INT2', f'INT{bits}'])


def test_zeros_around_an_image_are_level_zero_in_sums_too():
    plan = plan_of(64, sign=-1)
    layer = Layer(plan, (3, 3, 64, 64), padding='VALID')
    before = levels_then(plan, lambda x: layer(tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]])))
    check_same(before, plan, ['INT2', 'INT2'])


def test_channels_that_are_all_even_are_halved_beside_odd_ones():
    plan = plan_of(64)
    integers = np.random.default_rng(3).choice(ODD[2], (3, 3, 64, 64))
    integers[..., 0] = 0
    integers[..., 1] = integers[..., 1] // 2 * 2
    check_same(levels_then(plan, Layer(plan, integers.shape, integers)), plan, ['INT2', 'INT2'])


def test_a_layer_without_a_bias_gets_one():
    plan = plan_of(64)
    layer = Layer(plan, (1, 1, 64, 300), biases=np.zeros(300))
    check_same(levels_then(plan, layer), plan, ['INT2', 'INT2'])


@pytest.mark.parametrize(('channels', 'stored'), [(64, 'INT2'), (66, 'INT2'), (65, 'INT2')])
@pytest.mark.parametrize('taps', [1, 2, 3])
def test_kernels_that_int2_holds_as_they_are_need_no_sums(taps, channels, stored):
    plan = plan_of(channels, stretch=17)
    layer = Layer(plan, (taps, taps, channels, 160), np.arange(-2, 2))
    check_same(levels_then(plan, layer), plan, [stored])


def test_kernels_of_tensors_without_levels_are_stored_as_they_fit():
    plan = plan_of(64)
    rng = np.random.default_rng(4)
    for values, stored in ((np.arange(-2, 2), 'INT2'), (ODD[2], 'INT4'), (ODD[4], 'INT8')):
        layer = Layer(plan, (3, 3, 64, 64), rng.choice(values, (3, 3, 64, 64)))
        content = levels_then(plan, lambda x, layer=layer: layer(fake_quant(x - 0.001, 0.01)))
        assert types(lower(content, [plan])) == [stored]


def test_kernels_of_levels_an_odd_number_of_steps_apart_are_not_halved():
    plan = plan_of(64, stretch=41)
    for bits, stored in ((2, 'INT4'), (4, 'INT8')):
        content = levels_then(plan, Layer(plan, (3, 3, 64, 64), ODD[bits]))
        assert types(lower(content, [plan])) == [stored]


def test_kernels_with_an_odd_bias_are_not_halved():
    plan = plan_of(64)
    for bits, stored in ((2, 'INT4'), (4, 'INT8')):
        layer = Layer(plan, (3, 3, 64, 64), ODD[bits], biases=np.full(64, 201))
        assert types(lower(levels_then(plan, layer), [plan])) == [stored]


def test_kernels_whose_doubled_unit_xnnpack_would_refuse_are_not_halved():
    plan = plan_of(64)
    layer = Layer(plan, (3, 3, 64, 64))
    layer.unit[:] = 0.02
    # A unit of the sum is 200 steps of the output, and twice as many are too many.
    layer.scale = 0.02 * layer.step / 200
    layer.bias[:] = 0
    content = lower(levels_then(plan, layer), [plan])
    assert types(content) == ['INT4']
    assert xnnpack_delegation(content).coverage == 1.0


def test_a_huge_odd_bias_is_halved_to_the_nearest_integer():
    plan = plan_of(64)
    biases = np.full(64, 2 * 900)
    biases[5] = (1 << 23) + 1
    content = levels_then(plan, Layer(plan, (3, 3, 64, 64), biases=biases))
    model = narrow_kernels(connect_fully(flatbuffer.read(content)), [plan])
    graph = flatbuffer.main_graph(model)
    bias = graph.tensors[graph.operators[-1].inputs[2]]
    halves = np.frombuffer(flatbuffer.buffer_bytes(model, bias), np.int32)
    assert halves[5] - halves[4] in ((1 << 22) - 900, (1 << 22) + 1 - 900)


def test_kernels_of_mixed_parity_are_not_halved():
    plan = plan_of(64)
    layer = Layer(plan, (3, 3, 64, 64), np.arange(-15, 16))
    assert types(lower(levels_then(plan, layer), [plan])) == ['INT8']


def narrowed(content, plan):
    return flatbuffer.write(narrow_kernels(connect_fully(flatbuffer.read(content)), [plan]))


@pytest.mark.parametrize(
    ('values', 'taps', 'channels', 'outputs'),
    [
        # Gathering patches would take more than the kernel.
        (np.arange(-2, 2), 3, 8, 8),
        (ODD[2], 3, 8, 8),
        (ODD[4], 3, 16, 16),
        # Sums would take more than the kernel, and a dense layer with INT8 has no other form.
        (ODD[4], 1, 8, 8),
        (ODD[4], 1, 256, 4),
    ],
)
def test_a_kernel_that_would_take_more_of_the_file_stays(values, taps, channels, outputs):
    plan = plan_of(channels)
    content = levels_then(plan, Layer(plan, (taps, taps, channels, outputs), values))
    model = connect_fully(flatbuffer.read(content))
    before = flatbuffer.write(model)
    assert flatbuffer.write(narrow_kernels(model, [plan])) == before


@pytest.mark.parametrize('outputs', [8, 16, 32, 64, 128, 256])
def test_the_form_that_is_chosen_is_about_the_smallest_one(outputs, monkeypatch):
    plan = plan_of(32, stretch=84)
    content = levels_then(plan, Layer(plan, (3, 3, 32, outputs)))
    chosen = narrowed(content, plan)
    sizes = [len(flatbuffer.write(connect_fully(flatbuffer.read(content))))]
    for form in ('INT2', 'INT4'):
        with monkeypatch.context() as patch:
            table = 'tf_n2uq.tflite.passes.narrowing.NARROW_TYPES'
            narrow = tf_n2uq.tflite.passes.narrow_types.NARROW_TYPES[form]
            patch.setattr(table, {form: narrow})
            patch.setattr('tf_n2uq.tflite.passes.narrowing._BYTES_OF_OPERATOR', -(10**6))
            forced = narrowed(content, plan)
        assert form in types(forced)
        sizes.append(len(forced))
    # The bytes of an operator are an estimate, and there are about a dozen operators.
    assert len(chosen) <= min(sizes) + 1000


def test_grouped_convolutions_keep_their_kernels():
    plan = plan_of(64)
    content = levels_then(plan, Layer(plan, (3, 3, 32, 64)))
    assert types(narrowed(content, plan)) == ['INT8']


def test_two_layers_of_the_same_levels_share_their_sums():
    plan = plan_of(64)
    layers = Layer(plan, (3, 3, 64, 96)), Layer(plan, (3, 3, 64, 64)), Layer(plan, (1, 1, 64, 300))
    before = levels_then(plan, lambda x: tf.concat([layer(x) for layer in layers], -1))
    after = check_same(before, plan, ['INT2', 'INT2', 'INT2', 'INT2', 'INT2'])
    model = flatbuffer.read(after)
    graph = flatbuffer.main_graph(model)
    # The third layer reads the image without zeros around it, which has sums of its own.
    assert sum(sums_channels(model, graph, operator) for operator in graph.operators) == 2


def test_a_kernel_that_two_convolutions_share_stays():
    plan = plan_of(64)
    shape = (3, 3, 64, 64)
    layers = Layer(plan, shape), Layer(plan, shape, np.full(shape, 3))
    model = flatbuffer.read(
        levels_then(plan, lambda x: tf.concat([layer(x) for layer in layers], -1))
    )
    graph = flatbuffer.main_graph(model)
    first, second = (
        operator
        for operator in graph.operators
        if flatbuffer.operator_name(model, operator) == 'CONV_2D'
    )
    second.inputs[1] = first.inputs[1]
    assert types(flatbuffer.write(narrow_kernels(model, [plan]))) == ['INT8', 'INT8']


def test_a_kernel_that_two_dense_layers_share_is_stored_once():
    plan = plan_of(16)
    layers = [Layer(plan, (1, 1, 64, 64), np.arange(-2, 2)) for _ in range(2)]
    # Other numbers, so that the converter keeps both kernels.
    layers[1].integers = -1 - layers[1].integers

    def function(x):
        flat = tf.reshape(x, [1, 1, 1, 64])
        return [tf.reshape(layer(flat), [1, 64]) for layer in layers]

    model = connect_fully(flatbuffer.read(levels_then(plan, function, size=2)))
    first, second = (
        operator
        for operator in flatbuffer.main_graph(model).operators
        if flatbuffer.operator_name(model, operator) == 'FULLY_CONNECTED'
    )
    second.inputs[1] = first.inputs[1]
    before = flatbuffer.write(model)
    after = flatbuffer.write(narrow_kernels(model, [plan]))
    assert types(after) == ['INT2', 'INT2']
    assert first.opcodeIndex == second.opcodeIndex
    assert len(after) < len(before) - 0.7 * 64 * 64


def test_narrow_kernels_take_any_batch():
    plan = plan_of(64)
    content = lower(levels_then(plan, Layer(plan, (3, 3, 64, 64))), [plan])
    x = np.concatenate([inputs(64), 1 - inputs(64), inputs(64)[:, ::-1]])
    interpreter = make_interpreter(content, 1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]['index'], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
    np.testing.assert_array_equal(outputs, np.concatenate([run(content, one[None]) for one in x]))


def network(**scheme):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(32, 3, padding='same', activation='relu', name='stem')(image)
    y = keras.layers.Conv2D(32, 3, padding='same', use_bias=False, name='first')(x)
    x = keras.layers.Add()([x, keras.layers.BatchNormalization()(y)])
    x = keras.layers.ZeroPadding2D(1)(keras.layers.ReLU()(x))
    x = keras.layers.Conv2D(64, 3, strides=2, name='second')(x)
    x = keras.layers.Conv2D(96, 1, name='third')(keras.layers.MaxPooling2D()(x))
    x = keras.layers.Conv2D(96, 3, groups=2, padding='same', name='grouped')(x)
    x = keras.layers.DepthwiseConv2D(3, padding='same', name='depthwise')(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(4)(keras.layers.Dense(96, name='fourth', activation='relu')(x))
    keras.utils.set_random_seed(0)
    model = quantize(keras.Model(image, x), **scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model


@pytest.fixture(name='deploy')
def _deploy(monkeypatch):
    """Gives all levels a stretch."""

    def deploy(stretch):
        monkeypatch.setattr(
            Deployment, 'level_stretch', lambda self, bits: min(stretch, 255 // (2**bits - 1))
        )

    return deploy


def _layer(report, name):
    (found,) = (layer for layer in report.layers if f'quant_{name}/' in layer.name)
    return found


@pytest.mark.parametrize(
    ('weight_bits', 'activation_bits', 'stretch', 'stored'),
    [
        (2, 2, 42, 'INT2'),
        (2, 2, 8, 'INT2'),
        (2, 4, 8, 'INT2'),
        (3, 3, 18, 'INT4'),
        (4, 2, 42, 'INT4'),
        (4, 4, 8, 'INT4'),
        (4, 4, 14, 'INT4'),
        (4, 5, 8, 'INT4'),
    ],
)
def test_a_network_predicts_the_same_from_either_file(
    deploy, weight_bits, activation_bits, stretch, stored
):
    deploy(stretch)
    model = network(weight_bits=weight_bits, activation_bits=activation_bits)
    small, fast = (
        tf_n2uq.tflite.convert(model, optimize_for=choice) for choice in ('size', 'latency')
    )
    report = tf_n2uq.tflite.inspect(small)
    assert [_layer(report, name).kernel_type for name in ('second', 'third')] == [stored] * 2
    assert _layer(report, 'depthwise').kernel_type == 'INT8'
    assert (report.xnnpack_partitions, report.delegation.coverage) == (1, 1.0)
    assert not {'INT2', 'INT4'} & set(tf_n2uq.tflite.inspect(fast).constant_bytes)
    assert len(small) < len(fast)
    images = images_for(model, 16, seed=5)
    expected = tf_n2uq.tflite.predict(fast, images)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(tf_n2uq.tflite.predict(small, images), expected)


@pytest.mark.parametrize(('bits', 'stretch'), [(2, 42), (4, 8)])
def test_a_small_file_computes_what_keras_computes(deploy, bits, stretch):
    deploy(stretch)
    model = network(bits=bits)
    images = images_for(model, 16, seed=5)
    content = tf_n2uq.tflite.convert(model, optimize_for='size')
    report = tf_n2uq.tflite.compare(model, content, images)
    assert report.not_compared == ()
    assert max(each.xnnpack_share for each in report.quantizers) < 0.01
    assert {each.levels for each in report.quantizers} == {2**bits, 256}


def test_sums_are_part_of_the_layer_that_multiplies_them(deploy):
    deploy(14)
    content = tf_n2uq.tflite.convert(network(bits=4), optimize_for='size')
    report = tf_n2uq.tflite.inspect(content)
    assert not any(layer.name.startswith('channel_sums') for layer in report.layers)
    third = _layer(report, 'third')
    assert (third.comparators, third.kernel_bits, third.kernel_shape) == (15, 4, (96, 64 + 4))
    # Its own, what adds channels up, what joins them, and those of the quantizer.
    assert third.operators > 3
    assert sum(layer.operators for layer in report.layers) < report.delegation.operators


def test_odd_kernels_of_8_bit_tensors_are_not_halved():
    model = network(weight_bits=4, activation_bits=8)
    content = tf_n2uq.tflite.convert(model, optimize_for='size')
    assert 'INT4' not in tf_n2uq.tflite.inspect(content).constant_bytes
    assert operators(content).count('CONCATENATION') == 0
