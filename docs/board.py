"""The board: a row for each model and recipe of the rule, a column for each way of holding out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from not_so_clevr import results
from not_so_clevr.benchmark import searches
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results import Result, naming, tables
from not_so_clevr.results.leaderboard import Row

CONFIGS = ("uniform_32", "quadrant_32", "rows_32", "border_32")
LARGE = ("uniform", "quadrant", "rows", "border", "centre")  # 64x64

_SEEDS = 10  # Of a row that claims perfection
_ORACLES = ("difference", "no_training")
_SEARCHED = ("learning_rate", "weight_decay")
_BREAK = "; "  # Between the lines of a cell, until the table is escaped


def shows(run: Result) -> bool:
    """Returns whether a run belongs to the board: by the rule, or without a weight to train."""
    if run.config in LARGE:
        return run.search is not None
    return run.config in CONFIGS and (run.search is not None or run.parameters == 0)


def table(task: str, runs: Sequence[Result]) -> str:
    """Returns the rows of a task at 32x32, the best first."""
    models = _models(task, runs, CONFIGS)
    if not models:
        return "Not run yet.\n"
    return _table(("model", *CONFIGS), [_cells(rows, CONFIGS) for rows in models])


def large(runs: Sequence[Result]) -> str:
    """Returns the rows of all tasks at 64x64, the best of each task first."""
    lines = [[task, *_cells(rows, LARGE)] for task in TASKS for rows in _models(task, runs, LARGE)]
    return _table(("task", "model", *LARGE), lines)


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    columns = (*columns, "robust", "parameters", "compute")
    return tables.markdown(columns, lines).replace(_BREAK, "<br>")


def edges(runs: Sequence[Result]) -> str:
    """Returns how many searches end at an edge of their grid, and what a step farther found."""
    failed = [
        each for each in searches.bundled() if not each["perfect"] and each["model"] not in _ORACLES
    ]
    at_edge = [(search, ids) for search in failed if (ids := _beyond(search))]
    known = {run.id: run for run in runs}
    text = f"""In {len(at_edge)} of the {len(failed)} searches without a perfect point (oracles
aside), the best point has the highest rate or the highest decay of the grid."""
    if all(each in known for _, ids in at_edge for each in ids):
        perfect = [
            f"`{naming.changed(search['model'], search['settings'])}` ({search['task']})"
            for search, ids in at_edge
            if any(known[each].perfect for each in ids)
        ]
        text += f"""
A step farther was tried for all of these, three times the rate or a decay of 3
({sum(len(ids) for _, ids in at_edge)} runs). {len(perfect)} have a perfect point there:
{", ".join(perfect)}."""
    return f"{text}\n"


def _beyond(search: Mapping[str, Any]) -> list[str]:
    """Returns the ids of the runs a step beyond the grid, where its best point is at the edge."""
    grid, best = search["grid"], search["grid"][search["best"]]
    rates, decays = (sorted({point[name] for point in grid}) for name in _SEARCHED)
    is_highest = best["learning_rate"] == rates[-1], best["weight_decay"] == decays[-1]
    farther_rates = [float(f"{3 * rates[-1]:.3g}")] if is_highest[0] else []
    farther_decays = [3.0] if is_highest[1] else []
    run_id = best["runs"][0]["id"]
    for name in _SEARCHED:
        run_id = run_id.replace(f"{name}={best[name]}", f"{name}={{}}")
    return [
        run_id.format(rate, decay)
        for rate in [*rates, *farther_rates]
        for decay in [*decays, *farther_decays]
        if rate in farther_rates or decay in farther_decays
    ]


def computing(task: str, runs: Sequence[Result]) -> list[str]:
    """Returns the models that are perfect in every column with every seed, without oracles."""
    return [
        _name(rows[0])
        for rows in _models(task, runs, CONFIGS)
        if {row.config for row in rows} == set(CONFIGS)
        and all(row.perfect == row.seeds >= _SEEDS for row in rows)
        and rows[0].model.split("-")[0] not in _ORACLES
    ]


def _models(task: str, runs: Sequence[Result], configs: Sequence[str]) -> list[Sequence[Row]]:
    """Returns the rows of the leaderboard of each model and recipe, the best first."""
    shown = [run for run in runs if run.task == task and run.config in configs and shows(run)]
    rows = results.leaderboard(shown)
    models = results.grouped((row for row in rows if not row.also), lambda row: row.model)
    return sorted(models.values(), key=_order)


def _order(rows: Sequence[Row]) -> tuple[float, ...]:
    """Returns what is lowest for the best model: most runs perfect, most of test right, and ties.

    Ties are broken as on the leaderboard: by robustness, parameters and compute.
    """
    perfect = sum(row.perfect for row in rows) / sum(row.seeds for row in rows)
    test = statistics.fmean(row.test or 0.0 for row in rows)
    return -perfect, -test, -(rows[0].robust or 0), rows[0].parameters or 0, _seconds(rows)


def _seconds(rows: Sequence[Row]) -> float:
    known = [row.training_seconds for row in rows if row.training_seconds is not None]
    return statistics.median(known) if known else math.inf


def _cells(rows: Sequence[Row], configs: Sequence[str]) -> list[str]:
    by_config = {row.config: row for row in rows}
    first = by_config.get(configs[1], rows[0])  # A quadrant
    steps = f"{first.steps:,.0f} steps, " if first.parameters and first.steps else ""
    return [
        _name(first),
        *(_cell(by_config.get(config)) for config in configs),
        "" if first.points is None else f"{first.robust} of {first.points}",
        f"{first.parameters:,}",
        f"{steps}{tables.duration(_seconds(rows))}",
    ]


def _name(row: Row) -> str:
    return row.model.replace(f"-{searches.NAME}", "", 1).replace("-", ", ")


def _cell(row: Row | None) -> str:
    """Returns the share of test that is right, below how many runs are perfect."""
    if row is None or row.test is None:
        return ""
    ends = tables.interval(row.metric, row.test, row.test_interval)
    return f"{row.perfect} of {row.seeds}{_BREAK}{tables.percent(row.test)}{ends}"
