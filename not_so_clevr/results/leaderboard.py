"""The leaderboard: one row for each task, config and model, over its seeds."""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.results import tables
from not_so_clevr.results.published import PUBLISHED_COLUMNS, Published, published_rows, sources
from not_so_clevr.results.result import Result
from not_so_clevr.results.statistics import grouped, interval, median, share_interval


@dataclasses.dataclass(frozen=True)
class Row:
    """All seeds of a model on a task and a config.

    Attributes:
        task: the name of the task.
        config: the name of the data set.
        model: the label of the runs: the model, its recipe and the changed settings.
        seeds: the number of runs.
        train: the share of train that is right, averaged over runs.
        test: the share of test that is right, averaged over runs.
        test_interval: half the width of its 95 % confidence interval; None for fewer than three.
        test_lowest: the share of test that is right for the worst seed.
        perfect: the number of runs that get every example of train and test right.
        perfect_low: the lower end of the exact 95 % confidence interval of their share
            (Clopper-Pearson); None without metrics.
        perfect_high: its upper end.
        metric: the metric that says whether an example is right.
        distance_metric: the metric that says how far off an answer is.
        distance: its mean over test and runs.
        parameters: the number of trainable weights, or None.
        points: the number of points of the search for its recipe; None without a search.
        robust: how many of them get every example right.
        steps: the median number of training steps, or None.
        training_seconds: the median seconds of training, without evaluation, or None; of the CPU,
            if those are known.
        solved_seconds: the median seconds of training to the first epoch with every test example
            right, over the runs that get there; None if none does.
        seconds: the median time of a run, or None.
        hardware: where the runs were made, each different one once, separated by `; `.
        software: what they were made with, in the same form.
        reference: whether these are reference results, shown beside those of the user.
        also: the other data set that the same weights were measured on; "" if it is `config`. If
            the model does not fit there, the row has no metrics: None.
    """

    task: str
    config: str
    model: str
    seeds: int
    train: float | None
    test: float | None
    test_interval: float | None
    test_lowest: float | None
    perfect: int
    perfect_low: float | None
    perfect_high: float | None
    metric: str
    distance_metric: str
    distance: float | None
    parameters: int | None
    points: int | None
    robust: int | None
    steps: float | None
    training_seconds: float | None
    solved_seconds: float | None
    seconds: float | None
    hardware: str
    software: str
    reference: bool = False
    also: str = ""


def leaderboard(results: Iterable[Result], reference: Iterable[Result] = ()) -> list[Row]:
    """Returns a row for each task, config and label, the best of a task and config first.

    Rows with the same share of test and train are in the order of their robustness, parameters and
    compute.

    Below each are the rows of the other data sets that its weights were measured on.

    Args:
        results: the runs.
        reference: reference results, which get rows of their own.
    """
    blocks = [
        _rows(runs, of_reference)
        for of_reference, each in ((False, results), (True, reference))
        for runs in grouped(each, lambda run: run.row).values()
    ]
    return [row for block in sorted(blocks, key=_order) for row in block]


def _order(block: Sequence[Row]) -> tuple[Any, ...]:
    row = block[0]
    cost = [math.inf if each is None else each for each in (row.parameters, row.training_seconds)]
    ties = (-(_robustness(row) or 0), *cost, row.model)
    return row.task, row.config, -(row.test or 0), -(row.train or 0), *ties


def _rows(runs: Sequence[Result], reference: bool) -> list[Row]:
    """Returns the row of some runs, and those of the other data sets they were measured on."""
    rows = [_row(runs, reference)]
    row = dataclasses.replace(rows[0], **_NO_TRAINING, hardware="", software="")
    for name in dict.fromkeys(name for run in runs for name in run.also):
        found = [(run, run.also[name]) for run in runs if name in run.also]
        moved = [
            dataclasses.replace(run, metrics=metrics)
            for run, metrics in found
            if not isinstance(metrics, str)
        ]
        if moved:
            rows.append(dataclasses.replace(row, also=name, **_metrics(moved)))
        if len(moved) < len(found):
            seeds = len(found) - len(moved)
            rows.append(dataclasses.replace(row, also=name, **_NO_METRICS, seeds=seeds))
    return rows


def _row(runs: Sequence[Result], reference: bool) -> Row:
    first = runs[0]
    search = next((run.search for run in runs if run.search), None)
    return Row(
        task=first.task,
        config=first.config,
        model=first.label,
        metric=first.accuracy_metric,
        distance_metric=first.distance_metric,
        **_metrics(runs),
        parameters=first.parameters,
        points=search["points"] if search else None,
        robust=search["perfect"] if search else None,
        steps=median(run.steps for run in runs),
        training_seconds=median(run.training_seconds for run in runs),
        solved_seconds=median(run.solved["seconds"] for run in runs if run.solved),
        seconds=median(run.seconds for run in runs),
        hardware=hardware(runs),
        software=software(runs),
        reference=reference,
    )


def _metrics(runs: Sequence[Result]) -> dict[str, Any]:
    """Returns the fields of a row that follow from the metrics of its runs."""
    test = [run.accuracy("test") for run in runs]
    perfect = sum(run.perfect for run in runs)
    low, high = share_interval(perfect, len(runs))
    return {
        "seeds": len(runs),
        "train": statistics.fmean(run.accuracy("train") for run in runs),
        "test": statistics.fmean(test),
        "test_interval": interval(test),
        "test_lowest": min(test),
        "perfect": perfect,
        "perfect_low": low,
        "perfect_high": high,
        "distance": statistics.fmean(run.distance("test") for run in runs),
    }


_NO_METRICS: Mapping[str, Any] = {
    **dict.fromkeys(("train", "test", "test_interval", "test_lowest", "distance", "parameters")),
    **dict.fromkeys(("perfect_low", "perfect_high")),
    "perfect": 0,
}
_NO_TRAINING: Mapping[str, Any] = dict.fromkeys(
    ("points", "robust", "steps", "training_seconds", "solved_seconds", "seconds")
)


def hardware(runs: Iterable[Result]) -> str:
    """Returns where runs were made, each different machine once, separated by `; `."""
    return "; ".join(sorted({run.hardware for run in runs}))


def software(runs: Iterable[Result]) -> str:
    """Returns what runs were made with, each different set of versions once."""
    return "; ".join(sorted({run.software for run in runs} - {""}))


class Column(NamedTuple):
    """A column of the leaderboard.

    Attributes:
        text: the cell of a row.
        value: what a row is sorted by.
        is_number: whether cells are aligned on the right.
    """

    text: Callable[[Row], str]
    value: Callable[[Row], Any]
    is_number: bool = True


def _of(name: str, text: Callable[[Any], str] = str, is_number: bool = True) -> Column:
    return Column(lambda row: text(getattr(row, name)), lambda row: getattr(row, name), is_number)


def _model(row: Row) -> str:
    return f"{row.model} -> {row.also}" if row.also else row.model


def _test(row: Row) -> str:
    if row.test is None:
        return "does not fit"
    return tables.percent(row.test) + tables.interval(row.metric, row.test, row.test_interval)


def _perfect(row: Row) -> str:
    if row.perfect_low is None or row.perfect_high is None:
        return ""
    ends = f"[{100 * row.perfect_low:.0f}, {100 * row.perfect_high:.0f}]"
    return f"{row.perfect} of {row.seeds} {ends}"


def _robust(row: Row) -> str:
    return "" if row.points is None else f"{row.robust} of {row.points}"


def _robustness(row: Row) -> float | None:
    return None if row.points is None or row.robust is None else row.robust / row.points


def _compute(row: Row) -> str:
    seconds = tables.duration(row.training_seconds)
    if row.solved_seconds is not None and seconds:
        seconds = f"{tables.duration(row.solved_seconds)} of {seconds}"
    steps = "" if row.steps is None else f"{row.steps:,.0f} step{'s' * (row.steps != 1)}"
    return ", ".join(filter(None, [steps, seconds]))


def _distance(row: Row) -> str:
    metric = METRICS[row.distance_metric]
    if row.distance is None:
        return ""
    return ("" if metric.unit else f"{metric.label} ") + tables.amount(metric.name, row.distance)


def _shortfall(row: Row) -> float | None:
    return None if row.distance is None else METRICS[row.distance_metric].shortfall(row.distance)


def _parameters(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


COLUMNS: Mapping[str, Column] = {
    "task": _of("task", is_number=False),
    "config": _of("config", is_number=False),
    "model": Column(_model, _model, is_number=False),
    "perfect": Column(_perfect, lambda row: None if row.test is None else row.perfect / row.seeds),
    "train": _of("train", tables.percent),
    "test": Column(_test, lambda row: row.test),
    "lowest": _of("test_lowest", tables.percent),
    "distance": Column(_distance, _shortfall),
    "robust": Column(_robust, _robustness),
    "parameters": _of("parameters", _parameters),
    "compute": Column(_compute, lambda row: row.training_seconds),
    "time": _of("seconds", tables.duration),
    "hardware": _of("hardware", is_number=False),
}


def cells(row: Row) -> list[str]:
    """Returns the text of a row, a cell for each of `COLUMNS`."""
    return [column.text(row) for column in COLUMNS.values()]


def marked(rows: Sequence[Row]) -> list[list[str]]:
    """Returns the `cells` of rows; beside reference results, the user's models are marked."""
    found = [cells(row) for row in rows]
    if any(row.reference for row in rows):
        model = list(COLUMNS).index("model")
        for row, texts in zip(rows, found, strict=True):
            texts[model] += "" if row.reference else MARK
    return found


def values(row: Row) -> list[Any]:
    """Returns the values to sort a row by, for each of `COLUMNS`; lower is closer for distance."""
    return [column.value(row) for column in COLUMNS.values()]


def write(rows: Sequence[Row], file: str | os.PathLike[str]) -> None:
    """Writes rows as `tables.write` does; Markdown and JSON include what others published."""
    tables.write(file, rows, to_markdown, published=[row._asdict() for row in elsewhere(rows)])


def elsewhere(rows: Iterable[Row]) -> list[Published]:
    """Returns what others published for the tasks and configs of rows."""
    places = {(row.task, row.config) for row in rows}
    return [each for each in published_rows() if (each.task, each.config) in places]


MARK = " (yours)"
MARKED = f"Models marked{MARK} are from your runs, the others are reference results."
EXPLANATION = """Perfect: the runs that get every example of train and test right, with the exact
95 % confidence interval of their share in percent (Clopper-Pearson). Train and test: the share of
examples that are right (the right pixel; within half a pixel; every pixel of the canvas), averaged
over seeds, with the 95 % confidence interval for test (Student's t, cut to 0 to 100; omitted if all
seeds agree or there are fewer than three). Lowest: test for the worst seed. Distance: how far off
the answers are on test, in pixels or as IoU, averaged over examples. Robust: the points of the
search for its recipe that are perfect (empty without a search). Parameters: trainable weights.
Compute: training steps and seconds (of the CPU, if measured), without evaluation; 4 s of 8 s:
every test example is first right after 4 of 8 s. Time: whole runs. Both are medians. Rows are
in the order of test, then train, robust, parameters and compute. The name of a model is followed by
its recipe, unless that is the default, and by the settings that were changed. A row such as net ->
quadrant_128 has the results of the same weights on that data set, without training there."""


def to_markdown(rows: Sequence[Row]) -> str:
    """Returns Markdown: a table of rows, and one of what others published about the same."""
    ours = tables.markdown(list(COLUMNS), marked(rows))
    mark = f"{MARKED}\n\n" if any(row.reference for row in rows) else ""
    about = made_with(row.software for row in rows)
    text = f"# Leaderboard\n\n{EXPLANATION}\n{about}\n{mark}{ours}"
    if others := elsewhere(rows):
        table = tables.markdown(PUBLISHED_COLUMNS, others)
        text += f"\n## Published elsewhere\n\n{sources()}\n\n{table}"
    return text


def made_with(software: Iterable[str]) -> str:
    """Returns a Markdown sentence about the software that rows were measured with."""
    words = "; ".join(sorted({each for words in software for each in words.split("; ")} - {""}))
    about = f"Measured with {tables.escaped(words)}; the" if words else "The"
    return f"\n{about} command, the seed and the commit of each run are in its `result.json`.\n"
