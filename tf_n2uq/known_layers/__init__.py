"""The layers that the schemes and the export know, a file for each family.

Each file registers `LayerSpec`s. The package imports all files of this folder, so a new file needs
no entry anywhere else.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
