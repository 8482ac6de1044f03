import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
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
from tf_n2uq.tflite.passes.channel_sums import LevelSums, halve_kernels, sums_channels
from tf_n2uq.tflite.passes.dense import connect_fully
from tf_n2uq.tflite.passes.markers import replace_markers
from tf_n2uq.tflite.running.interpreter import make_interpreter, xnnpack_delegation

ODD = np.arange(-15, 16, 2)
SCALE = 0.02


def plan_of(channels, steps=15, sign=1, stretch=None):
    table = sign * staircase(np.random.default_rng(0), steps, (channels,))
    # All levels are in use, whatever the thresholds are.
    table[:, 0] = sign * np.minimum(np.arange(256), steps)
    return plan_comparators(table, steps, stretch or Deployment().level_stretch(steps))


class Layer:
    """A convolution of levels, on the grid of its kernel, with a bias of whole units."""

    def __init__(self, plan, shape, integers=None, biases=None, **options):
        rng = np.random.default_rng(1)
        self.options = {'strides': 1, 'padding': 'SAME', **options}
        self.integers = rng.choice(ODD, shape) if integers is None else integers
        self.unit = rng.uniform(0.01, 0.05, shape[-1]).astype(np.float32)
        biases = 2 * rng.integers(-900, 900, shape[-1]) if biases is None else biases
        self.bias = (biases * self.unit * SCALE / plan.stretch).astype(np.float32)

    def __call__(self, x):
        kernel = kernel_fake_quant(self.integers * self.unit, self.unit)
        x = tf.nn.conv2d(x, kernel, **self.options) + self.bias
        return fake_quant(x, 3 * SCALE, -10)


def levels_then(plan, function, size=8):
    """A file of a marker and what comes behind it."""
    channels = plan.channel_shape[-1]
    return convert(
        lambda x: function(marked(x, 0, SCALE, 3, plan)), [1, size, size, channels], tf.int8
    )


def as_int8(content, plan):
    model = connect_fully(flatbuffer.read(content))
    return flatbuffer.write(replace_markers(model, [plan]))


def inputs(channels, size=8):
    return np.random.default_rng(2).integers(-128, 128, (1, size, size, channels), np.int8)


def check_same(before, after, x):
    expected = run(before, x)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(run(after, x), expected)
    delegation = xnnpack_delegation(after)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)
    # A matrix product rounds the same way in every implementation.
    np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)


@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize('steps', [3, 7, 15, 31, 63])
def test_halved_kernels_give_what_odd_ones_give(steps, sign):
    plan = plan_of(64, steps, sign)
    before = levels_then(plan, Layer(plan, (3, 3, 64, 64)))
    after = lower(before, [plan])
    assert [kind for kind, _ in kernels(after)] == ['INT4', 'INT4']
    assert len(after) < len(as_int8(before, plan))
    check_same(as_int8(before, plan), after, inputs(64))


@pytest.mark.parametrize('channels', [64, 67])
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
def test_of_all_kinds_of_convolutions(taps, options, channels):
    plan = plan_of(channels)
    before = levels_then(plan, Layer(plan, (taps, taps, channels, 160), **options))
    after = lower(before, [plan])
    assert [kind for kind, _ in kernels(after)] == ['INT4', 'INT4']
    check_same(as_int8(before, plan), after, inputs(channels))


def test_of_dense_layers_behind_a_pooled_and_flattened_image():
    plan = plan_of(16)
    layer = Layer(plan, (1, 1, 256, 300))

    def function(x):
        x = tf.nn.max_pool2d(x, 2, 2, 'VALID')
        return tf.reshape(layer(tf.reshape(x, [1, 1, 1, 256])), [1, 300])

    before = levels_then(plan, function)
    after = lower(before, [plan])
    assert [kind for kind, _ in kernels(after)] == ['INT4', 'INT4']
    check_same(as_int8(before, plan), after, inputs(16))


def test_zeros_around_an_image_are_level_zero_in_sums_too():
    plan = plan_of(64, sign=-1)
    layer = Layer(plan, (3, 3, 64, 64), padding='VALID')
    before = levels_then(plan, lambda x: layer(tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]])))
    check_same(as_int8(before, plan), lower(before, [plan]), inputs(64))


def test_channels_that_are_all_even_are_halved_beside_odd_ones():
    plan = plan_of(64)
    integers = np.random.default_rng(3).choice(ODD, (3, 3, 64, 64))
    integers[..., 0] = 0
    integers[..., 1] = integers[..., 1] // 2 * 2
    before = levels_then(plan, Layer(plan, integers.shape, integers))
    after = lower(before, [plan])
    assert [kind for kind, _ in kernels(after)] == ['INT4', 'INT4']
    check_same(as_int8(before, plan), after, inputs(64))


def test_an_odd_bias_is_off_by_one_unit_at_most():
    plan = plan_of(64)
    biases = np.full(64, 201)
    before = levels_then(plan, Layer(plan, (3, 3, 64, 64), biases=biases))
    model = halve_kernels(connect_fully(flatbuffer.read(before)), [plan])
    graph = flatbuffer.main_graph(model)
    bias = graph.tensors[graph.operators[-1].inputs[2]]
    halves = np.frombuffer(flatbuffer.buffer_bytes(model, bias), np.int32)
    np.testing.assert_array_equal(halves, 100)


def test_halved_kernels_take_any_batch():
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


def test_two_layers_of_the_same_levels_share_their_sums():
    plan = plan_of(64)
    layers = Layer(plan, (3, 3, 64, 64)), Layer(plan, (1, 1, 64, 96))
    before = levels_then(plan, lambda x: tf.concat([layer(x) for layer in layers], -1))
    model = halve_kernels(connect_fully(flatbuffer.read(before)), [plan])
    graph = flatbuffer.main_graph(model)
    assert sum(sums_channels(model, graph, operator) for operator in graph.operators) == 1
    check_same(as_int8(before, plan), lower(before, [plan]), inputs(64))


def test_equal_kernels_of_ones_are_stored_once():
    plans = [plan_of(64), plan_of(64)]
    layers = [Layer(plans[0], (3, 3, 64, 64))]
    layers.append(Layer(plans[1], (3, 3, 64, 64), -layers[0].integers))

    def function(x):
        for index, layer in enumerate(layers):
            x = layer(marked(x, index, 3 * SCALE if index else SCALE, 3, plans[index]))
        return x

    model = flatbuffer.read(lower(convert(function, [1, 8, 8, 64]), plans))
    graph = flatbuffer.main_graph(model)
    adding = [each for each in graph.operators if sums_channels(model, graph, each)]
    assert len(adding) == 2
    assert len({graph.tensors[each.inputs[1]].buffer for each in adding}) == 1


def unchanged(content, plan):
    model = connect_fully(flatbuffer.read(content))
    before = flatbuffer.write(model)
    return flatbuffer.write(halve_kernels(model, [plan])) == before


def test_kernels_that_are_no_odd_integers_of_four_bits_stay():
    plan = plan_of(64)
    rng = np.random.default_rng(4)
    for integers in (rng.integers(-15, 16, (3, 3, 64, 64)), rng.choice([-17, 17], (3, 3, 64, 64))):
        assert unchanged(levels_then(plan, Layer(plan, integers.shape, integers)), plan)


def test_kernels_that_int4_holds_as_they_are_stay():
    plan = plan_of(64)
    integers = np.random.default_rng(4).choice([-7, -1, 3], (3, 3, 64, 64))
    assert unchanged(levels_then(plan, Layer(plan, integers.shape, integers)), plan)


def test_kernels_of_levels_an_odd_number_of_steps_apart_stay():
    plan = plan_of(64, stretch=17)
    assert LevelSums.of(plan) is None
    assert unchanged(levels_then(plan, Layer(plan, (3, 3, 64, 64))), plan)


def test_kernels_of_what_is_no_level_stay():
    plan = plan_of(64)
    layer = Layer(plan, (3, 3, 64, 64))
    content = levels_then(plan, lambda x: layer(fake_quant(tf.nn.relu(x - 1.0), 0.01)))
    assert unchanged(content, plan)


@pytest.mark.parametrize(('channels', 'outputs'), [(8, 8), (256, 8)])
def test_kernels_that_would_take_more_of_the_file_stay(channels, outputs):
    plan = plan_of(channels)
    assert unchanged(levels_then(plan, Layer(plan, (1, 1, channels, outputs))), plan)


def test_a_kernel_that_two_layers_share_stays():
    plan = plan_of(64)
    shape = (3, 3, 64, 64)
    layers = Layer(plan, shape), Layer(plan, shape, np.full(shape, 13))
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
    assert unchanged(flatbuffer.write(model), plan)


def test_grouped_convolutions_stay():
    plan = plan_of(64)
    assert unchanged(levels_then(plan, Layer(plan, (3, 3, 32, 64))), plan)


@pytest.mark.parametrize(
    ('steps', 'sign', 'step', 'most', 'weight'),
    [
        (3, 1, 6, 14, 7),
        (7, 1, 3, 12, 6),
        (15, 1, 1, 17, 7),
        (15, -1, 1, 14, 7),
        (31, 1, 1, 8, 4),
        (127, 1, 1, 2, 1),
    ],
)
def test_sums_are_of_as_many_channels_as_fit(steps, sign, step, most, weight):
    sums = LevelSums.of(plan_of(4, steps, sign))
    assert sums is not None
    assert (sums.step, sums.most_channels, sums.weight) == (step, most, weight)


@pytest.mark.parametrize('channels', [1, 2, 16, 17, 18, 34, 64, 67, 512])
def test_every_channel_is_in_one_sum_and_both_are_an_even_number(channels):
    sums = LevelSums(14, 1, 17)
    kernel = sums.kernel(channels)
    assert kernel.shape == (sums.count(channels), channels)
    np.testing.assert_array_equal(kernel.sum(axis=0), 1)
    assert kernel.sum(axis=1).max() <= 17
    assert sum(kernel.shape) % 2 == 0


def network(**scheme):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(32, 3, padding='same', activation='relu', name='stem')(image)
    y = keras.layers.Conv2D(32, 3, padding='same', use_bias=False, name='first')(x)
    x = keras.layers.Add()([x, keras.layers.BatchNormalization()(y)])
    x = keras.layers.ZeroPadding2D(1)(keras.layers.ReLU()(x))
    x = keras.layers.Conv2D(64, 3, strides=2, name='second')(x)
    x = keras.layers.Conv2D(96, 1, name='third')(keras.layers.MaxPooling2D()(x))
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(4)(keras.layers.Dense(96, name='fourth', activation='relu')(x))
    keras.utils.set_random_seed(0)
    model = quantize(keras.Model(image, x), **scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model


def _layer(report, name):
    (found,) = (layer for layer in report.layers if f'quant_{name}/' in layer.name)
    return found


@pytest.mark.parametrize('activation_bits', [2, 3, 4, 5])
def test_a_network_of_4_bit_kernels_predicts_what_it_does_with_int8_ones(activation_bits):
    model = network(weight_bits=4, activation_bits=activation_bits)
    halved, plain = (
        tf_n2uq.tflite.convert(model, optimize_for=choice) for choice in ('size', 'latency')
    )
    report = tf_n2uq.tflite.inspect(halved)
    assert [_layer(report, name).kernel_type for name in ('second', 'third')] == ['INT4'] * 2
    assert (report.xnnpack_partitions, report.delegation.coverage) == (1, 1.0)
    assert 'INT4' not in tf_n2uq.tflite.inspect(plain).constant_bytes
    assert len(halved) < len(plain)
    images = images_for(model, 16, seed=5)
    expected = tf_n2uq.tflite.predict(plain, images)
    np.testing.assert_array_equal(tf_n2uq.tflite.predict(halved, images), expected)


def test_a_network_of_4_bit_kernels_predicts_what_keras_predicts():
    model = network(bits=4)
    images = images_for(model, 16, seed=5)
    content = tf_n2uq.tflite.convert(model, optimize_for='size')
    report = tf_n2uq.tflite.compare(model, content, images)
    assert report.not_compared == ()
    assert max(each.xnnpack_share for each in report.quantizers) < 0.01
    assert {each.levels for each in report.quantizers} == {16, 256}


def test_sums_are_part_of_the_layer_that_multiplies_them():
    content = tf_n2uq.tflite.convert(network(bits=4), optimize_for='size')
    report = tf_n2uq.tflite.inspect(content)
    assert not any(layer.name.startswith('channel_sums') for layer in report.layers)
    third = _layer(report, 'third')
    assert (third.comparators, third.kernel_bits, third.kernel_shape) == (15, 4, (96, 64 + 4))
    # Its own, what adds channels up, what joins them, and those of the quantizer.
    assert third.operators > 3
    assert sum(layer.operators for layer in report.layers) < report.delegation.operators


def test_4_bit_kernels_of_8_bit_tensors_stay_int8():
    model = network(weight_bits=4, activation_bits=8)
    content = tf_n2uq.tflite.convert(model, optimize_for='size')
    assert 'INT4' not in tf_n2uq.tflite.inspect(content).constant_bytes
    assert operators(content).count('CONCATENATION') == 0
