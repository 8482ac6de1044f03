"""A Griffe extension: a public name stands before a module that is called the same.

`tf_n2uq.tflite.convert` is a module, and a function that the package `tf_n2uq.tflite` imports from
this module. In Python, the function hides the module. Griffe, which reads the source for the
reference pages, takes the module instead. This extension puts the function in its place.
"""

from __future__ import annotations

from typing import Any

import griffe


def show_public_names(package: griffe.Module) -> None:
    """Replaces modules by what the package around them imports from them under the same name.

    Args:
        package: The package, with all modules loaded. It is changed in place.
    """
    for module in [it for it in package.members.values() if isinstance(it, griffe.Module)]:
        show_public_names(module)
        if package.imports.get(module.name) == f'{module.path}.{module.name}':
            hidden = module.members[module.name]
            package.set_member(module.name, griffe.Alias(module.name, hidden, parent=package))


class PublicNames(griffe.Extension):
    """Runs `show_public_names` on each package that Griffe has loaded."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Is called by Griffe with a loaded package."""
        del kwargs
        show_public_names(pkg)
