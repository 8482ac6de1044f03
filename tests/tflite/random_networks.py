"""Small random networks, and random parameters for them, each from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tf_n2uq.layers import HardSwish, Quantize, QuantizedKernel, RPReLU
from tf_n2uq.quantizers import FixedRangeQuantizer, LearnableThresholdQuantizer, RangeQuantizer

_layers = keras.layers
_MOST_PIXELS = 400
_MOST_VALUES = 12_000


def random_network(seed: int) -> keras.Model:
    """Returns a float network of some blocks, with branches, of odd sizes and few channels.

    The same seed makes the same network; weights are Keras' initial ones.
    """
    keras.backend.clear_session()  # layers get the same names in every process
    keras.utils.set_random_seed(seed)
    return _Builder(np.random.default_rng(seed)).network()


def random_images(model: keras.Model, seed: int, count: int) -> np.ndarray:
    """Returns images for a network: smooth ones and noise, of another mean and spread each."""
    rng = np.random.default_rng(seed)
    shape = (count, *model.input_shape[1:])
    noise = rng.normal(0.0, 1.0, shape)
    smooth = np.cumsum(np.cumsum(noise, axis=1), axis=2) / np.sqrt(shape[1] * shape[2])
    images = np.where(rng.random(count)[:, None, None, None] < 0.5, noise, smooth)
    images = images * rng.uniform(0.3, 2.0) + rng.normal(0.0, 0.5)
    return images.astype(np.float32)


def random_scheme(model: keras.Model, seed: int) -> dict[str, Any]:
    """Returns options of `N2UQScheme` for a network: bits for all, and others for some layers."""
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {'bits': int(rng.integers(2, 9))}
    if rng.random() < 0.4:
        options['weight_bits'] = int(rng.integers(2, 9))
        options['activation_bits'] = int(rng.integers(2, 9))
    if rng.random() < 0.2:
        options['boundary_bits'] = None
    kernels = [layer.name for layer in model.layers if 'conv' in layer.name]
    if rng.random() < 0.5 and kernels:
        names = rng.choice(kernels, min(2, len(kernels)), replace=False)
        choices = [None, 2, 3, 4, 5, 6, 7, 8]
        options['layers'] = {str(name): choices[rng.integers(len(choices))] for name in names}
    return options


def random_quantized(seed: int) -> tuple[keras.Model, np.ndarray]:
    """Returns a quantized network with random parameters, and the images it is calibrated on.

    Kernels, biases, normalizations and slopes are changed before the calibration, so that ranges
    fit them; thresholds, scales and ranges after it.
    """
    model = random_network(seed)
    model = quantize(model, **random_scheme(model, seed))
    images = random_images(model, seed, 16)
    rng = np.random.default_rng(seed)
    shake_layers(model, rng)
    tf_n2uq.calibrate(model, images, verbose=0)
    shake_quantizers(model, rng)
    return model, images


class _Builder:
    """Adds random layers to a network."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._blocks: list[tuple[float, Callable[[Any], Any]]] = [
            (5, self._convolution),
            (2, self._depthwise),
            (1, self._separable),
            (1, self._transposed),
            (1, self._dense),
            (3, self._normalization),
            (5, self._activation),
            (2, self._padding),
            (2, self._pooling),
            (1, self._up_sampling),
            (1, self._layer_normalization),
            (3, self._sum),
            (1, self._product),
            (2, self._squeeze_and_excitation),
            (2, self._concatenation),
        ]

    def network(self) -> keras.Model:
        channels = self._choice([1, 3, 4])
        inputs = keras.Input((*self._rng.integers(5, 18, 2).tolist(), channels))
        x = self._convolution(inputs)
        for _ in range(self._rng.integers(3, 9)):
            x = self._block()(x)
        return keras.Model(inputs, self._head(x))

    def _block(self) -> Callable[[Any], Any]:
        weights = np.asarray([weight for weight, _ in self._blocks])
        return self._blocks[self._rng.choice(len(weights), p=weights / weights.sum())][1]

    def _choice(self, options: list[Any]) -> Any:
        return options[self._rng.integers(len(options))]

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _channels(self) -> int:
        return self._choice([1, 2, 3, 4, 5, 6, 8, 8, 12, 17, 64, 96])

    def _window(self, x: Any, dilated: bool = True, strided: bool = True) -> dict[str, Any]:
        """Kernel size, strides or dilation, padding and bias of a convolution that fits."""
        size = self._choice([(1, 1), (1, 1), (3, 3), (3, 3), (3, 3), (2, 2), (1, 3), (3, 2)])
        options: dict[str, Any] = {'use_bias': self._chance(0.6), 'padding': 'same'}
        if dilated and self._chance(0.2):
            options['dilation_rate'] = 2
        elif strided and min(x.shape[1:3]) > 4 and self._chance(0.3):
            options['strides'] = self._choice([2, 3])
        if min(x.shape[1:3]) >= 5 and self._chance(0.4):
            options['padding'] = 'valid'
        return {'kernel_size': size, **options}

    def _convolution(self, x: Any) -> Any:
        return _layers.Conv2D(self._channels(), **self._window(x))(x)

    def _depthwise(self, x: Any) -> Any:
        window = self._window(x)
        multiplier = 2 if x.shape[-1] <= 12 and self._chance(0.2) else 1
        return _layers.DepthwiseConv2D(depth_multiplier=multiplier, **window)(x)

    def _separable(self, x: Any) -> Any:
        return _layers.SeparableConv2D(self._channels(), **self._window(x))(x)

    def _transposed(self, x: Any) -> Any:
        window = self._window(x, dilated=False, strided=False)
        strides = self._choice([1, 2, 3])
        if x.shape[1] * x.shape[2] * strides**2 > _MOST_PIXELS:
            strides = 1
        return _layers.Conv2DTranspose(self._choice([1, 3, 5, 8]), strides=strides, **window)(x)

    def _dense(self, x: Any) -> Any:
        return _layers.Dense(self._channels(), use_bias=self._chance(0.6))(x)

    def _normalization(self, x: Any) -> Any:
        scale, center = self._chance(0.8), self._chance(0.8)
        return _layers.BatchNormalization(scale=scale, center=center)(x)

    def _activation(self, x: Any) -> Any:
        return self._choice(
            [
                _layers.ReLU,
                _layers.ReLU,
                lambda: _layers.ReLU(6.0),
                lambda: _layers.LeakyReLU(self._choice([0.01, 0.3, 1.5])),
                lambda: _layers.PReLU(shared_axes=[1, 2]),
                RPReLU,
                RPReLU,
                lambda: _layers.Activation(self._choice(['swish', 'gelu', 'sigmoid', 'tanh'])),
                HardSwish,
            ]
        )()(x)

    def _padding(self, x: Any) -> Any:
        if x.shape[1] * x.shape[2] > _MOST_PIXELS:
            return x
        sides = self._rng.integers(0, 3, (2, 2)).tolist()
        return self._convolution(_layers.ZeroPadding2D(sides)(x))

    def _pooling(self, x: Any) -> Any:
        kind = self._choice([_layers.AveragePooling2D, _layers.MaxPooling2D])
        size = self._choice([1, 2, 2, 3, (2, 3)])
        padding = self._choice(['same', 'valid']) if min(x.shape[1:3]) >= 3 else 'same'
        strides = self._choice([None, 1, 2]) if min(x.shape[1:3]) > 4 else 1
        return kind(size, strides, padding)(x)

    def _up_sampling(self, x: Any) -> Any:
        if x.shape[1] * x.shape[2] * 4 > _MOST_PIXELS or np.prod(x.shape[1:]) > _MOST_VALUES:
            return x
        interpolation = self._choice(['nearest', 'bilinear'])
        return _layers.UpSampling2D(2, interpolation=interpolation)(x)

    def _layer_normalization(self, x: Any) -> Any:
        # Of a single channel nothing is left.
        return _layers.LayerNormalization()(x) if x.shape[-1] > 1 else self._activation(x)

    def _branch(self, x: Any) -> Any:
        """A tensor of the same shape as `x`, made of it."""
        return x if self._chance(0.15) else self._other_branch(x)

    def _other_branch(self, x: Any) -> Any:
        bias, size = self._chance(0.5), self._choice([1, 3])
        y = _layers.Conv2D(x.shape[-1], size, padding='same', use_bias=bias)(x)
        for block in (self._normalization, self._activation):
            if self._chance(0.5):
                y = block(y)
        return y

    def _sum(self, x: Any) -> Any:
        if self._chance(0.2):
            return _layers.Subtract()([x, self._other_branch(x)])
        terms = [x, self._branch(x), self._branch(x)]
        return _layers.Add()(terms[: self._choice([2, 2, 3])])

    def _product(self, x: Any) -> Any:
        return _layers.Multiply()([x, self._branch(x)])

    def _squeeze_and_excitation(self, x: Any) -> Any:
        pooled = _layers.GlobalAveragePooling2D(keepdims=True)(x)
        inner = _layers.Conv2D(max(1, x.shape[-1] // 2), 1)(pooled)
        inner = self._activation(inner)
        gate = _layers.Conv2D(x.shape[-1], 1, activation=self._choice(['sigmoid', 'tanh']))(inner)
        return _layers.Multiply()([x, gate])

    def _concatenation(self, x: Any) -> Any:
        parts = [self._branch(x) for _ in range(self._choice([1, 2, 5]))]
        return _layers.Concatenate()([x, *parts]) if x.shape[-1] <= 17 else parts[0]

    def _head(self, x: Any) -> Any:
        if np.prod(x.shape[1:]) <= 600 and self._chance(0.3):
            x = _layers.Flatten()(x)
        elif self._chance(0.7):
            x = _layers.GlobalAveragePooling2D()(x)
        else:
            x = _layers.GlobalMaxPooling2D()(x)
        if self._chance(0.4):
            x = self._activation_of_line(_layers.Dense(self._choice([5, 8, 64]))(x))
        return _layers.Dense(4, activation=self._choice([None, None, 'softmax']))(x)

    def _activation_of_line(self, x: Any) -> Any:
        choices = [_layers.ReLU, RPReLU, HardSwish, lambda: _layers.Activation('gelu')]
        return self._choice(choices)()(x)


def shake_layers(model: keras.Model, rng: np.random.Generator) -> None:
    """Changes what layers have learned: kernels, biases, normalizations, slopes."""
    for layer in model.layers:
        if isinstance(layer, QuantizedKernel):
            _shake_kernel(layer.layer, rng)
        elif isinstance(layer, _layers.BatchNormalization):
            _shake_normalization(layer, rng)
        elif isinstance(layer, (RPReLU, _layers.PReLU)):
            for variable in layer.weights:
                variable.assign_add(rng.normal(0.0, 0.7, variable.shape))
        elif not isinstance(layer, Quantize):
            for variable in layer.weights:
                variable.assign_add(rng.normal(0.0, 0.2, variable.shape))


def _shake_kernel(layer: keras.layers.Layer, rng: np.random.Generator) -> None:
    for variable in layer.weights:
        if 'bias' in variable.name:
            variable.assign(rng.normal(0.0, 0.5, variable.shape))
        else:
            # Of every output channel another size, some of them far from the others.
            size = np.exp(rng.normal(0.0, 0.7, variable.shape[-1:]))
            variable.assign(variable * size + rng.normal(0.0, 0.02, variable.shape))


def _shake_normalization(layer: keras.layers.BatchNormalization, rng: np.random.Generator) -> None:
    shape = layer.moving_mean.shape
    layer.moving_mean.assign(rng.normal(0.0, 0.4, shape))
    layer.moving_variance.assign(np.exp(rng.normal(0.0, 1.0, shape)))
    if layer.scale:
        kinds = rng.choice([1.0, -1.0, 0.0], shape, p=[0.7, 0.2, 0.1])
        layer.gamma.assign(rng.uniform(0.3, 1.5, shape) * kinds)
    if layer.center:
        layer.beta.assign(rng.normal(0.0, 0.5, shape))


def shake_quantizers(model: keras.Model, rng: np.random.Generator) -> None:
    """Changes what quantizers have learned: thresholds, scales, ranges."""
    for layer in model.layers:
        if not isinstance(layer, Quantize):
            continue
        if isinstance(layer.quantizer, LearnableThresholdQuantizer):
            _shake_thresholds(layer.quantizer_weights, rng)
        elif isinstance(layer.quantizer, RangeQuantizer) and not isinstance(
            layer.quantizer, FixedRangeQuantizer
        ):
            for variable in layer.quantizer_weights.values():
                variable.assign(variable * np.exp(rng.normal(0.0, 0.2)))


def _shake_thresholds(weights: dict[str, Any], rng: np.random.Generator) -> None:
    weights['start'].assign_add(rng.normal(0.0, 0.2, [1]))
    intervals = weights['intervals'] * np.exp(rng.normal(0.0, 0.5, weights['intervals'].shape))
    # Those of no width count as the smallest there may be.
    closed = rng.random(intervals.shape) < 0.1
    weights['intervals'].assign(np.where(closed, -1.0, intervals))
    for name in ('input_scale', 'output_scale'):
        weights[name].assign(weights[name] * np.exp(rng.normal(0.0, 0.3)))
    if rng.random() < 0.1:
        weights['output_scale'].assign(-weights['output_scale'])
