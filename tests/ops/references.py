"""Reference cases computed in float64 by the published implementations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).resolve().parent.parent / 'data' / 'reference'


def cases(name: str) -> list[dict[str, np.ndarray]]:
    """Returns the cases of a file, each a dictionary of arrays in PyTorch's layout."""
    with np.load(_FOLDER / f'{name}.npz', allow_pickle=False) as arrays:
        numbers = sorted({int(key.split('/')[0]) for key in arrays.files})
        return [
            {key.split('/')[1]: arrays[key] for key in arrays.files if key.startswith(f'{number}/')}
            for number in numbers
        ]


def nhwc(tensor: np.ndarray) -> np.ndarray:
    """NCHW to NHWC, in float32."""
    return np.ascontiguousarray(tensor.transpose(0, 2, 3, 1), np.float32)


def assert_equal(got: object, expected: np.ndarray) -> None:
    """Asserts equality to 1e-5 of the largest magnitude, or absolutely where that is below 1."""
    tolerance = 1e-5 * max(1.0, float(np.max(np.abs(expected), initial=0)))
    np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=tolerance)
