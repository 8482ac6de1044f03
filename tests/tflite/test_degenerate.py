"""Networks with parameters at their limits: exported right, or refused with the layer's name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tests.tflite.forced import ForcedRun, run_forced, unexplained
from tf_n2uq.tflite import convert

_layers = keras.layers
SHAPE = (9, 7, 3)
THRESHOLDS = 'inner_thresholds'


def network() -> keras.Model:
    image = keras.Input(SHAPE, name='image')
    x = _layers.Conv2D(6, 3, padding='same', name='stem')(image)
    x = _layers.ReLU(name='relu')(_layers.BatchNormalization(name='stem_normalized')(x))
    y = _layers.Conv2D(6, 3, padding='same', name='inner')(x)
    y = _layers.BatchNormalization(name='normalized')(y)
    x = tf_n2uq.layers.RPReLU(name='rectified')(_layers.Add(name='sum')([x, y]))
    y = _layers.DepthwiseConv2D(3, padding='same', name='deep')(x)
    x = _layers.Add(name='second_sum')([x, y])
    x = _layers.Conv2D(5, 1, name='last')(x)
    x = _layers.GlobalAveragePooling2D(name='pooled')(x)
    return keras.Model(image, _layers.Dense(4, name='logits')(x))


def images() -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 1.0, (16, *SHAPE)).astype(np.float32)


@pytest.fixture(scope='module', params=[2])
def calibrated(request: pytest.FixtureRequest) -> tuple[keras.Model, list[np.ndarray]]:
    """A network and its weights."""
    keras.utils.set_random_seed(3)
    model = quantize(network(), bits=request.param)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, _layers.BatchNormalization):
            layer.beta.assign(rng.normal(0.0, 0.5, layer.beta.shape))
    tf_n2uq.calibrate(model, images(), verbose=0)
    return model, model.get_weights()


@pytest.fixture
def model(calibrated: tuple[keras.Model, list[np.ndarray]]) -> Iterator[keras.Model]:
    network, weights = calibrated
    yield network
    network.set_weights(weights)


def variable(model: keras.Model, layer: str, name: str) -> Any:
    (found,) = (
        each
        for each in model.get_layer(layer).weights
        if each.name.split('/')[-1].removeprefix('tensor_').removesuffix(':0') == name
    )
    return found


def fill(model: keras.Model, layer: str, name: str, number: float, channel: Any = None) -> None:
    """Sets a variable, or one channel of it, to a number."""
    target = variable(model, layer, name)
    values = np.array(target.numpy())
    values[... if channel is None else (..., channel)] = number
    target.assign(values)


def converted(model: keras.Model) -> ForcedRun:
    return run_forced(model, convert(model), images()[:4])


@pytest.mark.parametrize(
    ('name', 'number'),
    [
        # -1 counts as the floor.
        ('intervals', -1.0),
        ('intervals', 1e6),
        # All thresholds are above, or below, what int8 holds.
        ('start', 1000.0),
        ('start', -1000.0),
        ('input_scale', 0.0),
        ('input_scale', -1.0),
        ('output_scale', -0.7),
        ('output_scale', 1e-12),
    ],
)
def test_thresholds_and_scales_at_their_limits_are_exported(
    model: keras.Model, name: str, number: float
) -> None:
    fill(model, THRESHOLDS, name, number)
    assert unexplained(converted(model)) == []


@pytest.mark.parametrize('calibrated', [2, 8], indirect=True)
@pytest.mark.parametrize(
    ('layer', 'name', 'number', 'channel'),
    [
        ('stem_normalized', 'gamma', 0.0, None),
        ('normalized', 'gamma', 0.0, None),
        ('normalized', 'gamma', 0.0, 2),
        ('normalized', 'gamma', 1e-6, 2),
        ('normalized', 'gamma', 1e-20, None),
        ('normalized', 'moving_variance', 0.0, 1),
        ('normalized', 'moving_variance', 1e30, 1),
        ('quant_stem', 'kernel', 0.0, None),
        ('quant_inner', 'kernel', 0.0, None),
        ('quant_inner', 'kernel', 0.0, 1),
        ('quant_inner', 'kernel', 1e-20, None),
        ('quant_deep', 'depthwise_kernel', 0.0, None),
        ('quant_last', 'kernel', 0.0, 1),
        ('quant_logits', 'kernel', 0.0, None),
    ],
)
def test_dead_channels_keep_what_is_added_to_them(
    model: keras.Model, layer: str, name: str, number: float, channel: int | None
) -> None:
    fill(model, layer, name, number, channel)
    assert unexplained(converted(model)) == []


@pytest.mark.parametrize(
    ('name', 'number'),
    # Keras holds numbers without their offset, in float32, which has 24 bits for both.
    [('slope', 0.0), ('slope', 1.0), ('slope', -1e3), ('slope', 1e6), ('bias_in', 1e4)],
)
def test_slopes_and_knees_at_their_limits_are_exported(
    model: keras.Model, name: str, number: float
) -> None:
    fill(model, 'rectified', name, number, channel=1)
    assert unexplained(converted(model)) == []


@pytest.mark.parametrize('bound', [0.0, 1.0])
@pytest.mark.parametrize('name', ['image_range', 'last_range', 'pooled_range', 'logits'])
def test_a_range_of_no_width_is_exported(model: keras.Model, name: str, bound: float) -> None:
    fill(model, name, 'min', bound)
    fill(model, name, 'max', bound)
    step = float(model.get_layer(name).int8_scale())
    departures = unexplained(converted(model))
    # Where a sum is exactly 0, Keras' float32 is off by some 1e-8, and a step is as small as that.
    assert [each.name for each in departures] in ([], [name])
    assert all(each.largest * step < 1e-6 for each in departures)


@pytest.mark.parametrize('layer', ['relu', 'normalized', 'sum', 'second_sum'])
def test_a_range_of_no_width_in_a_sum_is_less_than_a_step_wrong(
    model: keras.Model, layer: str
) -> None:
    """Such a range is a little wider in the file than in Keras, as XNNPACK needs it."""
    fill(model, f'{layer}_range', 'max', float(variable(model, f'{layer}_range', 'min')))
    run = converted(model)
    assert run.not_compared == (f'{layer}_range',)
    assert all(each.is_range and each.largest <= 1 for each in run.departures)


def test_a_layer_left_in_float_has_one_range_though_a_product_reads_it_twice() -> None:
    image = keras.Input(SHAPE)
    x = _layers.Conv2D(6, 3, name='first')(image)
    x = _layers.Conv2D(4, 3)(_layers.Multiply()([x, x]))
    x = _layers.Dense(4)(_layers.GlobalAveragePooling2D()(x))
    model = quantize(keras.Model(image, x), boundary_bits=None)
    tf_n2uq.calibrate(model, images(), verbose=0)
    assert [layer.name for layer in model.layers if 'first_' in layer.name] == ['first_range']
    run = run_forced(model, convert(model, representative_dataset=images()), images()[:4], images())
    assert unexplained(run) == []


@pytest.mark.parametrize('function', ['sigmoid', 'tanh'])
def test_a_function_inside_a_layer_left_in_float_is_written_in_its_own_range(function: str) -> None:
    image = keras.Input(SHAPE)
    x = _layers.Conv2D(6, 3, padding='same')(image)
    gate = _layers.Conv2D(6, 1, activation=function, name='gate')(x)
    x = _layers.GlobalAveragePooling2D()(_layers.Multiply()([x, gate]))
    model = quantize(keras.Model(image, _layers.Dense(4)(x)), layers={'gate': None})
    tf_n2uq.calibrate(model, images(), verbose=0)
    content = convert(model, representative_dataset=images())
    assert unexplained(run_forced(model, content, images()[:4], images())) == []


@pytest.mark.parametrize('number', [np.nan, np.inf])
@pytest.mark.parametrize(
    ('layer', 'name'),
    [
        ('quant_stem', 'kernel'),
        ('quant_inner', 'kernel'),
        ('quant_inner', 'bias'),
        ('normalized', 'gamma'),
        (THRESHOLDS, 'start'),
        (THRESHOLDS, 'output_scale'),
        ('rectified', 'slope'),
        ('sum_range', 'max'),
    ],
)
def test_what_is_not_a_number_is_refused_by_name(
    model: keras.Model, layer: str, name: str, number: float
) -> None:
    fill(model, layer, name, number)
    with pytest.raises(ValueError, match=f'NaN or infinity in .*{name}.* of layer .{layer}.'):
        convert(model)


def test_an_output_scale_of_zero_is_refused_by_name(model: keras.Model) -> None:
    fill(model, THRESHOLDS, 'output_scale', 0.0)
    with pytest.raises(ValueError, match=f'output scale of .{THRESHOLDS}.'):
        convert(model)
