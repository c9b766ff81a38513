"""What maps and charts share: runs by model, and figures as SVG for a page, PNG or PDF for papers.

Figures are black on white, for papers. In `svg`, black becomes the text colour of the page.
"""

from __future__ import annotations

import io
import pathlib
import re
import statistics
import textwrap
import warnings
from collections.abc import Iterable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from not_so_clevr import files, results
from not_so_clevr.results import Result, tables

FORMATS = (".pdf", ".png")

# Without times and versions, so that equal figures are equal files
_METADATA = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


def by_label(runs: Iterable[Result]) -> dict[str, list[Result]]:
    """Returns the runs of each model, in the order in which the models first appear."""
    return results.grouped(runs, lambda run: run.label)


def accuracy(runs: Iterable[Result]) -> str:
    """Returns the mean share of test examples that are right, as text."""
    return tables.percent(statistics.fmean(run.accuracy("test") for run in runs))


def wrapped(label: str, width: int) -> str:
    """Returns a label wrapped to at most three lines of `width` characters."""
    return textwrap.fill(label, width, max_lines=3, placeholder="…")


def svg(figure: Figure, name: str) -> str:
    """Returns a figure as a transparent SVG element; black becomes the colour of the page's text.

    Args:
        figure: what to draw.
        name: unique on the page, for the ids inside the figure.
    """
    stream = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": name}
    _save(figure, stream, "svg", settings, metadata=_METADATA["svg"], transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    text = re.sub(r"<style.*?</style>", "", text)  # It would apply to the whole page.
    text = re.sub(r'(<g|<image[^>]*) id="[^"]*"', r"\1", text)  # Unused, and not unique
    return re.sub(r" font-family: [^;\"]*;", "", text)


def write(figure: Figure, file: str | pathlib.Path, dpi: int = 300, **metadata: str) -> None:
    """Writes a figure as PNG or PDF, by the file's suffix.

    Raises:
        UserError: if the file has another suffix.
        OSError: if it cannot be written.
    """
    file = pathlib.Path(file)
    tables.check_file(file, FORMATS)
    ending = file.suffix[1:]
    options: dict[str, Any] = {"metadata": {**_METADATA[ending], **metadata}, "dpi": dpi}
    with files.replacing(file) as temporary:
        _save(figure, temporary, ending, {"pdf.fonttype": 42}, **options)


def _save(
    figure: Figure, target: Any, ending: str, settings: dict[str, Any], **options: Any
) -> None:
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # Model names in any script
        figure.savefig(target, format=ending, **options)
