"""Narrow tables for the pages: settings below the model, hardware in a footnote."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

_SETTING = re.compile(r"-(?=[a-z]\w*=)")
_TABLE = re.compile(r"(^\| .*\|\n)+", re.MULTILINE)


def page(text: str) -> str:
    """Returns a page in Markdown whose tables of models and hardware are narrow.

    A letter beside a time leads to the hardware below the table. Other tables stay as they are.
    """
    tables = [_cells(match.group()) for match in _TABLE.finditer(text)]
    machines = {each for rows in tables for row in rows[2:] for each in _machines(rows[0], row)}
    letters = dict(zip(sorted(machines), string.ascii_lowercase, strict=False))
    return _TABLE.sub(lambda match: _narrow(_cells(match.group()), letters), text)


def _cells(table: str) -> list[list[str]]:
    return [line[2:-2].split(" | ") for line in table.splitlines()]


def _machines(columns: Sequence[str], row: Sequence[str]) -> list[str]:
    cell = dict(zip(columns, row, strict=True)).get("hardware", "")
    return sorted(filter(None, cell.split("; ")))


def _narrow(table: Sequence[Sequence[str]], letters: dict[str, str]) -> str:
    columns, _, *rows = table
    shown = [name for name in columns if name != "hardware"]
    lines = [shown, ["---"] * len(shown)]
    used: dict[str, str] = {}
    for row in rows:
        cells = dict(zip(columns, row, strict=True))
        if "hardware" in columns:
            here = {letters[each]: each for each in _machines(columns, row)}
            used |= here
            model, *settings = _SETTING.split(cells["model"])
            cells["model"] = "<br>".join([model, ", ".join(settings)]) if settings else model
            cells["time"] += "".join(f" <sup>{letter}</sup>" for letter in here)
        lines.append([cells[name] for name in shown])

    note = "; ".join(f"<sup>{letter}</sup> {used[letter]}" for letter in sorted(used))
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{text}\nHardware: {note}.\n" if note else text
