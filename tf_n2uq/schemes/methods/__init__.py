"""The quantization methods, a file each.

Importing this package imports every module in its folder, so that each method enters itself in
the registry: a new method is a new file.
"""

import importlib
import pkgutil

from tf_n2uq.schemes.methods.registry import Method, method, methods, register_method

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')

__all__ = ['Method', 'method', 'methods', 'register_method']
