"""The measured results of experiments beside the published ones, with a verdict on each."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Iterable, Sequence

from not_so_clevr import results
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.reproduce import planning
from not_so_clevr.reproduce.planning import Row
from not_so_clevr.results import Result, tables
from not_so_clevr.results.experiment import PERFECT, Claim

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


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """The published and the measured results of an experiment."""

    source: str  # Where it was published; "" if it was not
    task: str
    config: str
    model: str  # With its recipe, in one word
    published_train: str
    published_test: str
    metric: str  # Of train and test; "" if there are no runs and the source names none
    seeds: int  # Number of runs
    train: float | None  # Mean over seeds, in the unit of the metric; None without runs
    test: float | None
    test_interval: float | None  # Half of the 95 % interval; None for `perfect` or below 3 seeds
    seconds: float | None  # Median duration of a run
    hardware: str
    software: str
    verdict: str  # On test
    remark: str  # How our experiment differs, or why its result does


def table(rows: Sequence[Row], found: Iterable[Result]) -> list[Reproduction]:
    """Returns the published and the measured result of each row, and the verdict on test."""
    return [_reproduction(*each) for each in zip(rows, planning.runs(rows, found), strict=True)]


def _reproduction(row: Row, runs: Sequence[Result]) -> Reproduction:
    experiment = row.experiment
    claim = experiment.claim or Claim(source="", metric=row.run.task.accuracy_metric)
    metric = claim.metric or (runs[0].accuracy_metric if runs else "")
    train, test = ([_value(run, split, metric) for run in runs] for split in ("train", "test"))
    points = f"one of their {claim.points} points" if claim.points > 1 else ""

    return Reproduction(
        source=claim.source,
        task=experiment.task,
        config=experiment.config,
        model=experiment.label,
        published_train=claim.train,
        published_test=claim.test,
        metric=metric,
        seeds=len(runs),
        train=statistics.fmean(train) if runs else None,
        test=statistics.fmean(test) if runs else None,
        test_interval=None if metric == PERFECT else results.interval(test),
        seconds=results.median(run.seconds for run in runs),
        hardware=results.hardware(runs),
        software=results.software(runs),
        verdict=verdict(experiment.claim, test),
        remark="; ".join(filter(None, (points, experiment.remark))),
    )


def _value(run: Result, split: str, metric: str) -> float:
    if metric == PERFECT:
        return float(run.accuracy(split) == 1)
    return run.metrics[split][metric]


def verdict(claim: Claim | None, test: Sequence[float]) -> str:
    """Returns the verdict on a claim from the results on test, one per seed: see `_INTRODUCTION`.

    It is "" if nothing was published.
    """
    if not test:
        return "not run"
    if claim is None or not claim.test:
        return ""
    if claim.expected is None:
        return "not comparable"

    (low, high), mean = claim.expected, statistics.fmean(test)
    lowest, highest = _interval(claim.metric, test)
    higher_is_better = claim.metric not in METRICS or METRICS[claim.metric].higher_is_better
    reached = sum(low <= value <= high for value in test)
    near = (reached or claim.metric == PERFECT) and lowest <= high and low <= highest

    if low <= mean <= high:
        word = "reproduced"
    elif low < high and near:
        word = "undecided"
    elif (mean > high) == higher_is_better:
        word = "better"
    else:
        word = "worse" if claim.points == 1 else "not at this point"
        if low == high and reached:
            word += f" ({reached} of {len(test)} seeds reach it)"

    return word if len(test) >= results.ENOUGH else f"{word} so far"


def _interval(metric: str, test: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the mean: Student's t; for `perfect`, Wilson's."""
    if metric != PERFECT:
        mean, half = statistics.fmean(test), results.interval(test) or 0.0
        return mean - half, mean + half
    return results.share_interval(sum(value == 1 for value in test), len(test), "wilson")


def cells(row: Reproduction) -> list[str]:
    """Returns a row of `table` as text, one cell for each of `COLUMNS`."""
    interval = "" if row.test is None else tables.interval(row.metric, row.test, row.test_interval)
    texts = {
        **dataclasses.asdict(row),
        "train": _number(row, row.train),
        "test": _number(row, row.test) + interval,
        "seeds": str(row.seeds),
        "time": tables.duration(row.seconds),
    }
    return [texts[name.replace(" ", "_")] for name in COLUMNS]


def _number(row: Reproduction, mean: float | None) -> str:
    if mean is None:
        return ""
    if row.metric == PERFECT:
        return f"{round(mean * row.seeds)} of {row.seeds}"
    return tables.amount(row.metric, mean)


_INTRODUCTION = """# What was published, and what came out

Train and test are means over seeds. Test has its 95 % confidence interval (Student's t, cut to the
range of the metric; none if all seeds agree, or there are fewer than three). The metric is that of
the source: `coordinate_accuracy`, the metric of the article's regression, gives half a point for
one right coordinate, while the [leaderboard](results.md) wants an answer within half a pixel. Where
the source describes its result in words, the metric is one of ours; `perfect` counts the runs that
get every example right. The time is the median duration of a run. The runs were made on different
machines, see *hardware*, and with several versions of the code.

The verdict is on the mean over test; train is shown beside it.

- *Reproduced*: every seed is perfect, if that was published; otherwise the mean is within 5
  percentage points of the published number, or in the range that fits the published description
  (`not_so_clevr/results/published.toml`).
- *Undecided*: the mean is outside, but a seed is not, and the confidence interval reaches inside.
  (Where the metric is `perfect`, it is Wilson's interval of the share, and no seed is needed.)
- *Better*, *worse*: otherwise. Perfection that some seeds reach is worse: three of three perfect
  seeds mean that the true share is between 29 and 100 % (exact 95 % interval).
- *Not at this point*: worse, but the best point of a grid was published, and this is one of its
  points.
- *So far*: with fewer than three seeds.
- *Not comparable*: no number can confirm or contradict what was published, e.g. pictures, or the
  best of a large grid.

Without a published result there is no verdict.
"""


def to_markdown(rows: Iterable[Reproduction]) -> str:
    """Returns the rows of `table` in Markdown, one table per source."""
    rows = list(rows)
    parts = []
    for source in dict.fromkeys(row.source for row in rows):
        own = [cells(row)[1:] for row in rows if row.source == source]
        title = f"Source: {source}" if source else "Not published"
        parts.append(f"\n## {title}\n\n{tables.markdown(COLUMNS[1:], own)}")

    return f"{_INTRODUCTION}{results.made_with(row.software for row in rows)}{''.join(parts)}"


def write_table(rows: Sequence[Reproduction], file: str | os.PathLike[str]) -> None:
    """Writes the rows of `table` to a .md, .csv or .json file.

    Raises:
        UserError: if the file has another suffix.
        OSError: if the file cannot be written.
    """
    tables.write(file, rows, to_markdown)
