"""Numbers, tuples, slices and arrays in the config of a Keras 3 model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tf_n2uq.keras3.entry import TranslationError

_DTYPES = {'bool', 'float16', 'float32', 'float64'} | {
    f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)
}


def decoded(value: Any, tensor: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Returns the Python value that a part of a config stands for.

    Args:
        value: as `json.loads` returned it.
        tensor: makes a value of the description of a symbolic tensor.

    Raises:
        TranslationError: if it is none of the plain values.
    """
    if isinstance(value, list):
        return [decoded(each, tensor) for each in value]
    if not isinstance(value, dict):
        return value
    if 'class_name' not in value:
        return {key: decoded(each, tensor) for key, each in value.items()}
    config = value.get('config')
    if value['class_name'] == '__keras_tensor__' and tensor is not None:
        return tensor(config if isinstance(config, dict) else {})
    decoder = _DECODERS.get(value['class_name'])
    if decoder is None:
        raise TranslationError(
            f'model: expected numbers, arrays, slices and tensors as arguments of calls, got an '
            f'object of the class {value["class_name"]!r}; replace the call by a layer.'
        )
    return decoder(config if config is not None else value.get('items'), tensor)


def _slice(config: Any, tensor: Any) -> slice:
    return slice(*(decoded(config[key], tensor) for key in ('start', 'stop', 'step')))


def _array(config: Any, tensor: Any) -> np.ndarray:
    del tensor
    if str(config.get('dtype')) not in _DTYPES:
        raise TranslationError(
            f'model: expected arrays of numbers, got the dtype {config.get("dtype")!r}; use '
            'float32.'
        )
    return np.asarray(config['value'], config['dtype'])


_DECODERS: dict[str, Callable[[Any, Any], Any]] = {
    '__tuple__': lambda items, tensor: tuple(decoded(each, tensor) for each in items),
    '__slice__': _slice,
    '__ellipsis__': lambda config, tensor: Ellipsis,
    '__numpy__': _array,
    '__tensor__': _array,
}
