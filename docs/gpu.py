"""The tables of docs/gpu.md, from the output of `tests/gpu/run`."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from not_so_clevr.results import tables

Part = Mapping[str, Any]

_WAYS = {
    "convolved": "single squares, convolved",
    "draw_on_device": "the same, called from Python with centres on the host",
    "copied": "single squares, copied",
    "convolve_square": "dense, 9x9 square: two 1-D convolutions",
    "convolve_disc": "dense, 9x9 disc: one 2-D convolution",
    "packed": "not used: single squares, four pixels a word",
    "bands": "not used: two products with a band matrix",
    "sums": "not used: sums of shifted images",
}
_FEEDS = {"device": "the device", "host": "the host", "fixed": "(the same batch again)"}
_TIMES = ("training_seconds", "run_seconds", "process_seconds")


def text(file: pathlib.Path) -> str:
    """Returns the tables in Markdown, or that nothing has been measured yet."""
    if not file.exists():
        return "Not yet measured: no machine with a GPU was at hand.\n"
    found = json.loads(file.read_text("utf-8"))
    about = f"Measured on {found['date']} at commit {found['commit']} by `{found['command']}`.\n"
    return "\n".join([about, *(_backend(*item) for item in found["backends"].items())])


def _backend(name: str, parts: Mapping[str, Part]) -> str:
    title, about = f"## Keras on {name}\n", parts.get("about", {})
    if "device" not in about:
        return f"{title}\n{_failures(parts)}"

    versions = ", ".join(f"{key} {value}" for key, value in about.get("versions", {}).items())
    copy, fill = about["copy_gb_per_s"], about["fill_gb_per_s"]
    speed = f"a copy moves {copy:,.0f} GB/s, a fill {fill:,.0f} GB/s"
    texts = [
        title,
        f"{about['device']} ({about['driver']}), {versions}; {speed}.\n",
        _failures(parts),
        _bits(parts.get("bits", {})),
        _table(["draw", "S", "canvases/s", "GB/s", "of a copy"], _draws(parts, copy)),
        _table(["training steps/s, batches of 32", "drawn on", "steps/s"], _steps(parts)),
        _table(
            ["train", "compiled", "epochs", "test", "training", "run", "process"],
            _trainings(parts),
        ),
    ]
    return "\n".join(filter(None, texts))


def _failures(parts: Mapping[str, Part]) -> str:
    failed = [f"- {name}: {part['failed']}\n" for name, part in parts.items() if "failed" in part]
    return "".join(["Failed:\n\n", *failed]) if failed else ""


def _bits(part: Part) -> str:
    same = {key: value for key, value in part.items() if isinstance(value, bool)}
    if not same:
        return ""
    other = ", ".join(key for key, value in same.items() if not value)
    if other:
        return f"**Bits that differ from those of the CPU**: {other}.\n"
    return "The bits equal those of the CPU.\n"


def _draws(parts: Mapping[str, Part], copy: float) -> Iterator[list[str]]:
    for key, rate in {**parts.get("draw", {}), **parts.get("candidates", {})}.items():
        way, _, size = key.rpartition("_")
        words = _WAYS.get(way.removesuffix("_compiled"))
        if words is None:  # Why a part failed
            continue
        words += ", compiled" * way.endswith("_compiled")
        if "failed" in rate:
            yield [words, size, f"failed: {rate['failed']}", "", ""]
        else:
            speed = rate["gb_per_s"]
            share = tables.percent(speed / copy)
            yield [words, size, f"{rate['canvases_per_s']:,.0f}", f"{speed:,.1f}", share]


def _steps(parts: Mapping[str, Part]) -> Iterator[list[str]]:
    for key, value in parts.get("stream", {}).items():
        if key.endswith("_steps_per_s"):
            what, _, feed = key.removesuffix("_steps_per_s").rpartition("_")
            yield [what.replace("_", " ", 1), _FEEDS[feed], f"{value:,.1f}"]


def _trainings(parts: Mapping[str, Part]) -> Iterator[list[str]]:
    for name, part in parts.items():
        if name.startswith("train ") and "epochs" in part:
            compiled = "yes" if part["jit_compile"] else "no"
            times = [f"{part[key]:.1f} s" for key in _TIMES]
            share = tables.percent(part["test"])
            yield [name.split()[1], compiled, str(part["epochs"]), share, *times]


def _table(columns: list[str], rows: Iterator[list[str]]) -> str:
    lines = list(rows)
    return tables.markdown(columns, lines) if lines else ""
