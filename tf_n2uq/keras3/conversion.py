"""The way from Keras 3 to tf_keras."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tf_keras as keras
from absl import logging

from tf_n2uq.graph.keras3_objects import is_of_keras3
from tf_n2uq.keras3 import families as families
from tf_n2uq.keras3 import operations as operations
from tf_n2uq.keras3.agreement import CannotRunError, check_agreement
from tf_n2uq.keras3.entry import Entry, TranslationError
from tf_n2uq.keras3.given_weights import give_weights
from tf_n2uq.keras3.network import NetworkBuilder
from tf_n2uq.keras3.sources import Source, source_of
from tf_n2uq.untrusted.refusal import RefusedError
from tf_n2uq.untrusted.settings import with_learned_statistics
from tf_n2uq.untrusted.stored_weights import variables_like


def from_keras3(
    model: Any,
    *,
    weights: str | Path | None = None,
    verify: bool = True,
    custom_objects: Mapping[str, Callable[..., Any]] | None = None,
) -> keras.Model:
    """Returns the tf_keras model that computes what a Keras 3 model computes.

    TFMOT and this package work on tf_keras (Keras 2). Since TensorFlow 2.16, `tf.keras` is Keras 3.
    This function builds the same network with tf_keras: the same names of layers, the same weights,
    and the same inputs and outputs, in the same order. Functions of `keras.ops` become layers where
    there are any. Layers with `data_format='channels_first'` are computed with the channels last,
    between transpositions that are called `<layer>_channels_last` and `<layer>_channels_first`;
    inputs and outputs stay as they are.

    The model may be on any backend of Keras 3. A file is read without Keras 3 and without its
    backend, and need not be trusted: nothing that stands in the file is executed, and it may name
    no class but Keras' own layers and operations. How the model was compiled is not read, and
    initializers matter no more.

    At the end, both models compute random inputs, and the outputs must be equal within 1e-5 of
    the largest one (2e-2 for layers of half precision; more for a network that blows up a rounding
    of its inputs by more). For a file, this needs a Keras 3 that can be imported with its backend
    (`KERAS_BACKEND`). Without it, and with custom objects, what is verified of a file is that each
    variable of each layer has its array of the same shape; a warning says so.

    Args:
        model: a built Sequential or Functional model of Keras 3; or the path of a `.keras` file,
            or of a `.json` file with the text of `model.to_json()`.
        weights: the path of a `.weights.h5` file of Keras 3, whose weights the model gets; None for
            the model's own. A `.json` file needs one.
        verify: whether the outputs of both models are compared.
        custom_objects: counterparts in tf_keras of your own layers and activation functions, by
            their class names, function names or registered names. A layer is made with
            `from_config`, so its options have the names of Keras 3, and it needs the same
            variables in the same order.

    Returns:
        A Sequential or Functional tf_keras model, not compiled.

    Raises:
        OSError: if there is no such file.
        TypeError: if `model` is neither a model of Keras 3 nor a path.
        ValueError: if the model is subclassed or not built; if tf_keras has no counterpart for a
            layer, an option or an operation, which the error names; if the outputs differ; or if a
            file is damaged or holds something that is not allowed.
    """
    _check_argument(model)
    trusted = dict(custom_objects or {})
    try:
        with source_of(model, weights, trusted) as source:
            made = _built(source, trusted)
            if verify:
                _verify(made, source, trusted)
    except (OSError, TranslationError):
        raise
    except RefusedError as error:
        path = str(model if isinstance(model, (str, Path)) else weights)
        raise ValueError(error.message('model', path, 'keras.saving.load_model')) from error
    except Exception as error:  # whatever a damaged file makes its reader stumble over
        if not isinstance(model, (str, Path)):
            raise
        raise ValueError(_message(error, str(model))) from error
    return made


def _check_argument(model: Any) -> None:
    if isinstance(model, (str, Path)):
        return
    if isinstance(model, keras.Model):
        raise TypeError(
            f'model: expected a model of Keras 3, got {model.name!r}, which is a tf_keras model '
            'already; use it as it is.'
        )
    if not is_of_keras3(model) or not hasattr(model, 'layers'):
        raise TypeError(
            f'model: expected a model of Keras 3, or the path of its .keras file, got {model!r} of '
            f'type {type(model).__name__}; give one of these.'
        )


def _message(error: Exception, path: str) -> str:
    quoted = ''.join(char if char.isprintable() else ' ' for char in str(error))
    return (
        f'model: expected a file that Keras 3 saved with model.save("model.keras"), got {path!r}, '
        f'which cannot be read ({textwrap.shorten(quoted, 500)}); save the model again.'
    )


def _built(source: Source, trusted: Mapping[str, Any]) -> keras.Model:
    """Builds the model, with its weights."""
    learned = with_learned_statistics(source.config)
    if source.stored is not None and learned != source.config:
        # Statistics as variables show how large they would get as constants.
        with variables_like(source.stored):
            _network(learned, source, trusted)
    limit: Any = contextlib.nullcontext()
    if source.stored is not None:
        limit = variables_like(source.stored)
    with limit:
        builder, model = _network(source.config, source, trusted)
    give_weights(builder.pairs)
    return model


def _network(
    config: dict[str, Any], source: Source, trusted: Mapping[str, Any]
) -> tuple[NetworkBuilder, keras.Model]:
    builder = NetworkBuilder(trusted)
    return builder, builder.model(Entry.of(config), source.store)


def _verify(model: keras.Model, source: Source, trusted: Mapping[str, Any]) -> None:
    if source.stored is not None and trusted:
        _warn(model, 'custom_objects hold no layers of Keras 3')
        return
    try:
        other = source.model()
    except Exception as error:  # whatever the import of a backend that is not there raises
        if source.stored is None:
            raise
        _warn(model, f'Keras 3 does not load it here ({textwrap.shorten(str(error), 200)})')
        return
    try:
        check_agreement(model, other)
    except CannotRunError as error:
        reason = textwrap.shorten(str(error), 200)
        _warn(model, f'Keras 3 does not run it on this machine ({reason})')


def _warn(model: keras.Model, reason: str) -> None:
    logging.warning(
        'model: the outputs of %r were not compared with those of Keras 3, because %s. All weights '
        'were found, with their shapes.',
        model.name,
        reason,
    )
