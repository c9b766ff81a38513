"""The tables of docs/gpu.md, from what `tests/gpu/run` measured."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from not_so_clevr.results import tables

Part = Mapping[str, Any]

_WAYS = {
    "convolved_squares": "single squares, convolved",
    "draw_on_device": "the same, called from Python with centres of the host",
    "copied_squares": "single squares, copied",
    "convolve_square": "dense, 9x9 square: two 1-D convolutions",
    "convolve_square_compiled": "the same, compiled",
    "convolve_disc": "dense, 9x9 disc: one 2-D convolution",
    "convolve_disc_compiled": "the same, compiled",
    "bands": "not used: two products with a band matrix",
    "bands_compiled": "the same, compiled",
    "sums": "not used: sums of shifted images",
    "sums_compiled": "the same, compiled",
}


def text(file: pathlib.Path) -> str:
    """Returns the tables in Markdown, or that nothing has been measured yet."""
    if not file.exists():
        return "Not yet measured: no machine with a GPU was at hand.\n"
    found = json.loads(file.read_text("utf-8"))
    about = f"Measured on {found['date']} at commit {found['commit']} by `{found['command']}`."
    parts = [_backend(name, found["backends"][name]) for name in found["backends"]]
    return "\n".join([f"{about}\n", *parts])


def _backend(name: str, parts: Mapping[str, Part]) -> str:
    about = parts.get("about", {})
    if "device" not in about:
        return f"## Keras on {name}\n\n{_failures(parts)}"
    versions = ", ".join(f"{key} {value}" for key, value in about.get("versions", {}).items())
    copy, fill = about.get("copy_gb_per_s"), about.get("fill_gb_per_s")
    bandwidth = f"; a copy moves {copy:,.0f} GB/s, a fill {fill:,.0f} GB/s" if copy else ""
    texts = [
        f"## Keras on {name}\n",
        f"{about['device']} ({about['driver']}), {versions}{bandwidth}.\n",
        _failures(parts),
        _bits(parts.get("bits", {})),
        _table(["draw", "S", "canvases/s", "GB/s", "of a copy"], _draws(parts, copy)),
        _table(["training steps/s, batches of 32", "drawn on", "steps/s"], _steps(parts)),
        _table(["train", "compiled", "epochs", "test", "training", "run", "process"], _trainings(parts)),
    ]
    return "\n".join(filter(None, texts))


def _failures(parts: Mapping[str, Part]) -> str:
    failed = [f"- {name}: {part['failed']}\n" for name, part in parts.items() if "failed" in part]
    return "".join(["Failed:\n\n", *failed]) if failed else ""


def _bits(part: Part) -> str:
    same = {key: value for key, value in part.items() if isinstance(value, bool)}
    if not same:
        return ""
    other = [key for key, value in same.items() if not value]
    if other:
        return f"**Not the bits of the CPU**: {', '.join(other)}.\n"
    return "The bits equal those of the CPU.\n"


def _draws(parts: Mapping[str, Part], copy: float | None) -> Iterator[list[str]]:
    found = {**parts.get("draw", {}), **parts.get("candidates", {})}
    for way, words in _WAYS.items():
        for key, rate in found.items():
            if not isinstance(rate, Mapping) or key.rpartition("_")[0] != way:
                continue
            size = key.rpartition("_")[2]
            if "failed" in rate:
                yield [words, size, f"failed: {rate['failed']}", "", ""]
                continue
            share = tables.percent(rate["gb_per_s"] / copy) if copy else ""
            yield [words, size, f"{rate['canvases_per_s']:,.0f}", f"{rate['gb_per_s']:,.1f}", share]


def _steps(parts: Mapping[str, Part]) -> Iterator[list[str]]:
    for key, value in parts.get("stream", {}).items():
        if key.endswith("_steps_per_s"):
            what, _, feed = key.removesuffix("_steps_per_s").rpartition("_")
            feed = {"device": "the device", "host": "the host", "fixed": "(one batch again)"}[feed]
            yield [what.replace("_", " ", 1), feed, f"{value:,.1f}"]


def _trainings(parts: Mapping[str, Part]) -> Iterator[list[str]]:
    for name, part in parts.items():
        if name.startswith("train ") and "epochs" in part:
            keys = ("training_seconds", "run_seconds", "process_seconds")
            times = [f"{part[key]:.1f} s" for key in keys]
            compiled = "yes" if part["jit_compile"] else "no"
            share = tables.percent(part["test"])
            yield [name.split()[1], compiled, str(part["epochs"]), share, *times]


def _table(columns: list[str], rows: Iterator[list[str]]) -> str:
    lines = list(rows)
    return tables.markdown(columns, lines) if lines else ""
