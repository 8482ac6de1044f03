"""The documentation is complete, up to date, and builds without a warning."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tf_n2uq
from tests.rooms import PACKAGE, ROOT
from tools import draw_rooms

DOCS = ROOT / 'docs'
ALL_PAGES = sorted([*ROOT.glob('*.md'), *DOCS.rglob('*.md'), *ROOT.glob('examples/*/*.md')])
ALL_TEXT = '\n'.join(page.read_text(encoding='utf-8') for page in ALL_PAGES)
MKDOCS = importlib.util.find_spec('mkdocs')
needs_mkdocs = pytest.mark.skipif(MKDOCS is None, reason="needs mkdocs (pip install '.[docs]')")

USE_OF_BOTH = """
import numpy as np
import tensorflow_model_optimization as tfmot
import tf_n2uq

model = keras.Sequential(
    [
        keras.layers.Conv2D(4, 3, activation='relu', input_shape=(8, 8, 3)),
        SwapAxes(),
        keras.layers.Conv2D(4, 3, activation='relu'),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
)
annotated = tfmot.quantization.keras.quantize_annotate_model(model)
model = tfmot.quantization.keras.quantize_apply(annotated, scheme=MineScheme(bits=3))
images = np.random.default_rng(0).random((8, 8, 8, 3), np.float32)
tf_n2uq.calibrate(model, images, verbose=0)
content = tf_n2uq.tflite.convert(model)
expected = model.predict(images, verbose=0)
print('equal:', np.allclose(tf_n2uq.tflite.predict(content, images), expected, atol=1e-5))
"""


def public_packages() -> Iterator[ModuleType]:
    """Yields the package and its public sub-packages."""
    yield tf_n2uq
    members = (getattr(tf_n2uq, name) for name in tf_n2uq.__all__)
    yield from (member for member in members if isinstance(member, ModuleType))


def public_names() -> Iterator[str]:
    """Yields each public name with the package in front, such as `tf_n2uq.tflite.convert`."""
    for package in public_packages():
        yield package.__name__
        yield from (f'{package.__name__}.{name}' for name in package.__all__)


def inventory(site: Path) -> set[str]:
    """Returns the names that have an entry on the reference pages of a built site.

    `objects.inv` is Sphinx's format: four lines of text, then compressed lines that start with a
    name.
    """
    compressed = (site / 'objects.inv').read_bytes().split(b'\n', 4)[4]
    return {line.split(' ')[0] for line in zlib.decompress(compressed).decode().splitlines()}


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it, in a folder of its own."""
    folder = tmp_path_factory.mktemp('site')
    result = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)],
        cwd=ROOT, env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-4000:]
    return folder


@pytest.mark.parametrize('package', [package.__name__ for package in public_packages()])
def test_every_public_package_has_a_reference_page(package: str):
    pages = [path.read_text(encoding='utf-8') for path in (DOCS / 'api').glob('*.md')]
    assert [page for page in pages if re.search(rf'^::: {package}$', page, re.MULTILINE)], (
        f'write a page in docs/api/ with the line `::: {package}`, and name it in mkdocs.yml'
    )


@needs_mkdocs
def test_every_public_name_has_an_entry_on_a_reference_page(site: Path):
    missing = sorted(set(public_names()) - inventory(site))
    assert not missing, f'these have no docstring, or their package has no page: {missing}'


@needs_mkdocs
def test_powers_in_docstrings_are_no_bold_text(site: Path):
    """Markdown makes bold text of what stands between two `**`, as in −2**(b−1)..2**(b−1)."""
    pages = {path.name: path.read_text(encoding='utf-8') for path in (site / 'api').glob('*.html')}
    assert {name for name, page in pages.items() if '<strong>' in page} == set()


@needs_mkdocs
@pytest.mark.parametrize(
    ('page', 'link', 'expected'),
    [
        ('index.md', 'docs/export.md#kernels', 'export.md#kernels'),
        ('index.md', 'CHANGELOG.md', 'changelog.md'),
        ('contributing.md', 'docs/methods/lsq.md', 'methods/lsq.md'),
        ('architecture.md', '../CONTRIBUTING.md#set-up', 'contributing.md#set-up'),
        ('methods/lsq.md', '../../README.md', '../index.md'),
        ('methods/lsq.md', '../export.md', '../export.md'),
        ('export.md', 'https://example.org/docs/a.md', 'https://example.org/docs/a.md'),
        ('export.md', '#kernels', '#kernels'),
        ('export.md', '../examples/cpp/README.md', 'examples/cpp.md'),
        ('examples/cpp.md', '../android/README.md', 'android.md'),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(page: str, link: str, expected: str):
    from tools.site_pages import site_links

    assert site_links(f'See [there]({link}).', page) == f'See [there]({expected}).'


def test_every_link_of_a_page_leads_to_a_file_of_the_repository():
    """The build of the site checks the links of the site, and this test those of code hosts."""
    for page in ALL_PAGES:
        for link in re.findall(r'\]\(((?!http|#)[^)#]+)', page.read_text(encoding='utf-8')):
            assert (page.parent / link).exists(), f'{page.relative_to(ROOT)}: {link}'


def test_every_make_target_that_a_page_names_exists():
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    targets = set(re.findall(r'(?:^|`|=\S+ )make ([a-z-]+)', ALL_TEXT, re.MULTILINE))
    assert {'demo', 'test', 'docs', 'bench'} <= targets
    for target in targets:
        assert re.search(rf'^{target}:', makefile, re.MULTILINE), target


def test_every_file_that_a_page_names_exists():
    folders = 'benchmarks|configs|docs|examples|tests|tf_n2uq|tools'
    files = set(re.findall(rf'\b(?:{folders})/[\w/]+\.\w+\b', ALL_TEXT))
    assert {'tests/rooms.py', 'benchmarks/tflite.py'} <= files
    assert sorted(file for file in files if not (ROOT / file).is_file()) == []


def test_the_method_and_the_layer_of_the_contributing_page_make_a_file(tmp_path: Path):
    page = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    method, layer = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    code = '\n'.join([method, layer, USE_OF_BOTH])
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.endswith('equal: True\n')


def test_the_picture_of_the_rooms_is_up_to_date():
    page = draw_rooms.PAGE.read_text(encoding='utf-8')
    picture = draw_rooms.to_mermaid(draw_rooms.without_detours(draw_rooms.read_imports(PACKAGE)))
    assert page == draw_rooms.with_picture(page, picture), 'run python tools/draw_rooms.py'


def test_every_room_is_described_on_the_page_of_the_architecture():
    page = draw_rooms.PAGE.read_text(encoding='utf-8')
    described = re.findall(r'^\| `([\w/]+)/` \|', page, re.MULTILINE)
    assert sorted(described) == draw_rooms.find_rooms(PACKAGE)


def test_imports_are_read_from_every_file_of_a_room(tmp_path: Path):
    package = tmp_path / 'tf_n2uq'
    for room in ('.', 'ops', 'tflite', 'tflite/passes'):
        (package / room).mkdir(exist_ok=True)
        (package / room / '__init__.py').touch()
    (package / 'tflite' / 'convert.py').write_text(
        'import numpy\nfrom tf_n2uq.tflite.passes.dense import connect\nfrom tf_n2uq import ops\n'
    )
    (package / 'tflite' / 'passes' / 'dense.py').write_text(
        'def late():\n    import tf_n2uq.ops.uniform\n'
    )
    assert draw_rooms.read_imports(package) == {
        'ops': set(), 'tflite': {'ops', 'tflite/passes'}, 'tflite/passes': {'ops'},
    }  # fmt: skip


def test_an_import_that_follows_from_others_is_not_drawn():
    imports = {'a': {'b', 'c'}, 'b': {'c'}, 'c': set()}
    assert draw_rooms.without_detours(imports) == {'a': {'b'}, 'b': {'c'}, 'c': set()}


def test_a_relative_import_is_an_error():
    with pytest.raises(ValueError, match='imports: expected absolute names'):
        list(draw_rooms.imported_names('from . import ops'))
