"""Writes what the pages say of run files; with --check, writes nothing and tells whether they say it.

python docs/generate.py [--check]
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence

from not_so_clevr import reproduce, results
from not_so_clevr.results import Result

ROOT = pathlib.Path(__file__).parents[1]
RUNS = pathlib.Path("baselines", "results")


def leaderboard(runs: Sequence[Result]) -> str:
    """Returns what `not-so-clevr leaderboard baselines/results -o docs/results.md` writes."""
    return results.to_markdown(results.leaderboard(runs))


def reproduction(runs: Sequence[Result]) -> str:
    """Returns what `not-so-clevr reproduce article paper failures --only-print ... -o docs/reproduction.md` writes."""
    return reproduce.to_markdown(reproduce.table(reproduce.select(["article", "paper", "failures"]), runs))


def quadrant(runs: Sequence[Result], columns: Sequence[str] = results.COLUMNS) -> str:
    """Returns the rows of the leaderboard for `quadrant`, every model with its default recipe."""
    rows = results.leaderboard(run for run in runs if run.config == "quadrant" and not run.recipe)
    cells = [dict(zip(results.COLUMNS, results.cells(row), strict=True)) for row in rows]
    return results.markdown(columns, [[row[column] for column in columns] for row in cells])


def home(runs: Sequence[Result]) -> str:
    """Returns the same, narrow enough for a telephone."""
    return quadrant(runs, ("task", "model", "train", "test", "parameters"))


def citation(runs: Sequence[Result]) -> str:
    """Returns the BibTeX entries that come with the data set."""
    return f"```bibtex\n{(ROOT / 'not_so_clevr' / 'CITATIONS.bib').read_text().strip()}\n```\n"


# Whatever is made of files: a page with markers, <!-- name --> and <!-- /name -->, from one to the other, any other whole.
PAGES: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "README.md": quadrant,
    "docs/cite.md": citation,
    "docs/index.md": home,
    "docs/reproduction.md": reproduction,
    "docs/results.md": leaderboard,
}

_MARKED = re.compile(r"<!-- (\w+) -->\n(.*)<!-- /\1 -->", re.DOTALL)


def stale(root: pathlib.Path = ROOT) -> dict[pathlib.Path, str]:
    """Returns each page that disagrees with the files it is made of, and what it should be.

    Raises:
        ValueError: one sentence for each file that is not the result of a run.
    """
    runs, problems = results.load([root / RUNS])
    if problems:
        raise ValueError("\n".join(problems))
    pages = {root / name: write(runs) for name, write in PAGES.items()}
    old = {page: page.read_text() if page.exists() else "" for page in pages}
    new = {page: _renewed(old[page], text) for page, text in pages.items()}
    return {page: text for page, text in new.items() if text != old[page]}


def _renewed(page: str, text: str) -> str:
    marked = _MARKED.search(page)
    return f"{page[: marked.start(2)]}\n{text}\n{page[marked.end(2) :]}" if marked else text


def main(arguments: Sequence[str], root: pathlib.Path = ROOT) -> str | None:
    """Writes the pages that disagree; or, with --check, returns a sentence for each."""
    pages = stale(root)
    if list(arguments) == ["--check"]:
        disagree = "disagrees with the files it is made of; mend it with: python docs/generate.py"
        return "\n".join(f"{page.relative_to(root)} {disagree}" for page in pages) or None
    if arguments:
        return f"{' '.join(arguments)} is no option; expected --check or nothing."
    for page, text in pages.items():
        page.write_text(text)
        print(f"{page.relative_to(root)} is written anew")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
