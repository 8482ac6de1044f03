"""What is fetched for the ARM tests, and what a machine hears that cannot fetch it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.arm import packages


def test_a_machine_without_the_registry_hears_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Nothing listens at this port of the machine itself.
    monkeypatch.setattr(packages, '_MIRROR', 'http://127.0.0.1:9/debian')
    with pytest.raises(packages.ArmUnavailableError):
        packages.qemu(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != 'lock'] == []


@pytest.mark.parametrize(
    ('name', 'value'),
    [('platform.machine', lambda: 'aarch64'), ('shutil.which', lambda program: None)],
)
def test_a_machine_that_cannot_have_the_packages_hears_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: object
) -> None:
    monkeypatch.setattr(f'tools.arm.packages.{name}', value)
    with pytest.raises(packages.ArmUnavailableError, match='aarch64|not found'):
        packages.qemu(tmp_path)


def test_what_is_there_is_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse() -> None:
        raise AssertionError('asked to fetch')

    monkeypatch.setattr(packages, '_check_machine', refuse)
    (tmp_path / 'qemu-debian13').mkdir()
    assert packages.qemu(tmp_path) == tmp_path / 'qemu-debian13' / 'qemu-aarch64'
    with pytest.raises(AssertionError, match='asked to fetch'):
        packages.plugin_qemu(tmp_path)
