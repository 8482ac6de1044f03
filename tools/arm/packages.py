"""ARM64 Linux in a folder: Python, LiteRT, and QEMU to run them on an x86-64 machine.

    python tools/arm/packages.py

The packages come from Debian and from the Python package index. Nothing is installed, and nothing
needs root: `apt-get download` with lists of its own, `dpkg-deb -x`, and `pip download` write into
`.arm/` alone. What is there already is not fetched again. `make clean` removes the folder.

There are two versions of QEMU. Debian 13's is free of faults on all processors of `processors.py`,
so the tests use it. It is linked statically, and so it loads no plugins. Debian 12's loads plugins,
and the benchmark counts instructions with it.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / '.arm'

_MIRROR = 'http://deb.debian.org/debian'
_KEYRING = Path('/usr/share/keyrings/debian-archive-keyring.gpg')
_PYTHON = '3.11'
_ARM_PACKAGES = (
    *('libc6', 'libgcc-s1', 'libstdc++6', 'zlib1g', 'libexpat1', 'libffi8'),
    *('python3.11-minimal', 'libpython3.11-minimal', 'libpython3.11-stdlib'),
)
_WHEELS = ('ai-edge-litert', 'numpy', 'flatbuffers')
# What Debian 12's QEMU is linked with, without the C library: that is the machine's own, because a
# plugin compiled here needs it.
_PLUGIN_QEMU_PACKAGES = (
    *('qemu-user', 'libcapstone4', 'libglib2.0-0', 'libpcre2-8-0', 'libgnutls30', 'libnuma1'),
    *('liburing2', 'libp11-kit0', 'libidn2-0', 'libunistring2', 'libtasn1-6', 'libnettle8'),
    *('libhogweed6', 'libgmp10', 'libffi8', 'zlib1g', 'libgcc-s1'),
)
_TIMEOUT_SECONDS = 900


class ArmUnavailableError(RuntimeError):
    """The packages cannot be had on this machine. The message says why."""


def userland(cache: Path = CACHE) -> Path:
    """Returns a folder with an ARM64 Python and LiteRT; fetches it if it is not there.

    Args:
        cache: The folder that keeps what is fetched.

    Returns:
        A folder with `root/`, the tree of Debian's packages, and `site/`, the Python packages in
        the versions that are installed here.

    Raises:
        ArmUnavailableError: If the packages cannot be had.
    """
    versions = [f'{name}=={importlib.metadata.version(name)}' for name in _WHEELS]

    def fill(folder: Path) -> None:
        _unpack(_ARM_PACKAGES, 'bookworm', 'arm64', folder / 'root')
        _unpack_wheels(versions, folder / 'site')

    litert = versions[0].replace('==', '-')
    return kept(cache / f'{litert}-{versions[1].replace("==", "-")}', fill)


def qemu(cache: Path = CACHE) -> Path:
    """Returns the path of a QEMU that runs ARM64 programs right; fetches it if it is not there.

    Args:
        cache: The folder that keeps what is fetched.

    Raises:
        ArmUnavailableError: If the package cannot be had.
    """

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as tree:
            _unpack(['qemu-user'], 'trixie', 'amd64', Path(tree))
            # The package emulates some thirty processors, 15 MB each.
            shutil.move(Path(tree) / 'usr/bin/qemu-aarch64', folder / 'qemu-aarch64')

    return kept(cache / 'qemu-debian13', fill) / 'qemu-aarch64'


def plugin_qemu(cache: Path = CACHE) -> Path:
    """Returns a folder with a QEMU that loads plugins; fetches it if it is not there.

    Args:
        cache: The folder that keeps what is fetched.

    Returns:
        A folder with `usr/bin/qemu-aarch64`, and the libraries that it is linked with.

    Raises:
        ArmUnavailableError: If the packages cannot be had.
    """

    def fill(folder: Path) -> None:
        _unpack(_PLUGIN_QEMU_PACKAGES, 'bookworm', 'amd64', folder)
        for path in (folder / 'usr/bin').iterdir():
            if path.name != 'qemu-aarch64':
                path.unlink()

    return kept(cache / 'qemu-debian12', fill)


def kept(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Returns a folder, filled unless it exists; several threads and processes may ask at once.

    Args:
        folder: The folder. It exists with all of its files, or not at all.
        fill: Writes the files into a folder that becomes this one.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent):
        if folder.is_dir():
            return folder
        unfinished = Path(tempfile.mkdtemp(prefix='unfinished-', dir=folder.parent))
        try:
            fill(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / 'lock', 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_machine() -> None:
    """Raises an error if the machine lacks what the packages are fetched with."""
    if sys.platform != 'linux' or platform.machine() != 'x86_64':
        raise ArmUnavailableError(
            'expected x86-64 Linux, whose QEMU emulates ARM processors; got '
            f'{platform.machine()} {platform.system()}'
        )
    for program in ('apt-get', 'dpkg-deb'):
        if shutil.which(program) is None:
            raise ArmUnavailableError(f'{program}: not found; use Debian, or install apt and dpkg')
    if not _KEYRING.exists():
        raise ArmUnavailableError(
            f"{_KEYRING}: not found, and apt checks packages by Debian's keys; "
            'install debian-archive-keyring'
        )


def _unpack(packages: Sequence[str], suite: str, architecture: str, root: Path) -> None:
    """Downloads Debian packages and unpacks them."""
    _check_machine()
    print(f'Fetching {", ".join(packages)} ({architecture}) …', file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix='apt-') as name:
        folder = Path(name)
        apt = ['apt-get', '-qq', *_apt_options(folder, suite, architecture)]
        _run([*apt, 'update'], folder)
        _run([*apt, 'download', *packages], folder)
        for path in sorted(folder.glob('*.deb')):
            _run(['dpkg-deb', '-x', str(path), str(root)], folder)


def _apt_options(folder: Path, suite: str, architecture: str) -> list[str]:
    """Returns options by which apt keeps lists and packages in a folder, and leaves its own be."""
    sources = folder / 'sources.list'
    sources.write_text(f'deb [signed-by={_KEYRING}] {_MIRROR} {suite} main\n')
    (folder / 'status').touch()
    (folder / 'lists' / 'partial').mkdir(parents=True)
    (folder / 'cache' / 'archives' / 'partial').mkdir(parents=True)
    options = (
        f'Dir::Etc::SourceList={sources}',
        'Dir::Etc::SourceParts=/dev/null',
        f'Dir::State::Lists={folder / "lists"}',
        f'Dir::State::Status={folder / "status"}',
        f'Dir::Cache={folder / "cache"}',
        f'APT::Architecture={architecture}',
        f'APT::Architectures={architecture}',
        # As root, apt would download as a user that may not write into this folder.
        'APT::Sandbox::User=',
        'Acquire::Languages=none',
        'Acquire::Retries=2',
        'Acquire::http::Timeout=30',
        # Without it, an update that reaches no server is a success.
        'APT::Update::Error-Mode=any',
    )
    return [word for option in options for word in ('-o', option)]


def _unpack_wheels(requirements: list[str], site: Path) -> None:
    """Downloads wheels for ARM64 Linux and unpacks them."""
    print(f'Fetching {", ".join(requirements)} (arm64) …', file=sys.stderr, flush=True)
    site.mkdir()
    with tempfile.TemporaryDirectory(prefix='wheels-') as name:
        folder = Path(name)
        platforms = [f'--platform=manylinux_2_{minor}_aarch64' for minor in (17, 27, 28)]
        options = ['--no-deps', '--only-binary=:all:', f'--python-version={_PYTHON}', *platforms]
        pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet', 'download']
        _run([*pip, *options, *requirements], folder)
        for path in folder.glob('*.whl'):
            with zipfile.ZipFile(path) as wheel:
                wheel.extractall(site)


def _run(command: list[str], folder: Path) -> None:
    """Runs a command in a folder.

    Raises:
        ArmUnavailableError: If the command fails, or takes too long.
    """
    environment = {**os.environ, 'LC_ALL': 'C'}
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ArmUnavailableError(f'{command[0]}: no end after {error.timeout} s') from error
    if result.returncode:
        words = [word for word in command if not word.startswith(('-', 'Dir::', 'APT::', 'Acq'))]
        message = (result.stderr or result.stdout).strip()[-600:]
        raise ArmUnavailableError(f'{" ".join(words)[:200]}: failed with: {message}')


def main() -> None:
    """Fetches everything that is not there yet."""
    try:
        for part in (userland(), qemu(), plugin_qemu()):
            print(part.relative_to(ROOT))
    except ArmUnavailableError as error:
        raise SystemExit(f'The ARM64 packages cannot be had. {error}') from error


if __name__ == '__main__':
    main()
