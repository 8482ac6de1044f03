"""Where a Keras 3 model comes from: memory, a `.keras` file, or a `.json` and weights."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import h5py

from tf_n2uq.keras3.entry import Entry, TranslationError
from tf_n2uq.keras3.named_classes import checked
from tf_n2uq.keras3.weight_store import LiveWeights, StoredWeights, WeightStore
from tf_n2uq.untrusted.stored_weights import count_in_hdf5, read_config, unpack_weights

_WEIGHTS_END = '.weights.h5'


@dataclasses.dataclass(frozen=True)
class Source:
    """A Keras 3 model.

    Attributes:
        config: its config, as `json.loads` returns it.
        store: its weights.
        stored: how many numbers the file of the weights has; None for a model in memory.
        model: makes or returns the model of Keras 3 itself, with these weights; raises an error
            where Keras 3 cannot be imported.
    """

    config: dict[str, Any]
    store: WeightStore
    stored: int | None
    model: Callable[[], Any]


@contextlib.contextmanager
def source_of(model: Any, weights: str | Path | None, trusted: Collection[str]) -> Iterator[Source]:
    """Opens a Keras 3 model.

    Args:
        model: a model of Keras 3, or the path of a `.keras` file, or of a `.json` file with what
            `model.to_json()` returns.
        weights: the path of a `.weights.h5` file whose weights take the place of the model's own;
            None for these.
        trusted: the names of the caller's own classes and functions, which files may name.

    Yields:
        The model; its file is open only here.

    Raises:
        OSError: if there is no such file.
        ValueError: if a file is none of these, or holds something that is not allowed.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(model, (str, Path)):
            config, path = _read(Path(model), weights, trusted, stack)
        else:
            config = _config_of(model)
            if weights is None:
                yield Source(config, LiveWeights(model), None, lambda: model)
                return
            path = Path(weights)
        file = stack.enter_context(_opened(path))
        stored = count_in_hdf5(file)
        yield Source(config, StoredWeights(file), stored, functools.partial(_load, config, path))


def entry_of(model: Any) -> Entry:
    """Returns the entry of a model of Keras 3 in memory."""
    return Entry.of(_config_of(model))


def _config_of(model: Any) -> dict[str, Any]:
    keras = sys.modules['keras']
    try:
        config = keras.saving.serialize_keras_object(model)
        return json.loads(json.dumps(config))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise TranslationError(
            f'model: expected layers of Keras 3 that describe themselves, got {model.name!r}, '
            f'whose get_config fails ({error}); give each layer of your own a get_config, and pass '
            'its counterpart in custom_objects.'
        ) from error


def _read(
    path: Path,
    weights: str | Path | None,
    trusted: Collection[str],
    stack: contextlib.ExitStack,
) -> tuple[dict[str, Any], Path]:
    """Returns the config in a file, and the path of the weights."""
    path.open('rb').close()
    if path.name.endswith('.json'):
        if weights is None:
            raise TranslationError(
                f'weights: expected the path of a {_WEIGHTS_END} file for the model in '
                f'{str(path)!r}, got None; give one.'
            )
        return checked(json.loads(path.read_text(encoding='utf-8')), trusted), Path(weights)
    if not zipfile.is_zipfile(path):
        raise TranslationError(_no_model(path))
    with zipfile.ZipFile(path) as archive:
        config = checked(read_config(archive, path.stat().st_size), trusted)
        if weights is not None:
            return config, Path(weights)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        return config, unpack_weights(archive, folder)


def _no_model(path: Path) -> str:
    if path.name.endswith(_WEIGHTS_END):
        return (
            f'model: expected a model, got {str(path)!r}, which holds weights alone; give the '
            f'model and weights={str(path)!r}.'
        )
    return (
        f'model: expected a model of Keras 3, or the path of its .keras file, got {str(path)!r}, '
        'which is no such file; save the model with model.save("model.keras") in Keras 3.'
    )


def _opened(path: Path) -> h5py.File:
    if not path.name.endswith(_WEIGHTS_END):
        raise TranslationError(
            f'weights: expected the path of a {_WEIGHTS_END} file of Keras 3, got {str(path)!r}; '
            f'write it with model.save_weights("model{_WEIGHTS_END}").'
        )
    path.open('rb').close()
    return h5py.File(path)


def _load(config: dict[str, Any], weights: Path) -> Any:
    """Returns the model that Keras 3 makes of a config that has been checked."""
    import keras

    model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    model.load_weights(str(weights))
    return model
