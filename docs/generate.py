"""Writes what the pages say and show of run files; with --check, writes nothing and tells whether they do.

python docs/generate.py [--check]
"""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import gpu
import numpy as np
import scaling
import values
from data import Data, load
from matplotlib.figure import Figure
from PIL import Image

from not_so_clevr import files, reproduce, results
from not_so_clevr.report import charts, maps, style
from not_so_clevr.results import Result, tables

ROOT = pathlib.Path(__file__).parents[1]
COST = pathlib.Path("docs", "scaling.json")
GPU = pathlib.Path("docs", "gpu.json")


def leaderboard(runs: Sequence[Result]) -> str:
    """Returns what `not-so-clevr leaderboard baselines/results.jsonl -o docs/results.md` writes."""
    return results.to_markdown(results.leaderboard(runs))


def reproduction(runs: Sequence[Result]) -> str:
    """Returns what `not-so-clevr reproduce article paper failures --only-print ... -o FILE` writes, and what is missing."""
    table = reproduce.table(reproduce.plan(reproduce.select(["article", "paper", "failures"])), runs)
    return f"{reproduce.to_markdown(table)}{_headline(runs)}{_AGAIN}"


def _headline(runs: Sequence[Result]) -> str:
    """Returns what became of the paper's headline, on hardware that both networks ran on."""
    lines = []
    for config in ("uniform", "quadrant"):
        paper = [run for run in runs if (run.task, run.config) == ("classification", config) and run.recipe.startswith("paper")]
        for hardware in sorted({run.hardware for run in paper}):
            here = [run for run in paper if run.hardware == hardware]
            both = [[run for run in here if run.model == model] for model in ("deconv", "coordconv")]
            if all(both):
                lines += [[config, hardware, *_cost(same)] for same in both]
    columns = ("config", "hardware", "model", "parameters", "runs", "time of a run", "every test example right, for good")
    return f"\n{_HEADLINE}\n{tables.markdown(columns, lines)}"


def _cost(runs: Sequence[Result]) -> list[str]:
    """Returns what some runs of a model cost, and after which time of training they are right on test and stay so."""
    settled = [seconds for run in runs if (seconds := _until_right(run)) is not None]
    after = f", after {tables.duration(min(settled))} to {tables.duration(max(settled))}" if settled else ""
    return [
        runs[0].model,
        f"{runs[0].parameters:,}",
        str(len(runs)),
        tables.duration(results.median(run.seconds for run in runs)),
        f"{len(settled)} of {len(runs)}{after}",
    ]


def _until_right(run: Result) -> float | None:
    """Returns the seconds of training after which every example of test is right, then and later; None if that is never so."""
    wrong = [k for k, epoch in enumerate(run.history) if epoch["test"][run.accuracy_metric] < 1]
    epochs = run.history[: wrong[-1] + 2 if wrong else 1]
    return sum(epoch["seconds"] for epoch in epochs) if epochs[-1]["test"][run.accuracy_metric] == 1 else None


_HEADLINE = """## The headline

The paper's abstract says "150 times faster with 10-100 times fewer parameters", which fits what it tells of classification:
over an hour for deconvolution, and 10 to 20 s for CoordConv. Here are the runs with the paper's recipes that were made on like
hardware. This deconvolution is the cheapest with 3x3 filters of their 324 points; their largest has 1,632,001 parameters. The
time of a run is the median, with all its epochs; the last column has training alone.
"""

_AGAIN = """
This lists all of it, three seeds a row, with the time that each run takes; without `--only-print` it runs, and goes on where it
was interrupted:

```sh
not-so-clevr reproduce article paper failures --only-print
```
"""


_SUMMARY = ("task", "model", "seeds", "train", "test", "closeness", "perfect", "parameters", "time", "hardware")


_RIVALS = ("conv", "deconv", "tiled_conv", "upsample_conv")
_UNTOUCHED = ("quadrant_square5", "quadrant_uber", "uniform_uber")


def quadrant(runs: Sequence[Result], columns: Sequence[str] = _SUMMARY, link: str = "docs/reproduction.md") -> str:
    """Returns some columns of the leaderboard for `quadrant`, with default recipes, and sentences about all other runs."""
    rows = results.leaderboard(run for run in runs if run.config == "quadrant" and not run.recipe)
    claims = _of_rivals(runs), _between(runs), _of_published(runs, link), _of_untouched(runs)
    told = "".join(f"- {claim}\n" for claim in claims)
    return f"{_some(columns, results.COLUMNS, map(results.cells, rows))}\n{told}"


def _of_rivals(runs: Sequence[Result]) -> str:
    rivals = [run for run in runs if run.config == "quadrant" and run.model in _RIVALS]
    best = tables.percent(max(run.metrics["test"][run.accuracy_metric] for run in rivals))
    return f"""Of {len(rivals)} runs on `quadrant` without CoordConv, whatever the task, the network and its recipe,
  the best is right on {best} of test."""


def _between(runs: Sequence[Result]) -> str:
    rows = results.leaderboard(run for run in runs if run.config == "uniform" and run.model in _RIVALS)
    best = {row.task: row for row in reversed(rows)}
    shares = ", ".join(f"{tables.percent(row.test)} in {task} (`{row.model}`)" for task, row in sorted(best.items()))
    return f"""On `uniform`, where test lies between the places of train, the best networks without it are right on
  {shares}, in the mean over seeds."""


def _of_published(runs: Sequence[Result], link: str) -> str:
    chosen = reproduce.select(["article", "paper"])
    told = [each for each in chosen if (each.model, each.claim.expected) == ("coordconv", (1, 1))]
    best: dict[tuple[str, ...], int] = {}  # Which of `outcomes` is that of each; two experiments may be about one.
    outcomes = "with every seed", "with every seed on test alone", "with some seeds", "with no seed"
    grids: set[tuple[str, ...]] = set()
    for each, own in zip(told, reproduce.runs(reproduce.plan(told), runs), strict=True):
        on_test = [run.metrics["test"][run.accuracy_metric] == 1 for run in own]
        perfect = [run.perfect for run in own]
        reached = bool(own) and all(perfect), bool(own) and all(on_test), any(perfect), True
        claim = each.claim.source, each.task, each.config
        best[claim] = min(reached.index(True), best.get(claim, len(outcomes)))
        if each.claim.points > 1:
            grids.add(claim)
    count = collections.Counter(best.values())
    words = ", ".join(f"{count[outcome] or 'none'} {text}" for outcome, text in enumerate(outcomes))
    return f"""Of {len(best)} results that were published as perfect for `coordconv`, each of a recipe on a task and a split,
  came out perfect here: {words} ([verdicts]({link})).
  {len(grids)} of them are the best of a grid, of which a few points were run."""


def _of_untouched(runs: Sequence[Result]) -> str:
    own = [run for run in runs if run.config in _UNTOUCHED and run.label == "coordconv"]
    configs = ", ".join(f"`{config}`" for config in _UNTOUCHED)
    return f"""The recipes of `coordconv` were chosen with a look at the test splits of `quadrant` and `uniform`. On three
  data sets that were first run when all was chosen, {configs},
  {sum(run.perfect for run in own)} of {len(own)} runs are perfect, over all tasks.
  (Two of the data sets hold out nearly the same quadrant.)"""


def home(runs: Sequence[Result]) -> str:
    """Returns the same, narrow enough for a telephone."""
    return quadrant(runs, ("task", "model", "train", "test", "parameters"), "reproduction.md")


def failures(runs: Sequence[Result]) -> str:
    """Returns some columns of what `not-so-clevr reproduce failures --only-print` prints."""
    rows = reproduce.table(reproduce.plan(reproduce.select(["failures"])), runs)
    columns = ("task", "config", "model", "metric", "seeds", "published test", "train", "test", "verdict", "remark")
    return _some(columns, reproduce.COLUMNS, map(reproduce.cells, rows))


def _some(columns: Sequence[str], of: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return tables.markdown(columns, [[row[of.index(column)] for column in columns] for row in rows])


def citation(runs: Sequence[Result]) -> str:
    """Returns the BibTeX entries that come with the data set."""
    return f"```bibtex\n{(ROOT / 'not_so_clevr' / 'dataset' / 'CITATIONS.bib').read_text('utf-8').strip()}\n```\n"


def cost(runs: Sequence[Result]) -> str:
    """Returns what `python tests/speed/scaling.py docs/scaling.json` measured."""
    return scaling.table(scaling.load(ROOT / COST))


def on_gpu(runs: Sequence[Result]) -> str:
    """Returns what `tests/gpu/run` measured."""
    return gpu.text(ROOT / GPU)


# What is made of files: whole pages, and parts of others, from <!-- name --> to <!-- /name -->; and numbers, see values.py.
WHOLE: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "docs/reproduction.md": reproduction,
    "docs/results.md": leaderboard,
}
PARTS: Mapping[str, tuple[str, Callable[[Sequence[Result]], str]]] = {
    "README.md": ("results", quadrant),
    "docs/cite.md": ("citation", citation),
    "docs/failures.md": ("failures", failures),
    "docs/gpu.md": ("gpu", on_gpu),
    "docs/index.md": ("results", home),
    "docs/scaling.md": ("cost", cost),
}


_RIVAL = {"classification": "deconv", "regression": "conv", "rendering": "deconv"}


def _comparison(runs: Sequence[Result]) -> Figure:
    """Ordinary networks above CoordConv, a task beside the other."""
    return maps.comparison(
        [
            [[run for run in runs if (run.task, run.label) == (task, label)] for label in (rival, "coordconv")]
            for task, rival in _RIVAL.items()
        ]
    )


_QUADRANT = [f"{task}/quadrant/{model}" for task, rival in _RIVAL.items() for model in ("coordconv", rival)]

# The digest of what a figure is made of, and the figure
Drawing = tuple[Callable[[Sequence[Result]], str], Callable[[Sequence[Result]], Figure]]


def _of_runs(function: Callable[[Sequence[Result]], Figure | None], *ids: str) -> Drawing:
    """Returns what draws a figure from runs, by the beginning of their ids."""

    def chosen(runs: Sequence[Result]) -> list[Result]:
        return [run for run in runs if f"{run.id}/".startswith(tuple(f"{each}/" for each in ids))]

    def drawn(runs: Sequence[Result]) -> Figure:
        own = chosen(runs)
        figure = function(own) if own else None
        if figure is None:
            raise ValueError(f"there is nothing to draw in {', '.join(ids)}; run it again.")
        return figure

    return lambda runs: _digest(chosen(runs)), drawn


FIGURES: Mapping[str, Drawing] = {
    "docs/figures/errors.png": _of_runs(_comparison, *_QUADRANT),
    "docs/figures/mean-pooling.png": _of_runs(maps.errors, "regression/uniform/coordconv-article-pooling=mean"),
    "docs/figures/low-rate.png": _of_runs(
        functools.partial(charts.curves, metric="error"),
        *(f"regression/uniform/coordconv-article{rate}" for rate in ("-learning_rate=0.0001", "")),
    ),
    "docs/figures/too-long.png": _of_runs(charts.curves, "regression/uniform/coordconv-article-epochs=200-learning_rate=0.01"),
    "docs/figures/tiled.png": _of_runs(maps.errors, "classification/quadrant/tiled_conv"),
    "docs/figures/deconv.png": _of_runs(maps.errors, "classification/quadrant/deconv-article"),
    "docs/figures/small-filters.png": _of_runs(maps.paintings, "rendering/quadrant/coordconv-article/seed0"),  # Seed 2 is black
    "docs/figures/no-decay.png": _of_runs(maps.errors, "classification/quadrant/coordconv-weight_decay=0.0"),
    "docs/figures/scaling.png": (
        lambda runs: hashlib.sha256((ROOT / COST).read_bytes()).hexdigest(),
        lambda runs: scaling.figure(scaling.load(ROOT / COST)),
    ),
}

_DIGEST = "Run files"  # What the text in a figure is called that tells from which files it was drawn


def stale(root: pathlib.Path, data: Data) -> dict[pathlib.Path, str]:
    """Returns each page that disagrees with the files it is made of, and what it should be.

    Raises:
        ValueError: one sentence, if a page has lost its part, or a number.
    """
    every = [*data.reference, *data.trials]
    found = (root / "README.md", *sorted((root / "docs").glob("*.md")))
    pages = [file.relative_to(root).as_posix() for file in found]
    names = (*WHOLE, *PARTS, *pages)
    old = {name: _text(root / name) for name in names}
    new = old | {name: write(data.reference) for name, write in WHOLE.items()}
    for name, (part, write) in PARTS.items():
        new[name] = _renewed(name, old[name], part, write(data.reference))
    new = {name: values.renewed(name, text, every) for name, text in new.items()}
    return {root / name: text for name, text in new.items() if text != old[name]}


def _text(file: pathlib.Path) -> str:
    return file.read_text("utf-8") if file.exists() else ""


def stale_figures(root: pathlib.Path, data: Data) -> dict[pathlib.Path, str]:
    """Returns each figure that was not drawn from the runs as they are, and the digest of those."""
    digests = {root / name: digest(data.reference) for name, (digest, _) in FIGURES.items()}
    return {file: digest for file, digest in digests.items() if not file.exists() or _drawn_from(file) != digest}


def _digest(runs: Sequence[Result]) -> str:
    digest = hashlib.sha256()
    for run in runs:
        digest.update(json.dumps(run.values()).encode())
        for columns in run.examples.values():
            for name, array in columns.items():
                digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _drawn_from(file: pathlib.Path) -> str | None:
    try:
        with Image.open(file) as image:
            return str(image.info.get(_DIGEST))
    except OSError:  # A kill may have left half of it.
        return None


def draw(name: str, data: Data) -> Figure:
    """Returns a figure. Raises ValueError, one sentence, if there are no runs to draw it from."""
    return FIGURES[name][1](data.reference)


def _renewed(name: str, page: str, part: str, text: str) -> str:
    """Returns a page with a new text in one of its parts. Raises ValueError, one sentence, unless it has that part, once."""
    first, last = f"<!-- {part} -->\n", f"<!-- /{part} -->"
    if page.count(first) != 1 or page.count(last) != 1 or page.index(last) < page.index(first):
        raise ValueError(f"{name} has no part from <!-- {part} --> to {last}; mark in it where the numbers belong.")
    before, _, rest = page.partition(first)
    return f"{before}{first}\n{text}\n{last}{rest.partition(last)[2]}"


def main(arguments: Sequence[str], root: pathlib.Path = ROOT) -> str | None:
    """Writes the pages and figures that disagree; or, with --check, returns a sentence for each."""
    try:
        data = load(root)
        pages, drawings = stale(root, data), stale_figures(root, data)
    except ValueError as error:
        return str(error)
    if list(arguments) == ["--check"]:
        disagree = "disagrees with the files it is made of; mend it with: python docs/generate.py"
        return "\n".join(f"{file.relative_to(root)} {disagree}" for file in [*pages, *drawings]) or None
    if arguments:
        return f"{' '.join(arguments)} is no option; expected --check or nothing."
    for page, text in pages.items():
        with files.replacing(page) as temporary:
            temporary.write_bytes(text.encode())
        print(f"{page.relative_to(root)} is written anew")
    problems = []
    for file, digest in drawings.items():
        name = file.relative_to(root).as_posix()
        try:
            style.write(draw(name, data), file, dpi=120, **{_DIGEST: digest})
            print(f"{name} is drawn anew")
        except ValueError as error:
            problems.append(f"{name} cannot be drawn: {error}")
    return "\n".join(problems) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
