"""The subjects of `compare_methods.py`: registered methods, and adaptive networks of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow_model_optimization as tfmot
from compare_results import FLOAT

import tf_n2uq

# AdaBits is published with this method; with another one its name stands behind.
_METHOD_OF_ADABITS = 'sat'


@dataclasses.dataclass(frozen=True)
class Subject:
    """A method or one of its variants, alone or in an adaptive network.

    Attributes:
        title: The title of the subject in tables and pictures.
        scheme: A function that makes the scheme for `quantize_apply` of a bit-width; for an
            adaptive network, of all its bit-widths.
        alone: The name of the subject whose networks have one bit-width each: its own name, or
            that of the same method and variant.
        adaptive: Whether one network runs at all bit-widths.
    """

    title: str
    scheme: Callable[[Any], tfmot.quantization.keras.QuantizeScheme]
    alone: str
    adaptive: bool


def subjects() -> dict[str, Subject]:
    """Returns all subjects of a comparison by their names.

    The registered methods come first, each with its variants behind it, as `sat` and
    `sat_centered`. Then come the adaptive networks of all these, as `adabits` and `adabits_lsq`.
    """
    alone: dict[str, Subject] = {}
    together: dict[str, Subject] = {}
    for method in tf_n2uq.methods():
        is_own = method.name == _METHOD_OF_ADABITS
        family = 'adabits' if is_own else f'adabits_{method.name}'
        family_title = 'AdaBits' if is_own else f'AdaBits, {method.title}'
        for variant, options in {'': {}, **method.variants}.items():
            ending, words = (f'_{variant}', f', {variant}') if variant else ('', '')
            name = method.name + ending
            one = _with_options(method.scheme, options)
            alone[name] = Subject(method.title + words, one, name, adaptive=False)
            all_widths = _with_options(tf_n2uq.AdaBitsScheme, {'method': method.name, **options})
            together[family + ending] = Subject(
                family_title + words, all_widths, name, adaptive=True
            )
    return {**alone, **together}


def _with_options(
    scheme: Callable[..., tfmot.quantization.keras.QuantizeScheme], options: Mapping[str, Any]
) -> Callable[[Any], tfmot.quantization.keras.QuantizeScheme]:
    return lambda bits: scheme(bits, **options)


SUBJECTS = subjects()
TITLES = {FLOAT: 'float', **{name: subject.title for name, subject in SUBJECTS.items()}}
