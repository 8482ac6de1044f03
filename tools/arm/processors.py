"""ARM64 processors that QEMU emulates, and how to run a Python script on one of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from tools.arm import packages

_ARM, _NONE = 0x41, 0x00


@dataclasses.dataclass(frozen=True)
class Processor:
    """A processor, by the instructions for products of int8 that it has.

    Attributes:
        title: How tables call it.
        qemu: How QEMU calls it.
        implementer: Number of its maker, by which XNNPACK chooses kernels.
        part: The maker's number of the processor.
        plugin: Whether the QEMU that loads plugins computes right on it.
    """

    title: str
    qemu: str
    implementer: int
    part: int
    plugin: bool = True


PROCESSORS = {
    'cortex-a53': Processor('Cortex-A53', 'cortex-a53', _ARM, 0xD03),
    'cortex-a72': Processor('Cortex-A72', 'cortex-a72', _ARM, 0xD08),
    'cortex-a76': Processor('Cortex-A76, dotprod', 'cortex-a76', _ARM, 0xD0B),
    'i8mm': Processor('with i8mm', 'max,sme=off', _NONE, 0x051),
    # Debian 12's QEMU has wrong results with SME.
    'sme2': Processor('with SME2', 'max', _NONE, 0x051, plugin=False),
}
"""Cortex-A53 and A72 have no instructions for dot products."""


def python_command(processor: Processor, script: Path) -> list[str]:
    """Returns a command that runs a Python script on a processor.

    The command fetches what it needs if that is not there yet.

    Args:
        processor: One of `PROCESSORS`.
        script: The script. It finds NumPy and LiteRT.

    Raises:
        ArmUnavailableError: If the packages cannot be had.
    """
    machine = packages.userland()
    qemu = [str(packages.qemu()), '-cpu', processor.qemu]
    return [*qemu, *_python(machine, machine / 'root'), str(script)]


def counting_command(
    processor: Processor, script: Path, plugin: Path, options: Sequence[str]
) -> list[str]:
    """Returns a command that runs a Python script on a processor, watched by a plugin of QEMU.

    Args:
        processor: One of `PROCESSORS` that has `plugin`.
        script: The script. It finds NumPy and LiteRT.
        plugin: The plugin, a shared library.
        options: Options of the plugin, such as `out=blocks.txt`.

    Raises:
        ArmUnavailableError: If the packages cannot be had.
        ValueError: If QEMU computes wrong results on this processor when it loads plugins.
    """
    if not processor.plugin:
        raise ValueError(
            f'processor: expected one that the QEMU with plugins computes right on, got '
            f'{processor.title!r}; choose another one'
        )
    machine, folder = packages.userland(), packages.plugin_qemu()
    libraries = ':'.join(str(folder / place / 'x86_64-linux-gnu') for place in ('lib', 'usr/lib'))
    host = ['env', f'LD_LIBRARY_PATH={libraries}', str(folder / 'usr/bin/qemu-aarch64')]
    # The libraries are QEMU's, not those of the program that it runs.
    watched = ['-U', 'LD_LIBRARY_PATH', '-plugin', ','.join([str(plugin), *options])]
    tree = _tree_with_cpuinfo(machine, processor)
    return [*host, *watched, '-cpu', processor.qemu, *_python(machine, tree), str(script)]


def _python(machine: Path, tree: Path) -> list[str]:
    """Returns QEMU's arguments that start the ARM Python in a tree of files."""
    paths = ['-E', f'PYTHONPATH={machine / "site"}', '-U', 'PYTHONHOME']
    return ['-L', str(tree), *paths, str(machine / 'root/usr/bin/python3.11'), '-B']


def _tree_with_cpuinfo(machine: Path, processor: Processor) -> Path:
    """Returns the packages' tree with a /proc/cpuinfo that describes the processor.

    Debian 12's QEMU would show that of the x86 machine, and LiteRT would fail on it.
    """
    lines = (
        f'processor\t: {number}\n'
        'Features\t: fp asimd\n'
        f'CPU implementer\t: {processor.implementer:#04x}\n'
        'CPU architecture: 8\n'
        'CPU variant\t: 0x0\n'
        f'CPU part\t: {processor.part:#05x}\n'
        'CPU revision\t: 0\n\n'
        for number in range(os.cpu_count() or 1)
    )

    def fill(folder: Path) -> None:
        for path in (machine / 'root').iterdir():
            (folder / path.name).symlink_to(Path('..', '..', 'root', path.name))
        (folder / 'proc').mkdir()
        (folder / 'proc' / 'cpuinfo').write_text(''.join(lines))

    return packages.kept(machine / 'trees' / processor.qemu, fill)
