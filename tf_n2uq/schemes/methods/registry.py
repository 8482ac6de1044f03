"""The registry of quantization methods: each method enters itself once, in its own file."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tf_n2uq.schemes.methods.scheme import LowBitScheme

_Scheme = TypeVar('_Scheme', bound=type[LowBitScheme])
_NAME = re.compile(r'[a-z][a-z0-9_]*')


@dataclasses.dataclass(frozen=True)
class Method:
    """A quantization method, as `AdaBitsScheme`, the training recipes and the comparison know it.

    Attributes:
        name: The method's name in arguments, flags and folders, for example `lsq_plus`.
        title: The method's name in tables and pictures, for example `LSQ+`.
        scheme: The class of its schemes.
        variants: Arguments of the scheme, by the name of the variant that they make. The comparison
            of methods offers each variant beside the method itself.
    """

    name: str
    title: str
    scheme: type[LowBitScheme]
    variants: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the scheme's arguments beyond those that every scheme takes."""
        general = inspect.signature(LowBitScheme).parameters
        own = inspect.signature(self.scheme).parameters
        return tuple(name for name in own if name not in general)


_METHODS: dict[str, Method] = {}


def register_method(
    name: str, title: str, variants: Mapping[str, Mapping[str, Any]] | None = None
) -> Callable[[_Scheme], _Scheme]:
    """Returns a decorator that enters a scheme class in the registry as a method.

        @tf_n2uq.register_method('mine', 'Mine')
        class MyScheme(tf_n2uq.LowBitScheme):
            ...

    From then on `AdaBitsScheme(method='mine')`, the recipes of `train_imagenet.py` and
    `compare_methods.py` know the method.

    Args:
        name: The method's name in arguments, flags and folders: lower-case letters, digits and
            underscores.
        title: The method's name in tables and pictures.
        variants: Arguments of the scheme, by the name of the variant that they make; see `Method`.

    Returns:
        The decorator. It returns the class as it is.

    Raises:
        TypeError: The class is not a `LowBitScheme`, or a variant has arguments that the class does
            not take.
        ValueError: The name has other characters, or another class has it already.
    """

    def register(scheme: _Scheme) -> _Scheme:
        method = Method(name, title, scheme, dict(variants or {}))
        _check(method)
        _METHODS[name] = method
        return scheme

    return register


def methods() -> tuple[Method, ...]:
    """Returns all registered methods, in the order of their names."""
    return tuple(_METHODS[name] for name in sorted(_METHODS))


def method(name: str) -> Method:
    """Returns the registered method of a name.

    Args:
        name: For example `n2uq`.

    Raises:
        ValueError: No method has the name; the error lists those that there are.
    """
    if name not in _METHODS:
        raise ValueError(
            f'method: expected one of {", ".join(map(repr, sorted(_METHODS)))}, got {name!r}; give '
            'one of these, or enter your own with tf_n2uq.register_method.'
        )
    return _METHODS[name]


def _check(method: Method) -> None:
    name, scheme = method.name, method.scheme
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f'name: expected lower-case letters, digits and underscores, the first one a letter, '
            f'got {name!r}; give a name such as {"lsq_plus"!r}.'
        )
    if not (isinstance(scheme, type) and issubclass(scheme, LowBitScheme)):
        raise TypeError(
            f'scheme: expected a class derived from tf_n2uq.LowBitScheme for the method {name!r}, '
            f'got {scheme!r}; put register_method on the class of the scheme.'
        )
    known = _METHODS.get(name)
    # A module that is loaded again registers its class again.
    if known is not None and _place(known.scheme) != _place(scheme):
        raise ValueError(
            f'name: expected one that no other method has, got {name!r}, which is the name of '
            f'{known.scheme.__name__}; choose another name.'
        )
    for variant, arguments in method.variants.items():
        unknown = sorted(set(arguments) - set(method.options))
        if unknown:
            raise TypeError(
                f'variants: expected arguments of {scheme.__name__} for the variant {variant!r}, '
                f'got {", ".join(unknown)}; give some of: {", ".join(method.options) or "none"}.'
            )


def _place(scheme: type) -> tuple[str, str]:
    return scheme.__module__, scheme.__qualname__
