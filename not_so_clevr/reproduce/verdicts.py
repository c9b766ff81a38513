"""Published experiments: which to run, how long that takes, and what comes out beside what was published."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from not_so_clevr import results
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import Result, naming, tables
from not_so_clevr.results.published import PERFECT, SUITES, Experiment

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run

COLUMNS = (
    "source",
    "task",
    "config",
    "model",
    "metric",
    "published train",
    "published test",
    "train",
    "test",
    "verdict",
    "remark",
    "seeds",
    "time",
    "hardware",
)

_UNITS = {"h": 3600, "m": 60, "s": 1}


def select(suites: Iterable[str], patterns: Sequence[str] = ()) -> list[Experiment]:
    """Returns the experiments of some suites; only those with an id like one of the patterns, with * and ?, if there are any.

    Raises:
        UserError: one sentence, if there is no such suite, or if a pattern is like no id.
    """
    chosen: dict[str, Experiment] = {}
    for name in suites:
        if name not in SUITES:
            raise UserError(f"There is no suite {name!r}; expected one of {', '.join(SUITES)}.")
        for experiment in SUITES[name]:
            chosen.setdefault(experiment.id, experiment)
    return [chosen[key] for key in matching(list(chosen), patterns)]


def matching(ids: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Returns the ids that are like one of the patterns, with * and ?; all of them if there is no pattern.

    Raises:
        UserError: one sentence, if a pattern is like no id.
    """
    for pattern in patterns:
        if not fnmatch.filter(ids, pattern):
            raise UserError(f"--row {pattern} is none of the {len(ids)} rows; expected such as {ids[0]}, or with *.")
    wanted = {key for pattern in patterns or ["*"] for key in fnmatch.filter(ids, pattern)}
    return [key for key in ids if key in wanted]


@dataclasses.dataclass(frozen=True)
class Row:
    """An experiment, and its run with seed 0."""

    experiment: Experiment
    run: Run

    @property
    def id(self) -> str:
        """The id of its runs, without the seed; that of the experiment, unless that names the default recipe."""
        return self.run.id.rpartition("/")[0]

    def runs(self, named: Iterable[Result]) -> list[Result]:
        """Returns, of runs with its name, those that were made and measured as planned, and not with other settings."""
        metric = self.experiment.metric
        alike = [run for run in named if metric in ("", PERFECT) or all(metric in each for each in run.metrics.values())]
        return [run for run in alike if run.model == self.run.model.name and run.made_by(self.run.saved_recipe)]

    def estimate(self, alike: Sequence[Result]) -> float | None:
        """Returns how many seconds a run will take, by what runs of the model took with its settings, or epochs with others."""
        same = [run.seconds for run in alike if run.made_by(self.run.saved_recipe)]
        return results.median(same or [self.run.recipe.epochs * (run.seconds or 0) / len(run.history) for run in alike])


def _canvas_size(run: Result) -> int | None:
    """Returns the size of the canvas of a run; None for a data set of somebody else's."""
    try:
        return as_config(run.config).canvas_size
    except ValueError:
        return None


def plan(experiments: Iterable[Experiment]) -> list[Row]:
    """Returns a row for each experiment. Imports Keras."""
    from not_so_clevr.benchmark import experiment, registry

    find = functools.cache(registry.find)  # It looks through all packages.
    return [
        Row(
            each,
            experiment.plan(
                find(each.model), task=each.task, config=each.config, recipe=each.recipe or None, settings=each.settings
            ),
        )
        for each in experiments
    ]


def runs(rows: Iterable[Row], found: Iterable[Result]) -> list[list[Result]]:
    """Returns for each row those of the runs found that are its own."""
    named = results.grouped(found, lambda run: naming.run_id(run.task, run.config, run.label))
    return [row.runs(named.get(row.id, [])) for row in rows]


def left(rows: Sequence[Row], seeds: Iterable[int], found: Iterable[Result]) -> list[tuple[Row, int]]:
    """Returns the runs that are not among those found: every row with the first seed, then every row with the next."""
    complete = {run.id for own in runs(rows, found) for run in own}
    return [(row, seed) for seed in seeds for row in rows if row.run.with_seed(seed).id not in complete]


def estimates(rows: Iterable[Row], known: Iterable[Result]) -> dict[str, float | None]:
    """Returns for the id of each row how many seconds one of its runs will take, or None if no run of its model tells."""
    timed = [run for run in known if run.seconds and run.history]
    alike = results.grouped(timed, lambda run: (run.task, run.model, _canvas_size(run)))
    return {
        row.id: row.estimate(alike.get((row.run.task.name, row.run.model.name, row.run.config.canvas_size), [])) for row in rows
    }


def table(rows: Sequence[Row], found: Iterable[Result]) -> list[dict[str, Any]]:
    """Returns for each row what was published, what its runs measured, and the verdict on test."""
    return [_measured(row.experiment, own) for row, own in zip(rows, runs(rows, found), strict=True)]


def _measured(experiment: Experiment, runs: Sequence[Result]) -> dict[str, Any]:
    metric = experiment.metric or (runs[0].right if runs else "")
    train, test = ([_value(run, split, metric) for run in runs] for split in ("train", "test"))
    points = f"one of their {experiment.points} points" if experiment.points > 1 else ""
    return {
        "source": experiment.source,
        "task": experiment.task,
        "config": experiment.config,
        "model": experiment.label,
        "published_train": experiment.train,
        "published_test": experiment.test,
        "metric": metric,
        "seeds": len(runs),
        "train": statistics.fmean(train) if runs else None,
        "test": statistics.fmean(test) if runs else None,
        "test_interval": None if metric == PERFECT else results.interval(test),
        "seconds": results.median(run.seconds for run in runs),
        "hardware": results.hardware(runs),
        "software": results.software(runs),
        "verdict": verdict(experiment, test),
        "remark": "; ".join(filter(None, (points, experiment.remark))),
    }


def _value(run: Result, split: str, metric: str) -> float:
    if metric == PERFECT:
        return float(run.metrics[split][run.right] == 1)
    return run.metrics[split][metric]


def verdict(experiment: Experiment, test: Sequence[float]) -> str:
    """Returns what the values of some seeds over test say of what was published; "" if nothing was. See `_INTRODUCTION`."""
    if not test:
        return "not run"
    if not experiment.test:
        return ""
    if experiment.expected is None:
        return "not comparable"
    (low, high), mean = experiment.expected, statistics.fmean(test)
    lowest, highest = _interval(experiment.metric, test)
    is_distance = bool(tables.UNITS.get(experiment.metric))  # Of which less is better
    some = experiment.metric == PERFECT or any(low <= value <= high for value in test)
    if low <= mean <= high:
        word = "reproduced"
    elif low < high and some and lowest <= high and low <= highest:
        word = "undecided"
    elif (mean < low) == is_distance:
        word = "better"
    else:
        word = "worse" if experiment.points == 1 else "not at this point"
        reached = sum(low <= value <= high for value in test)
        if low == high and reached:
            word += f" ({reached} of {len(test)} seeds reach it)"
    return word if len(test) >= results.ENOUGH else f"{word} so far"


def _interval(metric: str, test: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the mean over seeds: Student's t, or Wilson's score where each is 0 or 1."""
    mean, n = statistics.fmean(test), len(test)
    if metric != PERFECT:
        half = results.interval(test) or 0.0
        return mean - half, mean + half
    z = 1.96
    middle, half = mean + z**2 / (2 * n), z * (mean * (1 - mean) / n + (z / (2 * n)) ** 2) ** 0.5
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def cells(row: Mapping[str, Any]) -> list[str]:
    """Returns a row of `table` as text, a cell for each of `COLUMNS`."""
    metric = row["metric"]

    def number(value: float | None) -> str:
        if value is None:
            return ""
        if metric in tables.UNITS:
            return tables.amount(metric, value)
        return f"{round(value * row['seeds'])} of {row['seeds']}" if metric == PERFECT else tables.percent(value)

    return [
        *(row[key] for key in ("source", "task", "config", "model", "metric", "published_train", "published_test")),
        number(row["train"]),
        number(row["test"]) + tables.interval(metric, row["test"], row["test_interval"]),
        row["verdict"],
        row["remark"],
        str(row["seeds"]),
        tables.duration(row["seconds"]),
        row["hardware"],
    ]


_INTRODUCTION = """# What was published, and what came out

Train and test are means over seeds, that of test with its 95 % confidence interval (Student's t, cut to what the metric can
be; nothing if all seeds agree, or there are fewer than three). The metric is that which the source reports:
`coordinate_accuracy`, of the article's regression, gives half a point for one right coordinate, where the
[leaderboard](results.md) wants an answer within half a pixel. Where the source tells in words, the metric is one of ours;
`perfect` counts the runs that get every example right. The time is the median of whole runs; see *hardware* for the
machines, which differ, and the runs are of several versions of the code.

The verdict is on the mean over test; train is shown beside it. A perfect number is *reproduced* by a perfect one, with
every seed, and what only some seeds reach is *worse*. (Three seeds of three: with 95 % confidence, at least 37 % of all
seeds.) Any other number is reproduced by one that is at most 5 percentage points off, and what is told in words by the
range in `not_so_clevr/results/published.py`. What lies outside is *better* or *worse* than what was published, or *undecided*,
where some seed is in the range and so is a part of the interval (of *perfect*, a part of Wilson's). *Not at this point*
stands for worse where the source shows the best of a grid, of which this is one point. "So far" stands where there are
fewer than three seeds. It is *not comparable* where no number can confirm or contradict what was published: pictures, or
the best of a large grid. Where nothing was published, there is no verdict.
"""


def to_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Returns the rows of `table` in Markdown, a table for each source."""
    rows = list(rows)
    parts = []
    for source in dict.fromkeys(row["source"] for row in rows):
        table = tables.markdown(COLUMNS[1:], [cells(row)[1:] for row in rows if row["source"] == source])
        parts.append(f"\n## {f'Source: {source}' if source else 'Not published'}\n\n{table}")
    return f"{_INTRODUCTION}{results.made_with(rows)}{''.join(parts)}"


def seconds(text: str) -> float:
    """Returns the seconds of a time such as `90s`, `30m` or `1h30m`.

    Raises:
        UserError: one sentence, if it is none.
    """
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        raise UserError(f"--budget {text} is no time; expected such as 90s, 30m or 1h30m.")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text))
