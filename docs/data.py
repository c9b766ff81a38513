"""The data of the pages: the reference results, trials, and what figures and sentences need beside.

    python docs/data.py runs/     # takes in the runs below a folder, instead of older ones

| file | what it holds |
|---|---|
| baselines/results.jsonl | the reference results, a record a line; part of the package |
| docs/data/trials.jsonl | runs that the pages mention beside them |
| docs/data/histories.json.xz | of all these runs, id -> loss, seconds and metrics of test after each epoch |
| docs/data/examples.npz | of some, id/split/column -> a number for each example, see `needed` |

The coordinates of the examples are not stored: they follow from the config.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from not_so_clevr import files, results
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import Result

ROOT = pathlib.Path(__file__).parents[1]
REFERENCE = pathlib.Path("baselines", "results.jsonl")
TRIALS = pathlib.Path("docs", "data", "trials.jsonl")
HISTORIES = pathlib.Path("docs", "data", "histories.json.xz")
EXAMPLES = pathlib.Path("docs", "data", "examples.npz")

# Runs, by the beginning of their ids, of which maps show how far off each example is.
MAPS = (
    "classification/quadrant/coordconv/",
    "classification/quadrant/coordconv-weight_decay=0.0/",
    "classification/quadrant/deconv/",
    "classification/quadrant/deconv-article/",
    "classification/quadrant/tiled_conv/",
    "regression/quadrant/conv/",
    "regression/quadrant/coordconv/",
    "regression/uniform/coordconv-article-pooling=mean/",
    "rendering/quadrant/coordconv/",
    "rendering/quadrant/coordconv-article/seed0",
    "rendering/quadrant/deconv/",
)
PAINTINGS = ("rendering/quadrant/coordconv-article/seed0",)

# Functions of values.py that look at single examples of train.
_OF_EXAMPLES = re.compile(r"<!-- (?:answer|off|constant|wrong_rows)[^:]*:((?: [^ <>]+)+) -->")

Columns = Mapping[str, npt.NDArray[Any]]


class Data(NamedTuple):
    """All runs of the pages, with their histories and the examples that are kept."""

    reference: list[Result]
    trials: list[Result]


def load(root: pathlib.Path = ROOT) -> Data:
    """Returns the data of the pages. Raises UserError if a file is not as it should be."""
    histories = json.loads(lzma.decompress((root / HISTORIES).read_bytes()))
    with np.load(root / EXAMPLES) as arrays:
        examples = dict(arrays)

    def whole(run: Result) -> Result:
        history = list(epochs(histories.get(run.id, {})))
        return dataclasses.replace(run, history=history, examples=_examples_of(run, examples))

    read = (results.read_lines(root / file) for file in (REFERENCE, TRIALS))
    return Data(*([whole(run) for run in runs] for runs in read))


def save(data: Data, root: pathlib.Path = ROOT) -> None:
    """Writes the data of the pages, and of the examples only what they need."""
    results.write_lines(root / REFERENCE, data.reference)
    results.write_lines(root / TRIALS, data.trials)

    runs = sorted([*data.reference, *data.trials], key=lambda run: run.id)
    text = json.dumps({run.id: columns(run.history) for run in runs}, separators=(",", ":"))
    with files.replacing(root / HISTORIES) as temporary:
        temporary.write_bytes(lzma.compress(text.encode(), preset=9))

    arrays: dict[str, Any] = {f"{run.id}/{name}": values for run in runs for name, values in needed(run, root)}
    with files.replacing(root / EXAMPLES) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def columns(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a history as lists, one number for each epoch."""
    if not history:
        return {}
    numbers = {name: [epoch[name] for epoch in history] for name in ("loss", "seconds")}
    tests = {name: [epoch["test"][name] for epoch in history] for name in history[0]["test"]}
    return numbers | {"test": tests}


def epochs(history: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the epochs of a history, the opposite of `columns`."""
    for k, loss in enumerate(history.get("loss", [])):
        test = {name: values[k] for name, values in history["test"].items()}
        yield {"epoch": k + 1, "loss": loss, "test": test, "seconds": history["seconds"][k]}


def needed(run: Result, root: pathlib.Path = ROOT) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yields split/column and the values of a run that figures or sentences look at."""
    wanted: set[str] = set()
    if run.id.startswith(MAPS):
        wanted |= {f"{split}/{run.distance_metric}" for split in ("train", "test")}
    if run.id.startswith(PAINTINGS):
        wanted |= {f"test/{name}" for name in (results.SHOWN, results.PAINTED)}
    if run.id.rpartition("/")[0] in _in_sentences(root):
        wanted |= {f"train/{results.PREDICTED}", "train/within_half_pixel"}

    for split, found in run.examples.items():
        for name, values in found.items():
            if f"{split}/{name}" in wanted:
                yield f"{split}/{name}", values


def _in_sentences(root: pathlib.Path) -> set[str]:
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    return {each for page in pages for ids in _OF_EXAMPLES.findall(page.read_text("utf-8")) for each in ids.split()}


def _examples_of(run: Result, arrays: Columns) -> dict[str, dict[str, npt.NDArray[Any]]]:
    examples: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for split in ("train", "test"):
        prefix = f"{run.id}/{split}/"
        found = {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}
        if found:
            centres = as_config(run.config).split_centres()[split]
            examples[split] = {"coordinates": centres, **found}
    return examples


def taken_in(data: Data, runs: Iterable[Result]) -> Data:
    """Returns data with some runs, instead of those that have their ids; new ones are reference."""
    new = {run.id: run for run in runs}
    trials = [new.pop(run.id, run) for run in data.trials]
    reference = [run for run in data.reference if run.id not in new]
    return Data([*reference, *new.values()], trials)


def main(folders: Sequence[str]) -> str | None:
    """Takes in the runs below some folders; returns what is wrong, if anything is."""
    if not folders:
        return "docs/data.py needs folders with runs, such as runs/."
    found, problems = results.load([pathlib.Path(folder) for folder in folders])
    if problems:
        return "\n".join(problems)
    save(taken_in(load(ROOT), [run.with_examples() for run in found]), ROOT)
    print(f"{len(found)} runs were taken in; python docs/generate.py writes the pages.")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
