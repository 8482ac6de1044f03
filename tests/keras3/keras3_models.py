"""Models of Keras 3 for tests, with weights that tell all layers apart."""

from __future__ import annotations

from typing import Any

import keras as keras3
import numpy as np

# The smallest images that each network takes; 32 for the others.
SIZES = {'InceptionV3': 75, 'InceptionResNetV2': 75, 'Xception': 71, 'NASNetLarge': 64}
# All classification networks of `keras.applications`.
APPLICATIONS = (
    *(f'ConvNeXt{size}' for size in ('Tiny', 'Small', 'Base', 'Large', 'XLarge')),
    *(f'DenseNet{depth}' for depth in (121, 169, 201)),
    *(f'EfficientNetB{number}' for number in range(8)),
    *(f'EfficientNetV2{size}' for size in ('B0', 'B1', 'B2', 'B3', 'S', 'M', 'L')),
    *('InceptionResNetV2', 'InceptionV3', 'MobileNet', 'MobileNetV2', 'MobileNetV3Large'),
    *('MobileNetV3Small', 'NASNetLarge', 'NASNetMobile', 'Xception', 'VGG16', 'VGG19'),
    *(f'ResNet{depth}{version}' for version in ('', 'V2') for depth in (50, 101, 152)),
)


def application(name: str, **options: Any) -> Any:
    """Returns a network of `keras.applications` with random weights and statistics.

    Args:
        name: one of `APPLICATIONS`.
        **options: of the function that makes it.
    """
    keras3.utils.set_random_seed(0)
    size = SIZES.get(name, 32)
    defaults = {'weights': None, 'input_shape': (size, size, 3), 'classes': 10}
    model = getattr(keras3.applications, name)(**{**defaults, **options})
    randomize(model)
    return model


def randomize(model: Any) -> None:
    """Gives a model random weights near those of its initializers, statistics too."""
    generator = np.random.default_rng(0)
    for variable in model.weights:
        shape, path = tuple(variable.shape), variable.path
        if not str(variable.dtype).startswith('float'):
            continue
        if path.endswith('variance'):
            variable.assign(generator.uniform(0.5, 1.5, shape))
        elif path.endswith('gamma') and 'layer_scale' not in path:
            variable.assign(generator.uniform(0.8, 1.2, shape))
        elif len(shape) == 1:
            variable.assign(np.asarray(variable) + generator.normal(size=shape) * 0.05)
    for layer in model.layers:
        if isinstance(layer, keras3.layers.Normalization):
            layer.finalize_state()


def chain(*layers: Any, shape: tuple[int | None, ...]) -> Any:
    """Returns a Sequential model of Keras 3 with random weights.

    Args:
        *layers: of Keras 3.
        shape: of one input, without the batch.
    """
    model = keras3.Sequential([keras3.Input(shape), *layers])
    randomize(model)
    return model
