"""MkDocs hooks: pages outside of docs/ become pages of the site, and their links follow.

README.md, CONTRIBUTING.md and CHANGELOG.md lie at the top of the repository, where code hosts look
for them, and some examples have a README.md of their own. Their links are relative to these places,
such as `docs/export.md`. The hooks rewrite them for the site, and the links from docs/ to these
files.
"""

from __future__ import annotations

import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SITE_NAMES = {
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'LICENSE': 'LICENSE.txt',
    'examples/android/README.md': 'examples/android.md',
    'examples/cpp/README.md': 'examples/cpp.md',
}
"""Files outside of docs/, by their place in the repository, and their names on the site."""

_LINK = re.compile(r'\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files of `SITE_NAMES` to the site.

    Args:
        files: The files of docs/.
        config: The settings of mkdocs.yml.
    """
    root = posixpath.dirname(config.config_file_path)
    for name, site_name in SITE_NAMES.items():
        path = posixpath.join(root, name)
        files.append(File.generated(config, site_name, abs_src_path=path))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites the links of one page for the site.

    Args:
        markdown: The text of the page.
        page: The page.
        config: The settings of mkdocs.yml.
        files: The files of the site.
    """
    del config, files
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, site_name: str) -> str:
    """Returns a page in which each relative link names a file of the site.

    Args:
        markdown: The text of the page, with links for its place in the repository.
        site_name: The path of the page on the site, for example `methods/lsq.md`.
    """
    repository_names = {name: source for source, name in SITE_NAMES.items()}
    source = repository_names.get(site_name, f'docs/{site_name}')

    def rewrite(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link['path']))
        target = SITE_NAMES.get(target, target.removeprefix('docs/'))
        path = posixpath.relpath(target, posixpath.dirname(site_name) or '.')
        return f']({path}{link["anchor"] or ""})'

    return _LINK.sub(rewrite, markdown)
