"""What maps and charts share: runs by model, and figures as SVG for a page, PNG or PDF for papers.

Figures are black on white, for papers. In `svg`, black becomes the text colour of the page.
"""

from __future__ import annotations

import base64
import io
import pathlib
import re
import statistics
import textwrap
import warnings
from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from not_so_clevr import files, results
from not_so_clevr.results import Result, tables

FORMATS = (".pdf", ".png")

# A group of markers that look the same
_MARKERS = re.compile(
    r"<g(?P<group>[^>]*)>(?P<markers>\n<use [^>]*?(?P<style>style=\"[^\"]*\")/>\n"
    r"(?:<use [^>]*?(?P=style)/>\n)+)</g>"
)

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


def model(number: int) -> str:
    """Returns the gid of what shows one model, given its number on the page."""
    return f"model:{number}"


def task(name: str) -> str:
    """Returns the gid of what shows one task."""
    return f"task:{name}"


def config(name: str) -> str:
    """Returns the gid of what shows one config."""
    return f"config:{name}"


def svg(figure: Figure, name: str) -> str:
    """Returns a figure as a transparent SVG element; black becomes the colour of the page's text.

    What has a gid of `model`, `task` or `config` gets `data-model` and so on, for the filters.

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
    text = re.sub(r'<g id="(model|task|config):([\w.=-]+)"', r'<g data-\1="\2"', text)
    text = re.sub(r'(<g|<image[^>]*) id="[^"]*"', r"\1", text)  # Unused, and not unique
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r"data:image/png;base64,([^\"]*)", _smaller, text)
    text = re.sub(r"<(?:path|use|g|text|clipPath|rect)\b[^>]*>", _rounded, text)
    text = re.sub(r' transform="rotate\(-?0 [^"]*"|; stroke-linejoin: miter', "", text)
    text = re.sub(r"\n +", "\n", text).replace('xlink:href="#', 'href="#')
    return _MARKERS.sub(_styled_once, text)


def _smaller(match: re.Match[str]) -> str:
    """Returns an image of at most 256 colours as bytes that index them: a quarter of the size."""
    raw = base64.b64decode(match[1])
    pixels = np.asarray(Image.open(io.BytesIO(raw)).convert("RGBA"))
    colors, indices = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colors) > 256:
        return match[0]
    image = Image.fromarray(indices.reshape(pixels.shape[:2]).astype(np.uint8))
    image.putpalette(colors[:, :3].tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True, transparency=colors[:, 3].tobytes())
    found = min(raw, stream.getvalue(), key=len)
    return f"data:image/png;base64,{base64.b64encode(found).decode()}"


def _styled_once(match: re.Match[str]) -> str:
    """Returns a group of markers with their style at the group."""
    style = match["style"]
    return f"<g{match['group']} {style}>" + match["markers"].replace(f" {style}", "") + "</g>"


def _rounded(match: re.Match[str]) -> str:
    """Returns a tag with its numbers cut to two decimals, in points."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", match[0])


def write(figure: Figure, file: str | pathlib.Path, dpi: int = 300, **metadata: str) -> None:
    """Writes a figure as PNG or PDF, by the file's suffix.

    Raises:
        UserError: if the file has another suffix.
        OSError: if it cannot be written.
    """
    file = tables.check_file(file, FORMATS)
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
