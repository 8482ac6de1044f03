"""ARM64 processors under QEMU, for the tests of this folder."""

from __future__ import annotations

import pytest

from tools.arm import packages


@pytest.fixture(scope='session')
def arm_packages() -> None:
    """Fetches what the tests need, or skips them with the reason."""
    try:
        packages.userland()
        packages.qemu()
    except packages.ArmUnavailableError as error:
        pytest.skip(f'ARM64 packages cannot be had: {error}')
