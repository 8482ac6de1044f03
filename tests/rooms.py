"""Which room of the package may import which: the one place that says it for every check."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'tf_n2uq'

_NUMERICS = {'ops', 'quantizers', 'layers', 'schemes'}

MAY_IMPORT: dict[str, set[str]] = {
    'ops': set(),
    'data': set(),
    'quantizers': {'ops'},
    'layers': {'ops'},
    'schemes': {'ops', 'quantizers', 'layers'},
    'models': _NUMERICS,
    'checkpoints': _NUMERICS | {'models'},
    'training': _NUMERICS,
    'tflite': _NUMERICS,
}


def rooms() -> list[str]:
    """Returns the names of the rooms that exist."""
    return sorted(path.parent.name for path in PACKAGE.glob('*/__init__.py'))
