"""The numbers in the sentences of the pages, each from run files.

What stands between two comments, as here, is written anew from the runs of those ids:

    right on <!-- of_test: regression/uniform/conv regression/quadrant/conv -->2.1 to 66.7 %<!-- / --> of test

Before the colon stands one of the functions below, from `perfect` on, and what it takes beside the runs.
"""

from __future__ import annotations

import json
import pathlib
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr import results
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.results import Result, tables

_VALUE = re.compile(r"<!-- (?P<function>\w+)(?P<words>( [^ :]+)*):(?P<ids>( [^ <>]+)+) -->[^<]*<!-- / -->")
_FEW = 3  # Numbers that are told one by one

DIFFERENCES = pathlib.Path(__file__).with_name("differences.json")


def renewed(name: str, page: str, runs: Iterable[Result]) -> str:
    """Returns a page with its numbers as the runs have them.

    Raises:
        ValueError: one sentence that names the page and the comment, if a number cannot be told.
    """
    by_id = results.grouped(sorted(runs, key=lambda run: run.seed), lambda run: run.id.rpartition("/")[0])

    def value(match: re.Match[str]) -> str:
        before = match.group().partition("-->")[0] + "-->"
        function, ids = FUNCTIONS.get(match["function"]), match["ids"].split()
        if function is None:
            raise ValueError(f"{name}: {before} is no function of docs/values.py; expected one of {', '.join(FUNCTIONS)}.")
        if missing := [each for each in ids if each not in by_id]:
            raise ValueError(f"{name}: {before} tells of {missing[0]}, and there is no run of it; make one, or mend the page.")
        try:
            text = function([run for each in ids for run in by_id[each]], *match["words"].split())
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{name}: {before} cannot be told of its runs ({type(error).__name__}: {error}); mend it."
            ) from error
        if not text:
            raise ValueError(f"{name}: {before} finds nothing; the sentence is no longer true, mend it.")
        return f"{before}{text}<!-- / -->"

    if page.count("<!-- / -->") != len(_VALUE.findall(page)):
        raise ValueError(f"{name} has a <!-- / --> with nothing before it such as <!-- of_test: regression/quadrant/conv -->.")
    if broken := re.search(rf"^ *{_VALUE.pattern}", page, re.MULTILINE):
        raise ValueError(f"{name}: {broken.group()} stands at the beginning of a line, which would end the paragraph; move it.")
    return _VALUE.sub(value, page)


def perfect(runs: Sequence[Result]) -> str:
    """How many are right on every example of train and test, such as `7 of 10`."""
    return _count(runs, lambda run: run.perfect)


def right(runs: Sequence[Result], split: str) -> str:
    """How many are right on every example of a split at the end."""
    return _count(runs, lambda run: run.metrics[split][run.accuracy_metric] == 1)


def black(runs: Sequence[Result]) -> str:
    """How many paint no pixel of any square of test."""
    return _count(runs, lambda run: run.metrics["test"]["iou"] == 0)


def still(runs: Sequence[Result]) -> str:
    """With how many the loss changes by less than 0.1 % in the second half of the epochs."""

    def stands(run: Result) -> bool:
        losses = [epoch["loss"] for epoch in run.history[len(run.history) // 2 :]]
        return max(losses) < 1.001 * min(losses)

    return _count(runs, stands)


def constant(runs: Sequence[Result], coordinates: str) -> str:
    """How many answer train with a constant for so many of the two coordinates: 99 % of the answers are within a pixel."""

    def constants(run: Result) -> int:
        low, high = np.quantile(_train(run)["predicted"], [0.005, 0.995], axis=0)
        return int(np.sum(high - low <= 1))

    return _count(runs, lambda run: constants(run) == int(coordinates))


def of_train(runs: Sequence[Result], metric: str = "") -> str:
    """A metric of train at the end; if it is not given, the share that is right."""
    return _values(metric, [run.metrics["train"][metric or run.accuracy_metric] for run in runs])


def of_test(runs: Sequence[Result], metric: str = "") -> str:
    """A metric of test at the end; if it is not given, the share that is right."""
    return _values(metric, [run.metrics["test"][metric or run.accuracy_metric] for run in runs])


def imperfect(runs: Sequence[Result], split: str) -> str:
    """The share of a split that is right, of those runs that are not right on all of it."""
    shares = [run.metrics[split][run.accuracy_metric] for run in runs]
    return _values("", [share for share in shares if share < 1])


def mean(runs: Sequence[Result]) -> str:
    """The share of test that is right, in the mean over the runs."""
    return tables.percent(statistics.fmean(run.metrics["test"][run.accuracy_metric] for run in runs))


def lowest(runs: Sequence[Result]) -> str:
    """The lowest share of test that is right."""
    return tables.percent(min(run.metrics["test"][run.accuracy_metric] for run in runs))


def best(runs: Sequence[Result], metric: str = "") -> str:
    """The highest that a metric of test comes to after any epoch."""
    return _values(metric, [max(epoch["test"][metric or run.accuracy_metric] for epoch in run.history) for run in runs])


def after(runs: Sequence[Result], epoch: str, metric: str = "") -> str:
    """A metric of test after an epoch."""
    by_number = ({each["epoch"]: each["test"] for each in run.history} for run in runs)
    return _values(
        metric, [tests[int(epoch)][metric or run.accuracy_metric] for run, tests in zip(runs, by_number, strict=True)]
    )


def first(runs: Sequence[Result], metric: str = "", at_most: str = "") -> str:
    """After which epoch every test example is right for the first time, or a metric of test is so low, or above 0."""

    def is_so(run: Result, test: Mapping[str, float]) -> bool:
        return test[run.accuracy_metric] == 1 if not metric else test[metric] <= float(at_most) if at_most else test[metric] > 0

    epochs = ([epoch["epoch"] for epoch in run.history if is_so(run, epoch["test"])] for run in runs)
    return _of_some([some[0] for some in epochs if some], runs)


def settled(runs: Sequence[Result]) -> str:
    """From which epoch on every test example is right, to the end."""
    wrong = [[0, *(epoch["epoch"] for epoch in run.history if epoch["test"][run.accuracy_metric] < 1)] for run in runs]
    return _of_some([max(some) + 1 for run, some in zip(runs, wrong, strict=True) if max(some) < len(run.history)], runs)


def epochs_right(runs: Sequence[Result]) -> str:
    """All epochs after which every test example is right."""
    found = [epoch["epoch"] for run in runs for epoch in run.history if epoch["test"][run.accuracy_metric] == 1]
    return _listed([str(epoch) for epoch in found])


def none_right(runs: Sequence[Result]) -> str:
    """The share of all epochs after which no test example is right."""
    return tables.percent(float(np.mean([epoch["test"][run.accuracy_metric] == 0 for run in runs for epoch in run.history])))


def answer(runs: Sequence[Result]) -> str:
    """What is answered on train, in the median over the examples: (i, j) in pixels."""
    medians = [np.median(_train(run)["predicted"], axis=0) for run in runs]
    return _listed([f"({i:.1f}, {j:.1f})" for i, j in medians])


def off(runs: Sequence[Result], where: str) -> str:
    """The error on train of runs that are not right on all of it, `along` the line on which it is largest, or `across` it.

    It is the root of the mean square, in pixels: a singular value of all errors as vectors.
    """
    component = {"along": 0, "across": 1}[where]
    errors = [
        _train(run)["predicted"] - _train(run)["coordinates"] for run in runs if run.metrics["train"][run.accuracy_metric] < 1
    ]
    return _values("distance", [np.linalg.svd(each, compute_uv=False)[component] / len(each) ** 0.5 for each in errors])


def wrong_rows(runs: Sequence[Result]) -> str:
    """In which rows examples of train are wrong."""
    rows = {int(row) for run in runs for row in _train(run)["coordinates"][_train(run)["within_half_pixel"] == 0, 0]}
    return _listed([str(row) for row in sorted(rows)])


def difference(runs: Sequence[Result]) -> str:
    """The share of the first layer that sees something else than differences, as docs/examples/differences.py has written."""
    shares = json.loads(DIFFERENCES.read_text())
    for run in runs:
        if shares[run.id]["accuracy"] != run.metrics["test"]["accuracy"]:
            raise ValueError(f"{DIFFERENCES.name} is of another run of {run.id}")
    return _numbers([_digits(shares[run.id]["share"]) for run in runs])


def duration(runs: Sequence[Result]) -> str:
    """The time that a whole run takes, in the median."""
    return tables.duration(results.median(run.seconds for run in runs))


FUNCTIONS: Mapping[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(perfect, right, black, still, constant, of_train, of_test, imperfect, mean, lowest, best, after),
        *(first, settled, epochs_right, none_right, answer, off, wrong_rows, difference, duration),
    )
}


def _train(run: Result) -> Mapping[str, npt.NDArray[Any]]:
    return run.examples["train"]


def _count(runs: Sequence[Result], is_so: Callable[[Result], bool]) -> str:
    return f"{sum(map(is_so, runs))} of {len(runs)}"


def _values(metric: str, values: Sequence[float]) -> str:
    """Returns values of a metric as text: shares in percent, others with three digits, and no IoU as 1 that is less."""
    if not values:
        return ""
    about = METRICS.get(metric)  # None for the accuracy metric, which is a share.
    if about is None or about.unit == "%":
        return _numbers([tables.percent(value).removesuffix(" %") for value in values]) + " %"
    highest = 0.999 if about.higher_is_better else np.inf
    texts = [_digits(value if value == 1 else min(value, highest)) for value in values]
    return f"{_numbers(texts)} {about.unit}".rstrip()


def _numbers(texts: Sequence[str]) -> str:
    """Returns numbers as one text: up to three of them one by one, more of them as `lowest to highest`."""
    if len(texts) > _FEW:
        texts = [min(texts, key=float), max(texts, key=float)]
        return " to ".join(dict.fromkeys(texts))
    return texts[0] if len(set(texts)) == 1 else _listed(texts)


def _of_some(epochs: Sequence[int], runs: Sequence[Result]) -> str:
    """Returns epochs as text, and of how many of the runs they are, if some have none."""
    some = f" (with {len(epochs)} of {len(runs)} runs, with the others never)" * (0 < len(epochs) < len(runs))
    return _numbers([str(epoch) for epoch in epochs]) + some


def _digits(value: float) -> str:
    """Returns a number with three digits; only what is a whole number looks like one."""
    text = np.format_float_positional(value, precision=3, fractional=False, trim="-")
    return f"{value:.1f}" if "." not in text and value % 1 else text


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
