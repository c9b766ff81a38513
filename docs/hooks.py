"""Extends mkdocs: pages for linked files of the repository and for notebooks, and unbroken numbers.

A link such as ../baselines/layers.py leads to the file on GitHub and in a clone. The site has only
docs/, so there it leads to a page that shows the file.
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
_INSIDE = re.compile(  # The spaces inside `59.7 %`, `[34.5, 84.9]` and `2 of 10`
    r"(?<=\d) (?=%|(px|s|min|h|of)\b)|(?<=\d,) (?=[\d.]+\])|(?<=\d of) (?=\d)"
)
_CHANGES = "CHANGELOG.md"  # Needs a page even without a link, for the navigation.


def on_files(files: Files, *, config: MkDocsConfig) -> None:
    """Adds a page for each notebook and for each linked file that is not part of the site."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        for name, content in _notebook(file.src_uri).items():
            files.append(File.generated(config, name, content=content))

    paths = {
        shown(file.src_uri, link)
        for file in files.documentation_pages()
        for link in _LINK.findall(file.content_string)
    }
    for path in sorted({_CHANGES, *filter(None, paths)}):
        files.append(File.generated(config, _page(path), content=_text(path)))


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links to the added pages, and keeps numbers in tables on one line with their units."""
    here = page.file.src_uri

    def lead(match: re.Match[str]) -> str:
        link = match.group()
        if link.endswith(".ipynb"):
            return link.removesuffix("ipynb") + "md"
        path = shown(here, link)
        return posixpath.relpath(_page(path), posixpath.dirname(here)) if path else link

    lines = markdown.splitlines()
    for k, line in enumerate(lines):
        if line.startswith("| "):
            lines[k] = _INSIDE.sub("\N{NO-BREAK SPACE}", line)
    return _LINK.sub(lead, "\n".join(lines))


def shown(page: str, link: str) -> str | None:
    """Returns the path of the linked file in the repository if it needs a page on the site."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    on_site = path.startswith("docs/") and not path.endswith(".py")
    return path if not on_site and (ROOT / path).is_file() else None


def _page(path: str) -> str:
    return f"files/{path.removesuffix('.md')}.md"


def _text(path: str) -> str:
    """Returns a file as Markdown; links of Markdown to the docs lead to their pages."""
    text = (ROOT / path).read_text("utf-8")
    if path.endswith(".md"):

        def lead(match: re.Match[str]) -> str:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match.group()))
            docs, here = "docs/", posixpath.dirname(_page(path))
            within = target.startswith(docs)
            return posixpath.relpath(target.removeprefix(docs), here) if within else match.group()

        return _LINK.sub(lead, text)
    language = {".cff": "yaml", ".py": "python"}.get(posixpath.splitext(path)[1], "text")
    return f"# `{path}`\n\n~~~~~~{language}\n{text}~~~~~~\n"


def _notebook(name: str) -> dict[str, str | bytes]:
    """Returns a notebook as a page, and its images."""
    stem = name.removesuffix(".ipynb")
    basename = posixpath.basename(stem)
    resources = {"unique_key": basename, "output_files_dir": basename}
    file = str(ROOT / "docs" / name)
    text, made = MarkdownExporter().from_filename(file, resources=resources)
    return {f"{stem}.md": text, **made["outputs"]}
