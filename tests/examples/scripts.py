"""Example scripts as modules, several of them in one process."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from absl import flags

EXAMPLES = Path(__file__).parents[2] / 'examples'


@contextlib.contextmanager
def imported(name: str) -> Iterator[ModuleType]:
    """Imports a script, which finds its neighbours as it does when it is run.

    Afterwards its modules and flags are gone: another script has flags of the same names.
    """
    known = set(flags.FLAGS)
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLES))
        for flag in set(flags.FLAGS) - known:
            delattr(flags.FLAGS, flag)
        for path in EXAMPLES.glob('*.py'):
            sys.modules.pop(path.stem, None)
