"""The data of the pages: the reference results, trials, histories and examples.

    python docs/data.py runs/            # adds the runs and searches below a folder
    python docs/data.py --restore runs/  # writes all runs there; a command goes on from them

| file | contents |
|---|---|
| baselines/results.jsonl | the reference results, one row per line; part of the package |
| baselines/searches.jsonl | the searches by the rule, one per line; part of the package |
| docs/data/trials.jsonl | other runs that the pages mention |
| docs/data/histories.json.xz | id -> loss, seconds and test metrics of each measured epoch |
| docs/data/examples.npz | id/split/column -> one number per example, where a page needs them |

The coordinates of the examples follow from the config, so they are not stored. Of runs on 32x32
canvases, histories are stored only where a sentence is about them.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import drawings
import numpy as np
import numpy.typing as npt
import values

from not_so_clevr import files, results
from not_so_clevr.benchmark import searches
from not_so_clevr.benchmark.options import TUNE_CONFIG
from not_so_clevr.dataset.config import as_config
from not_so_clevr.report import maps
from not_so_clevr.results import Result

ROOT = pathlib.Path(__file__).parents[1]
REFERENCE = pathlib.Path("baselines", "results.jsonl")
SEARCHES = pathlib.Path("baselines", searches.FILE)
TRIALS = pathlib.Path("docs", "data", "trials.jsonl")
HISTORIES = pathlib.Path("docs", "data", "histories.json.xz")
EXAMPLES = pathlib.Path("docs", "data", "examples.npz")


class Data(NamedTuple):
    """All runs of the pages, with their histories and the stored examples."""

    reference: list[Result]
    trials: list[Result]


def pages(root: pathlib.Path) -> list[pathlib.Path]:
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def load(root: pathlib.Path = ROOT) -> Data:
    """Returns the data of the pages. Raises UserError for an invalid file."""
    histories = json.loads(lzma.decompress((root / HISTORIES).read_bytes()))
    examples: dict[str, dict[str, dict[str, npt.NDArray[Any]]]] = {}
    with np.load(root / EXAMPLES) as arrays:
        for name, array in arrays.items():
            run_id, split, column = name.rsplit("/", 2)
            examples.setdefault(run_id, {}).setdefault(split, {})[column] = array

    def complete(run: Result) -> Result:
        history = list(epochs(histories.get(run.id, {})))
        stored = examples.get(run.id, {})
        if stored:
            centres = as_config(run.config).split_centres()
            stored = {split: {"coordinates": centres[split], **stored[split]} for split in stored}
        return dataclasses.replace(run, history=history, examples=stored)

    reference, trials = (results.read_lines(root / file) for file in (REFERENCE, TRIALS))
    return Data(list(map(complete, reference)), list(map(complete, trials)))


def save(data: Data, root: pathlib.Path = ROOT) -> None:
    """Writes the data of the pages, with only those examples and histories that they need."""
    results.write_lines(root / REFERENCE, map(_with_short_times, data.reference), compact=True)
    results.write_lines(root / TRIALS, map(_with_short_times, data.trials), compact=True)

    runs = sorted([*data.reference, *data.trials], key=lambda run: run.id)
    named = _in_sentences(root, values.FUNCTIONS.values())
    histories = {
        run.id: columns(run.history)
        for run in runs
        if run.search is None and (not _is_small(run) or run.id.rpartition("/")[0] in named)
    }
    text = json.dumps(histories, separators=(",", ":"))
    with files.replacing(root / HISTORIES) as temporary:
        temporary.write_bytes(lzma.compress(text.encode(), preset=9))

    arrays: dict[str, Any] = {}
    in_sentences = _in_sentences(root, values.OF_EXAMPLES)
    for run in runs:
        needed = _needed(run, run.id.rpartition("/")[0] in in_sentences)
        for split, found in run.examples.items():
            for name, array in found.items():
                if (split, name) in needed:
                    arrays[f"{run.id}/{split}/{name}"] = array
    with files.replacing(root / EXAMPLES) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _with_short_times(run: Result) -> Result:
    """Returns a run whose times have six digits; all else is as it was measured."""
    names = ("seconds", "cpu_seconds", "examples_per_second")
    known = {name: value for name in names if (value := getattr(run, name)) is not None}
    short: dict[str, Any] = {name: float(f"{value:.6g}") for name, value in known.items()}
    return dataclasses.replace(run, **short)


def columns(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a history as lists with one number per measured epoch.

    Loss and seconds have five digits, which halves the file. Metrics are as they were measured.
    """
    if not history:
        return {}
    numbers = {name: [_rounded(epoch[name]) for epoch in history] for name in ("loss", "seconds")}
    tests = {name: [epoch["test"][name] for epoch in history] for name in history[0]["test"]}
    measured = [epoch["epoch"] for epoch in history]
    every = {} if measured == [*range(1, len(measured) + 1)] else {"epoch": measured}
    return every | numbers | {"test": tests}


def _rounded(number: float) -> float:
    return float(f"{number:.5g}")


def epochs(history: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the epochs of a history; the inverse of `columns`."""
    losses = history.get("loss", [])
    for k, epoch in enumerate(history.get("epoch", range(1, len(losses) + 1))):
        test = {name: values[k] for name, values in history["test"].items()}
        yield {"epoch": epoch, "loss": losses[k], "test": test, "seconds": history["seconds"][k]}


def _needed(run: Result, in_sentences: bool) -> set[tuple[str, str]]:
    """Returns each split and column that a figure or a sentence reads."""
    needed: set[tuple[str, str]] = set()
    for drawing in drawings.FIGURES.values():
        if drawing.of_examples and drawing.shows(run):
            needed |= {("train", run.distance_metric), ("test", run.distance_metric)}
            if drawing.draw is maps.paintings:
                needed |= {("test", results.SHOWN), ("test", results.PAINTED)}
    if in_sentences:
        needed |= {("train", results.PREDICTED), ("train", "within_half_pixel")}
    return needed


def _is_small(run: Result) -> bool:
    """Returns whether a run is on a canvas of the board's size. There are many such runs."""
    return as_config(run.config).canvas_size == as_config(TUNE_CONFIG).canvas_size


def _in_sentences(root: pathlib.Path, functions: Iterable[Callable[..., str]]) -> set[str]:
    """Returns the ids, without seed, of all runs that a sentence is about, by some functions."""
    names = {function.__name__ for function in functions}
    text = "\n".join(page.read_text("utf-8") for page in pages(root))
    return {
        run_id
        for match in values.VALUE.finditer(text)
        if match["function"] in names
        for run_id in match["ids"].split()
    }


def taken_in(data: Data, runs: Iterable[Result]) -> Data:
    """Returns data with some runs in place of those with their ids.

    New ones are reference, but for those on the quadrant of the searches: they are trials.
    """
    new = {run.id: run for run in runs}
    trials = [new.pop(run.id, run) for run in data.trials]
    trials += [new.pop(run.id) for run in [*new.values()] if run.config == TUNE_CONFIG]
    reference = [run for run in data.reference if run.id not in new]
    return Data([*reference, *new.values()], trials)


def add_searches(folders: Iterable[pathlib.Path], root: pathlib.Path) -> int:
    """Adds the searches below some folders of runs, replacing older ones; returns how many."""
    found = [
        json.loads(file.read_text("utf-8"))
        for folder in folders
        for file in sorted(folder.glob(f"{searches.NAME}/*/*.json"))
    ]
    for run in [run for each in found for point in each["grid"] for run in point["runs"]]:
        run.pop("command", None)  # It follows from the id.
    known = searches.read(root / SEARCHES)
    by_key = {(each["model"], each["task"], each["name"]): each for each in [*known, *found]}
    lines = [json.dumps(by_key[key], separators=(",", ":")) + "\n" for key in sorted(by_key)]
    with files.replacing(root / SEARCHES) as temporary:
        temporary.write_text("".join(lines), "utf-8")
    return len(found)


def restore(data: Data, folder: pathlib.Path) -> int:
    """Writes the records of all runs that a folder of runs lacks; returns how many.

    Weights and examples of most are not known, so they can be judged and shown, but not resumed.
    """
    places = {folder / run.id: run for run in [*data.reference, *data.trials]}
    new = {place: run for place, run in places.items() if not place.exists()}
    for place, run in new.items():
        place.mkdir(parents=True)
        run.write_record(place)
    return len(new)


def _same(run: Result, other: Result) -> bool:
    """Returns whether one run is the other, restored; histories and examples may be left out."""
    run, other = (dataclasses.replace(each, history=()) for each in (run, other))
    return run.values() == other.values()


def main(arguments: Sequence[str]) -> str | None:
    """Adds the runs and searches below some folders, or restores them; returns an error, or None.

    Runs of a search are in the search.
    """
    restoring = arguments[:1] == ["--restore"]
    folders = arguments[restoring:]
    if not folders or restoring > (len(folders) == 1):
        return "docs/data.py needs folders with runs, e.g. runs/, or --restore and one of them."
    if restoring:
        print(f"Wrote {restore(load(ROOT), pathlib.Path(folders[0]))} runs to {folders[0]}")
        return None
    found, problems = results.load([pathlib.Path(folder) for folder in folders])
    if problems:
        return "\n".join(problems)
    data = load(ROOT)
    known = {run.id: run for run in [*data.reference, *data.trials]}
    many = add_searches(map(pathlib.Path, folders), ROOT)
    searched = {
        run["id"]
        for search in searches.read(ROOT / SEARCHES)
        for point in search["grid"]
        for run in point["runs"]
    }
    found = [
        run
        for run in found
        if run.id not in searched and not (run.id in known and _same(run, known[run.id]))
    ]
    save(taken_in(data, [run.with_examples() for run in found]), ROOT)
    print(f"Added {len(found)} runs and {many} searches; to update the pages: docs/generate.py")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
