"""What came out of published experiments, beside what was published, and the verdict on each."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
from collections.abc import Iterable, Sequence

from not_so_clevr import results
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.reproduce.planning import Row, runs
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
    """What was published of an experiment, beside what its runs measured.

    Attributes:
        source: where it was published; "" if nothing was.
        task: the name of the task.
        config: the name of the data set.
        model: the model and its recipe, in one word.
        published_train: what was published of train, as text.
        published_test: what was published of test, as text.
        metric: of `train` and `test`; "" if there are no runs and the source names none.
        seeds: how many runs there are.
        train: the mean of the metric over the seeds, in its unit; None if there are no runs.
        test: the same of test.
        test_interval: half the width of the 95 % confidence interval of `test`; None for whole
            runs, and for fewer than three.
        seconds: the median of whole runs; None if none is known.
        hardware: where the runs took place.
        software: what they ran with.
        verdict: what `verdict` says of test.
        remark: how ours differs, or why it comes out otherwise.
    """

    source: str
    task: str
    config: str
    model: str
    published_train: str
    published_test: str
    metric: str
    seeds: int
    train: float | None
    test: float | None
    test_interval: float | None
    seconds: float | None
    hardware: str
    software: str
    verdict: str
    remark: str


def table(rows: Sequence[Row], found: Iterable[Result]) -> list[Reproduction]:
    """Returns for each row what was published, what its runs measured, and the verdict on test."""
    return [_reproduction(row, own) for row, own in zip(rows, runs(rows, found), strict=True)]


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
        return float(run.metrics[split][run.accuracy_metric] == 1)
    return run.metrics[split][metric]


def verdict(claim: Claim | None, test: Sequence[float]) -> str:
    """Returns what the values of some seeds over test say of a claim: see `_INTRODUCTION`.

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
    some = claim.metric == PERFECT or any(low <= value <= high for value in test)

    if low <= mean <= high:
        word = "reproduced"
    elif low < high and some and lowest <= high and low <= highest:
        word = "undecided"
    elif (mean > high) == higher_is_better:
        word = "better"
    else:
        word = "worse" if claim.points == 1 else "not at this point"
        reached = sum(low <= value <= high for value in test)
        if low == high and reached:
            word += f" ({reached} of {len(test)} seeds reach it)"

    return word if len(test) >= results.ENOUGH else f"{word} so far"


def _interval(metric: str, test: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % confidence interval of the mean over seeds.

    It is Student's t, or Wilson's score where each seed is 0 or 1.
    """
    if metric != PERFECT:
        mean, half = statistics.fmean(test), results.interval(test) or 0.0
        return mean - half, mean + half
    import scipy.stats

    perfect = sum(value == 1 for value in test)
    return tuple(scipy.stats.binomtest(perfect, len(test)).proportion_ci(method="wilson"))


def cells(row: Reproduction) -> list[str]:
    """Returns a row of `table` as text, a cell for each of `COLUMNS`."""
    interval = "" if row.test is None else tables.interval(row.metric, row.test, row.test_interval)
    return [
        row.source,
        row.task,
        row.config,
        row.model,
        row.metric,
        row.published_train,
        row.published_test,
        _number(row, row.train),
        _number(row, row.test) + interval,
        row.verdict,
        row.remark,
        str(row.seeds),
        tables.duration(row.seconds),
        row.hardware,
    ]


def _number(row: Reproduction, mean: float | None) -> str:
    if mean is None:
        return ""
    if row.metric == PERFECT:
        return f"{round(mean * row.seeds)} of {row.seeds}"
    return tables.amount(row.metric, mean)


_INTRODUCTION = """# What was published, and what came out

Train and test are means over seeds, that of test with its 95 % confidence interval (Student's t, cut to what the metric can
be; nothing if all seeds agree, or there are fewer than three). The metric is that which the source reports:
`coordinate_accuracy`, of the article's regression, gives half a point for one right coordinate, where the
[leaderboard](results.md) wants an answer within half a pixel. Where the source tells in words, the metric is one of ours;
`perfect` counts the runs that get every example right. The time is the median of whole runs; see *hardware* for the
machines, which differ, and the runs are of several versions of the code.

The verdict is on the mean over test; train is shown beside it. A perfect number is *reproduced* by
a perfect one, with every seed, and what only some seeds reach is *worse*. (Three seeds of three:
with 95 % confidence, at least 37 % of all seeds.) Any other number is reproduced by one that is at
most 5 percentage points off, and what is told in words by the range in
`not_so_clevr/results/published.toml`. What lies outside is *better* or *worse* than what was
published, or *undecided*, where some seed is in the range and so is a part of the interval (of
*perfect*, a part of Wilson's). *Not at this point* stands for worse where the source shows the best
of a grid, of which this is one point. "So far" stands where there are fewer than three seeds. It is
*not comparable* where no number can confirm or contradict what was published: pictures, or the best
of a large grid. Where nothing was published, there is no verdict.
"""


def to_markdown(rows: Iterable[Reproduction]) -> str:
    """Returns the rows of `table` in Markdown, a table for each source."""
    rows = list(rows)
    parts = []
    for source in dict.fromkeys(row.source for row in rows):
        own = [cells(row)[1:] for row in rows if row.source == source]
        title = f"Source: {source}" if source else "Not published"
        parts.append(f"\n## {title}\n\n{tables.markdown(COLUMNS[1:], own)}")

    return f"{_INTRODUCTION}{results.made_with(row.software for row in rows)}{''.join(parts)}"


def write_table(rows: Sequence[Reproduction], file: pathlib.Path) -> None:
    """Writes the rows of `table` as Markdown, CSV or JSON, by the ending of the file's name.

    Raises:
        UserError: for any other ending.
        OSError: one sentence, if the file cannot be written.
    """
    tables.write(file, rows, to_markdown)
