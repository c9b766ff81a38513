"""What maps and charts share: runs by their model, and figures as SVG for a page, and as PNG and PDF for papers.

They are drawn in matplotlib's default black on white, for papers; in `svg` what is black takes the colour of the page's text.
"""

from __future__ import annotations

import io
import pathlib
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from not_so_clevr import files, results
from not_so_clevr.results import Result

_METADATA = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


def by_label(runs: Iterable[Result]) -> dict[str, list[Result]]:
    """Returns the runs of each model, in the order in which the models come first."""
    return results.grouped(runs, lambda run: run.label)


def wrapped(label: str, width: int) -> str:
    """Returns a label in lines of so many characters, three at most."""
    return textwrap.fill(label, width, max_lines=3, placeholder="…")


def svg(figure: Figure, name: str) -> str:
    """Returns a figure as an SVG element for a page: transparent, and what is black in the colour of the text around it.

    Args:
        figure: what to draw.
        name: tells apart the ids of the figures of a page.
    """
    stream = io.StringIO()
    _save(figure, stream, "svg", {"svg.fonttype": "none", "svg.hashsalt": name}, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    text = re.sub(r"<style.*?</style>", "", text)  # It would hold for the whole page.
    text = re.sub(r'(<g|<image[^>]*) id="[^"]*"', r"\1", text)  # Ids that nothing refers to, the same in every figure
    return re.sub(r" font-family: [^;\"]*;", "", text)


def write(figure: Figure, file: pathlib.Path, dpi: int = 300, **metadata: str) -> None:
    """Writes a figure as PNG or PDF, by the ending of the file's name. Raises OSError, one sentence, if it cannot."""
    with files.replacing(file) as temporary:
        _save(figure, temporary, file.suffix[1:], {"pdf.fonttype": 42}, metadata, dpi=dpi)


def _save(
    figure: Figure, target: Any, ending: str, settings: dict[str, Any], metadata: Mapping[str, str] = {}, **options: Any
) -> None:
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # A model may have a name in any script.
        figure.savefig(target, format=ending, metadata={**_METADATA[ending], **metadata}, **options)
