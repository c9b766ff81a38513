"""Numbers and tables as text: for terminals, pages, and Markdown, CSV and JSON files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.results.result import FILE

FORMATS = (".md", ".csv", ".json")

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # Their wide forms, too


def percent(share: float | None) -> str:
    """Returns a share as text; only 1 is `100 %`, nothing is rounded to it; "" for None."""
    if share is None:
        return ""
    text = f"{100 * share:.1f}"
    return "100 %" if share == 1 else f"{'99.9' if text == '100.0' else text} %"


def amount(metric: str, value: float) -> str:
    """Returns a value of a metric as text: `97.3 %`, `0.31 px`, or `0.9999` for an IoU.

    Only a perfect value reads as perfect: rounding never turns another one into 100 %, 0 px or 1.
    """
    unit = METRICS[metric].unit
    if unit == "%":
        return percent(value)
    if unit:
        return f"< 0.001 {unit}" if 0 < value < 0.001 else f"{value:.4g} {unit}"
    text = f"{value:.4g}"
    return "0.9999" if text == "1" and value < 1 else text


def duration(seconds: float | None) -> str:
    """Returns a time as text: `12 s`, `34 min`, `5.6 h`; "" for None."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def shares(metrics: Mapping[str, Mapping[str, float]] | str, metric: str) -> str:
    """Returns `100 % of train, 97.3 % of test right`; a sentence instead of metrics as it is."""
    if isinstance(metrics, str):
        return metrics
    texts = (f"{percent(values[metric])} of {split}" for split, values in metrics.items())
    return f"{', '.join(texts)} right"


def interval(metric: str, mean: float, half: float | None) -> str:
    """Returns an interval as text, to follow its mean: ` [67.5, 81.5]`.

    It is cut to the range of the metric, and shares are in percent. Returns "" if `half` is None
    or 0: there are too few values, or all agree.
    """
    if not half:
        return ""
    about = METRICS[metric]
    ends = max(0.0, mean - half), min(about.highest, mean + half)
    texts = [amount(metric, end).removesuffix(f" {about.unit}").removesuffix(".0") for end in ends]
    return " [{}, {}]".format(*texts)


def plain(text: str, keep: str = "") -> str:
    """Returns untrusted text, safe to print: unprintable characters as escape sequences.

    They include those that change the direction of writing. Those of `keep` stay.
    """
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown, with every cell `escaped`."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(escaped, line))} |\n" for line in lines)


def escaped(text: str) -> str:
    """Returns untrusted text, safe in a Markdown table: it neither ends a cell nor is HTML."""
    return plain(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def write(
    file: str | os.PathLike[str],
    rows: Sequence[Any],
    to_markdown: Callable[[Sequence[Any]], str],
    **more: Any,
) -> None:
    """Writes rows (dataclasses) as Markdown, CSV or JSON, by the extension of the file.

    In JSON they are the value of `measured`, beside `more`.

    Raises:
        UserError: for any other extension.
        OSError: worded as one sentence, if the file cannot be written.
    """
    file = check_file(file)
    values = [row if isinstance(row, Mapping) else dataclasses.asdict(row) for row in rows]
    with files.replacing(file) as temporary:
        if file.suffix == ".json":
            temporary.write_text(json.dumps({"measured": values, **more}, indent=1) + "\n")
        else:
            text = _csv(values) if file.suffix == ".csv" else to_markdown(rows)
            temporary.write_bytes(
                text.encode(errors="replace")
            )  # JSON may hold halves of characters.


def check_file(file: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> pathlib.Path:
    """Returns the path of a file to write, after checking that this is possible.

    Raises:
        UserError: if it is no path, its extension is none of the formats, or its name is that of
            the result of a run.
        OSError: worded as one sentence, if it is a folder, or it or its folder is not writable.
    """
    file = files.expanded(file)
    if file.suffix not in formats:
        raise UserError(
            f"{file} has no known format; expected a name that ends in {', '.join(formats)}."
        )
    if file.name == FILE:
        raise UserError(f"{file} has the name of the result of a run; give another name.")
    if file.is_dir():
        example = file / f"table{formats[0]}"
        raise OSError(f"{file} is a folder; expected the name of a file, such as {example}.")
    files.check_replaceable(file)
    return file


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    """Returns a value for a CSV file; a spreadsheet must not take untrusted text for a formula."""
    if not isinstance(value, str):
        return value
    return f"'{plain(value)}" if value.startswith(_FORMULA) else plain(value)
