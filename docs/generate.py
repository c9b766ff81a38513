"""Writes the tables, figures and numbers of the pages from run files; --check only compares them.

python docs/generate.py [--check]
"""

from __future__ import annotations

import collections
import functools
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import board
import commands
import drawings
import gpu
import narrow
import scaling
import values
from data import Data, load, pages

from not_so_clevr import files, reproduce, results
from not_so_clevr.dataset import quiet
from not_so_clevr.dataset.tasks import TASKS as ALL_TASKS
from not_so_clevr.reproduce import judging
from not_so_clevr.results import Result, tables, theses
from not_so_clevr.results.leaderboard import Row

ROOT = pathlib.Path(__file__).parents[1]
COST = drawings.COST
GPU = pathlib.Path("docs", "gpu.json")
FIGURES = drawings.FIGURES

_SUMMARY = ("task", "model", "train", "test", "perfect", "compute")
_HEADLINE = (
    *("config", "hardware", "model", "parameters", "runs", "time of a run"),
    "all test examples right until the end",
)
_FAILURES = (
    *("task", "config", "model", "metric", "seeds"),
    *("published test", "train", "test", "verdict", "remark"),
)
_REMEDY = "update it with: python docs/generate.py"
_RIVALS = ("conv", "deconv", "tiled_conv", "upsample_conv")
TASKS = ("classification", "regression", "rendering")  # Those of the paper
_UNTOUCHED = ("quadrant_square5", "quadrant_uber", "uniform_uber")


def leaderboard(runs: Sequence[Result]) -> str:
    """Returns what `not-so-clevr leaderboard -o FILE` writes of all but the board, narrow."""
    others = [run for run in runs if not (board.shows(run) or run.search)]
    return narrow.page(results.to_markdown(results.leaderboard(others)))


def verdicts(runs: Sequence[Result]) -> str:
    """Returns what `not-so-clevr reproduce article paper failures ... -o FILE` writes, narrow."""
    rows = reproduce.plan(reproduce.select(["article", "paper", "failures"]))
    return narrow.page(reproduce.to_markdown(reproduce.table(rows, runs)))


def headline(runs: Sequence[Result]) -> str:
    """Returns what the paper's recipes cost on hardware that ran both of its networks."""
    lines = []
    for config in ("uniform", "quadrant"):
        row = "classification", config
        paper = [run for run in runs if run.row[:2] == row and run.recipe.startswith("paper")]
        for hardware, here in sorted(results.grouped(paper, lambda run: run.hardware).items()):
            models = results.grouped(here, lambda run: run.model)
            if models.keys() == {"deconv", "coordconv"}:
                costs = (_cost(models[model]) for model in ("deconv", "coordconv"))
                lines += [[config, hardware, *cost] for cost in costs]
    return tables.markdown(_HEADLINE, lines)


def _cost(runs: Sequence[Result]) -> list[str]:
    """Returns the cost of a model's runs, and when they get every test example right for good."""
    firsts = [(run, values.settled_epoch(run)) for run in runs]
    settled = [
        sum(each["seconds"] for each in run.history if each["epoch"] <= epoch)
        for run, epoch in firsts
        if epoch
    ]
    share = f"{len(settled)} of {len(runs)}"
    if settled:
        share += f", after {tables.duration(min(settled))} to {tables.duration(max(settled))}"
    time = tables.duration(results.median(run.seconds for run in runs))
    return [runs[0].model, f"{runs[0].parameters:,}", str(len(runs)), time, share]


def quadrant(runs: Sequence[Result], link: str = "docs/reproduction.md") -> str:
    """Returns CoordConv and the best network without it on `quadrant`, and what else is known."""
    rows = results.leaderboard(run for run in runs if run.config == "quadrant" and not run.recipe)
    best = [_best(rows, task, models) for task in TASKS for models in (("coordconv",), _RIVALS)]
    table = _some(_SUMMARY, list(results.COLUMNS), map(results.cells, best))
    to_board = link.replace("reproduction", "board")
    claims = [
        _of_rivals(runs, to_board),
        _of_published(runs, link),
        _of_untouched(runs),
        _of_board(runs, to_board),
    ]
    return "\n- ".join([f"{table}\n{_of_hardware(best)}\n", *claims]) + "\n"


def home(runs: Sequence[Result]) -> str:
    """Returns the same, with links for the first page of the site."""
    return quadrant(runs, "reproduction.md")


def _best(rows: Sequence[Row], task: str, models: Sequence[str]) -> Row:
    return next(row for row in rows if row.task == task and row.model in models)


def _of_hardware(rows: Iterable[Row]) -> str:
    """Returns a sentence about where the times were measured."""
    by_hardware = results.grouped(rows, lambda row: row.hardware)
    parts = [
        f"{', '.join(dict.fromkeys(row.model for row in same))} on {hardware}"
        for hardware, same in by_hardware.items()
    ]
    return f"Times: {'; '.join(parts)}."


def _of_rivals(runs: Sequence[Result], link: str) -> str:
    rivals = [run for run in runs if run.model in _RIVALS and run.task in TASKS]
    on_quadrant = [run for run in rivals if run.config == "quadrant"]
    highest = tables.percent(max(map(values.final, on_quadrant)))
    rows = results.leaderboard(run for run in rivals if run.config == "uniform")
    best = [next(row for row in rows if row.task == task) for task in TASKS]
    models = ", ".join(f"`{model}`" for model in _RIVALS)
    on_board = [run for run in runs if (run.task, run.config) == ("regression", "quadrant_32")]
    reflected = [run for run in on_board if run.label == "padded_conv-rule-padding=reflect"]
    padded = tables.percent(statistics.fmean(map(values.final, reflected)))
    shares = ", ".join(f"{tables.percent(row.test)} ({row.task})" for row in best)
    return f"""**Ordinary convolution**, the rival of 2018, gets at most {highest} of test right on
  `quadrant`, in {len(on_quadrant)} runs over these tasks and all recipes
  ({models}). On `uniform`, where test positions lie
  between training positions, the best networks reach, averaged over seeds,
  {shares}. Convolution that reads
  positions off the border, with reflect padding, gets {padded} of `quadrant_32` in
  regression ([the board]({link}))."""


def _of_board(runs: Sequence[Result], link: str) -> str:
    """Returns which mechanisms compute, as the board says."""
    found = {task: board.computing(task, runs) for task in ALL_TASKS}
    parts = [
        f"{task}: {', '.join(f'`{model}`' for model in same)}"
        for task, same in found.items()
        if same
    ]
    models = ";\n  ".join(parts)
    return f"""**By one rule for everybody's recipe**, on the 32x32 canvases of
  [the board]({link}), these get every example right, with every seed, in all four ways of
  holding out (but for two oracles, which are given the solution):
  {models}.
  The rule leaves the layers to their authors, and we chose those of `coordconv` and the `w0` of
  `siren` with `quadrant_32` in view ([what the rule does not make equal]({link}))."""


def _of_published(runs: Sequence[Result], link: str) -> str:
    """Returns how many published claims of a perfect `coordconv` the runs confirm."""
    of_coordconv = [
        each for each in reproduce.select(["article", "paper"]) if each.model == "coordconv"
    ]
    perfect = [each for each in of_coordconv if each.claim and each.claim.expected == (1, 1)]
    best: dict[tuple[str, ...], int] = {}
    grids = set()  # Claims about the best of several points
    for each, own in zip(perfect, reproduce.runs(reproduce.plan(perfect), runs), strict=True):
        assert each.claim
        on_test = bool(own) and all(values.final(run) == 1 for run in own)
        everywhere = bool(own) and all(run.perfect for run in own)
        claim = each.claim.source, each.task, each.config
        outcome = (everywhere, on_test, any(run.perfect for run in own), True).index(True)
        best[claim] = min(outcome, best.get(claim, outcome))
        if each.claim.points > 1:
            grids.add(claim)

    count = collections.Counter(best.values())
    every, test, some, none = (str(count[outcome] or "none") for outcome in range(4))
    return f"""**With published recipes**, CoordConv is less reliable. {len(best)} published results
  say that `coordconv` is perfect, each with one recipe, on one task and one split. Our runs confirm
  {every} with every seed, {test} with every seed on test only, {some} with some seeds and {none}
  with no seed ([verdicts]({link})). In {len(grids)} of them, the published result is the best of a
  grid, and we ran only some of its points."""


def _of_untouched(runs: Sequence[Result]) -> str:
    own = [run for run in runs if run.config in _UNTOUCHED and run.label == "coordconv"]
    configs = ", ".join(f"`{config}`" for config in _UNTOUCHED)
    perfect = sum(run.perfect for run in own)
    return f"""**With our recipes**, tuned on the test results of `quadrant` and `uniform`,
  {perfect} of {len(own)} runs of `coordconv` are perfect on three configs used only afterwards:
  {configs}. (Two of them hold out nearly the same quadrant.)"""


def claims(runs: Sequence[Result]) -> str:
    """Returns a section for each claim of others, with its verdict."""
    rows = reproduce.plan(reproduce.select([theses.SUITE]))
    return judging.to_markdown(reproduce.judge(theses.theses(), rows, runs))


def failures(runs: Sequence[Result]) -> str:
    """Returns columns of the table that `not-so-clevr reproduce failures --only-print` prints."""
    rows = reproduce.table(reproduce.plan(reproduce.select(["failures"])), runs)
    return _some(_FAILURES, reproduce.COLUMNS, map(reproduce.cells, rows))


def _some(columns: Sequence[str], of: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return tables.markdown(columns, [[row[of.index(column)] for column in columns] for row in rows])


def citation(runs: Sequence[Result]) -> str:
    """Returns the BibTeX entries of the data set."""
    text = (ROOT / "not_so_clevr" / "dataset" / "CITATIONS.bib").read_text("utf-8")
    return f"```bibtex\n{text.strip()}\n```\n"


# A page and its part, from <!-- name --> to <!-- /name -->, and the function that writes it
PARTS: Mapping[tuple[str, str], Callable[[Sequence[Result]], str]] = {
    **{("docs/board.md", task): functools.partial(board.table, task) for task in ALL_TASKS},
    ("docs/board.md", "64x64"): board.large,
    ("docs/board.md", "edges"): board.edges,
    ("README.md", "results"): quadrant,
    ("docs/claims.md", "claims"): claims,
    ("docs/cite.md", "citation"): citation,
    ("docs/commands.md", "commands"): lambda _: commands.text(),
    ("docs/failures.md", "failures"): failures,
    ("docs/gpu.md", "gpu"): lambda _: gpu.text(ROOT / GPU),
    ("docs/index.md", "results"): home,
    ("docs/reproduction.md", "verdicts"): verdicts,
    ("docs/reproduction.md", "headline"): headline,
    ("docs/results.md", "leaderboard"): leaderboard,
    ("docs/scaling.md", "cost"): lambda _: scaling.table(scaling.load(ROOT / COST)),
}


def text(name: str, part: str, data: Data) -> str:
    """Returns what belongs into a part of a page."""
    write = PARTS[name, part]
    with_trials = write in (claims, board.edges)
    return write([*data.reference, *data.trials] if with_trials else data.reference)


def stale(root: pathlib.Path, data: Data) -> dict[str, str]:
    """Returns the name of each page that is out of date, and its new text.

    Raises:
        ValueError: if a page lacks a part, or a number cannot be computed; one sentence.
    """
    old = {page.relative_to(root).as_posix(): page.read_text("utf-8") for page in pages(root)}
    new = dict(old)
    runs = [*data.reference, *data.trials]
    for name, part in PARTS:
        new[name] = _renewed(name, new.get(name, ""), part, text(name, part, data))
    new = {name: values.renewed(name, page, runs) for name, page in new.items()}
    return {name: page for name, page in new.items() if page != old.get(name)}


def _renewed(name: str, page: str, part: str, text: str) -> str:
    """Returns a page with a new text in a part. Raises ValueError unless it has that part once."""
    first, last = f"<!-- {part} -->\n", f"<!-- /{part} -->"
    before, _, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not end or first in rest or last in before + after:
        raise ValueError(f"{name} needs one part from {first[:-1]} to {last}; add the comments.")
    return f"{before}{first}\n{text}\n{last}{after}"


def main(arguments: Sequence[str], root: pathlib.Path = ROOT) -> str | None:
    """Writes what is out of date; with --check, returns a sentence for each page and figure."""
    if arguments and list(arguments) != ["--check"]:
        return f"{' '.join(arguments)} is not an option; use --check or nothing."
    quiet.hide_log()
    try:
        data = load(root)
        texts, figures = stale(root, data), drawings.stale(root, data.reference)
        if arguments:
            stale_names = [*texts, *figures]
            return "\n".join(f"{name} is out of date; {_REMEDY}" for name in stale_names) or None

        for name, text in texts.items():
            with files.replacing(root / name) as temporary:
                temporary.write_bytes(text.encode())
            print(f"Wrote {name}")
        for name in figures:
            FIGURES[name].write(root / name, data.reference)
            print(f"Drew {name}")
    except ValueError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
