"""What the site needs beyond mkdocs: pages that show files of the repository, notebooks as pages, and numbers in one piece.

On GitHub and in a clone a link such as ../baselines/layers.py leads to the file. A site has only what lies in docs/, so there
it leads to a page that shows the file.
"""

from __future__ import annotations

import pathlib
import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = pathlib.Path(__file__).parents[1]

_LINK = re.compile(r"(?<=\]\()(?!https?://|#)[^)#]+")
_INSIDE = re.compile(r"(?<=\d) (?=%|(px|s|min|h|of)\b)|(?<=\d,) (?=[\d.]+\])|(?<=\d of) (?=\d)")  # `59.7 %`, `[34.5, 84.9]`
_CHANGES = "CHANGELOG.md"  # In the navigation, wherever links lead


def on_files(files: Files, *, config: MkDocsConfig) -> None:
    """Adds a page for each notebook and for each file that a page links to and the site does not have."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        for name, content in _notebook(file.src_uri).items():
            files.append(File.generated(config, name, content=content))
    links = (shown(file.src_uri, link) for file in files.documentation_pages() for link in _LINK.findall(file.content_string))
    for path in sorted({_CHANGES, *filter(None, links)}):
        files.append(File.generated(config, _page(path), content=_text(path)))


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to the pages that `on_files` adds, and keeps the numbers of tables on one line with their units."""

    def lead(match: re.Match[str]) -> str:
        link = match.group()
        if link.endswith(".ipynb"):
            return link.removesuffix("ipynb") + "md"
        path = shown(page.file.src_uri, link)
        return posixpath.relpath(_page(path), posixpath.dirname(page.file.src_uri)) if path else link

    lines = (_INSIDE.sub("\N{NO-BREAK SPACE}", line) if line.startswith("| ") else line for line in markdown.splitlines())
    return _LINK.sub(lead, "\n".join(lines))


def shown(page: str, link: str) -> str | None:
    """Returns the path, in the repository, of the file that a link leads to, if it is one that the site must show."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    has_it = path.startswith("docs/") and not path.endswith(".py")
    return path if not has_it and (ROOT / path).is_file() else None


def _page(path: str) -> str:
    return f"files/{path.removesuffix('.md')}.md"


def _text(path: str) -> str:
    """Returns a file as Markdown."""
    text = (ROOT / path).read_text("utf-8")
    if path.endswith(".md"):
        return text
    language = {".cff": "yaml", ".py": "python"}.get(posixpath.splitext(path)[1], "text")
    return f"# `{path}`\n\n~~~~~~{language}\n{text}~~~~~~\n"


def _notebook(name: str) -> dict[str, str | bytes]:
    """Returns a notebook as a page, and its pictures."""
    stem = name.removesuffix(".ipynb")
    names = {"unique_key": posixpath.basename(stem), "output_files_dir": posixpath.basename(stem)}
    text, made = MarkdownExporter().from_filename(str(ROOT / "docs" / name), resources=names)
    return {f"{stem}.md": text, **made["outputs"]}
