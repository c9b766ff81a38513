"""The numbers in the sentences of the pages, computed from run files.

The text between two comments is rewritten from the runs with the given ids:

    right on <!-- mean: regression/quadrant/conv -->2.3 %<!-- / --> of test

Before the colon is a function of this module, `perfect` or one below it, with its other arguments.
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

VALUE = re.compile(
    r"(?P<comment><!-- (?P<function>\w+)(?P<words>( [^ :]+)*):(?P<ids>( [^ <>]+)+) -->)"
    r"[^<]*<!-- / -->"
)
_FEW = 3  # More numbers than this are written as a range.

DIFFERENCES = pathlib.Path(__file__).with_name("differences.json")


def renewed(name: str, page: str, runs: Iterable[Result]) -> str:
    """Returns a page with its numbers computed from the runs.

    Raises:
        ValueError: if a number cannot be computed; one sentence with the page and the comment.
    """
    in_order = sorted(runs, key=lambda run: run.seed)
    by_id = results.grouped(in_order, lambda run: run.id.rpartition("/")[0])

    if page.count("<!-- / -->") != len(VALUE.findall(page)):
        raise ValueError(
            f"{name} has a <!-- / --> without its beginning; "
            "write, e.g., <!-- of_test: regression/quadrant/conv --><!-- / -->."
        )
    if broken := re.search(rf"^ *{VALUE.pattern}", page, re.MULTILINE):
        raise ValueError(
            f"{name}: {broken.group()} starts a line, which would end the paragraph; move it."
        )

    def value(match: re.Match[str]) -> str:
        try:
            return f"{match['comment']}{_text(match, by_id)}<!-- / -->"
        except ValueError as error:
            raise ValueError(f"{name}: {match['comment']} {error}") from error

    return VALUE.sub(value, page)


def _text(match: re.Match[str], runs: Mapping[str, Sequence[Result]]) -> str:
    """Returns the text of a number. Raises ValueError, the end of a sentence, if there is none."""
    function, ids = FUNCTIONS.get(match["function"]), match["ids"].split()
    if function is None:
        names = ", ".join(FUNCTIONS)
        raise ValueError(f"has an unknown function; use one of docs/values.py: {names}.")
    if missing := [each for each in ids if each not in runs]:
        raise ValueError(f"needs {missing[0]}, which has no runs; train it or change it.")

    try:
        text = function([run for each in ids for run in runs[each]], *match["words"].split())
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"fails ({type(error).__name__}: {error}); correct it.") from error
    if not text:
        raise ValueError("finds no number, so the sentence is no longer true; rewrite it.")
    return text


def perfect(runs: Sequence[Result]) -> str:
    """How many runs get every training and test example right, e.g. `7 of 10`."""
    return _count(run.perfect for run in runs)


def right(runs: Sequence[Result], split: str) -> str:
    """How many runs get every example of a split right."""
    return _count(final(run, split) == 1 for run in runs)


def black(runs: Sequence[Result]) -> str:
    """How many runs paint no pixel of any test square."""
    return _count(run.metrics["test"]["iou"] == 0 for run in runs)


def still(runs: Sequence[Result]) -> str:
    """How many runs change their loss by less than 0.1 % in the second half of the epochs."""
    losses = [[epoch["loss"] for epoch in run.history[len(run.history) // 2 :]] for run in runs]
    return _count(max(each) < 1.001 * min(each) for each in losses)


def constant(runs: Sequence[Result], coordinates: str) -> str:
    """How many runs answer with a constant for this many of the two coordinates on train.

    A coordinate is constant if 99 % of the answers are within a pixel.
    """
    quantiles = [np.quantile(_train(run)["predicted"], [0.005, 0.995], axis=0) for run in runs]
    return _count(np.sum(high - low <= 1) == int(coordinates) for low, high in quantiles)


def of_train(runs: Sequence[Result], metric: str = "") -> str:
    """A metric on train at the end of training; accuracy by default."""
    return _values(metric, [final(run, "train", metric) for run in runs])


def of_test(runs: Sequence[Result], metric: str = "") -> str:
    """A metric on test at the end of training; accuracy by default."""
    return _values(metric, [final(run, "test", metric) for run in runs])


def imperfect(runs: Sequence[Result], split: str) -> str:
    """The accuracy on a split of the runs that are not perfect on it."""
    return _values("", [value for run in runs if (value := final(run, split)) < 1])


def mean(runs: Sequence[Result]) -> str:
    """The mean test accuracy."""
    return tables.percent(statistics.fmean(map(final, runs)))


def lowest(runs: Sequence[Result]) -> str:
    """The lowest test accuracy."""
    return tables.percent(min(map(final, runs)))


def best(runs: Sequence[Result], metric: str = "") -> str:
    """The highest value of a metric on test after any epoch."""
    return _values(metric, [max(_history(run, metric).values()) for run in runs])


def after(runs: Sequence[Result], epoch: str, metric: str = "") -> str:
    """A metric on test after an epoch."""
    return _values(metric, [_history(run, metric)[int(epoch)] for run in runs])


def first(runs: Sequence[Result], metric: str = "", at_most: str = "") -> str:
    """The first epoch after which all of test is right, or a metric is at most a value, or > 0."""

    def reached(value: float) -> bool:
        if not metric:
            return value == 1
        return value <= float(at_most) if at_most else value > 0

    histories = [_history(run, metric).items() for run in runs]
    epochs = [[epoch for epoch, value in each if reached(value)] for each in histories]
    return _of_some([each[0] for each in epochs if each], runs)


def settled(runs: Sequence[Result]) -> str:
    """The first epoch from which on every test example is right."""
    return _of_some([epoch for run in runs if (epoch := settled_epoch(run))], runs)


def settled_epoch(run: Result) -> int | None:
    """Returns the first epoch from which on every test example is right; None if there is none."""
    history = _history(run)
    last_wrong = max((epoch for epoch, share in history.items() if share < 1), default=0)
    return min((epoch for epoch in history if epoch > last_wrong), default=None)


def epochs_right(runs: Sequence[Result]) -> str:
    """All epochs after which every test example is right."""
    histories = [_history(run).items() for run in runs]
    return _listed([str(epoch) for each in histories for epoch, share in each if share == 1])


def none_right(runs: Sequence[Result]) -> str:
    """The share of all epochs after which no test example is right."""
    shares = [share for run in runs for share in _history(run).values()]
    return tables.percent(shares.count(0) / len(shares))


def answer(runs: Sequence[Result]) -> str:
    """The median answer on train: (i, j) in pixels."""
    medians = [np.median(_train(run)["predicted"], axis=0) for run in runs]
    return _listed([f"({i:.1f}, {j:.1f})" for i, j in medians])


def off(runs: Sequence[Result], where: str) -> str:
    """The error on train of imperfect runs: `along` the line where it is largest, or `across` it.

    It is the root of the mean square, in pixels: a singular value of the matrix of all errors.
    """
    component = {"along": 0, "across": 1}[where]
    wrong = [_train(run) for run in runs if final(run, "train") < 1]
    errors = [train["predicted"] - train["coordinates"] for train in wrong]
    lengths = [np.linalg.svd(each, compute_uv=False)[component] for each in errors]
    roots = [len(each) ** 0.5 for each in errors]
    return _values("distance", [length / root for length, root in zip(lengths, roots, strict=True)])


def wrong_rows(runs: Sequence[Result]) -> str:
    """The rows of the wrong training examples."""
    wrong = [_train(run)["within_half_pixel"] == 0 for run in runs]
    rows = [_train(run)["coordinates"][each, 0] for run, each in zip(runs, wrong, strict=True)]
    return _listed(list(map(str, np.unique(np.concatenate(rows)))))


def difference(runs: Sequence[Result]) -> str:
    """The share of the first layer that is not a difference, from docs/examples/differences.py."""
    shares = json.loads(DIFFERENCES.read_text())
    for run in runs:
        if shares[run.id]["accuracy"] != run.metrics["test"]["accuracy"]:
            raise ValueError(f"{DIFFERENCES.name} is of another run of {run.id}")
    return _numbers([_digits(shares[run.id]["share"]) for run in runs])


def duration(runs: Sequence[Result]) -> str:
    """The median time of a whole run."""
    return tables.duration(results.median(run.seconds for run in runs))


OF_EXAMPLES = (constant, answer, off, wrong_rows)  # These read the training examples of a run.
FUNCTIONS: Mapping[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(perfect, right, black, still, of_train, of_test, imperfect, mean, lowest, best, after),
        *(first, settled, epochs_right, none_right, difference, duration, *OF_EXAMPLES),
    )
}


def final(run: Result, split: str = "test", metric: str = "") -> float:
    """Returns a metric at the end of training; accuracy by default."""
    return run.metrics[split][metric or run.accuracy_metric]


def _history(run: Result, metric: str = "") -> dict[int, float]:
    """Returns epoch -> a metric on test after it; accuracy by default."""
    return {each["epoch"]: each["test"][metric or run.accuracy_metric] for each in run.history}


def _train(run: Result) -> Mapping[str, npt.NDArray[Any]]:
    return run.examples["train"]


def _count(which: Iterable[bool]) -> str:
    each = list(which)
    return f"{sum(each)} of {len(each)}"


def _values(metric: str, values: Sequence[float]) -> str:
    """Returns values of a metric as text: shares in percent, others with three digits.

    Only an IoU of exactly 1 is written as 1.
    """
    if not values:
        return ""
    about = METRICS.get(metric)  # None for the accuracy metric, which is a share.
    if about is None or about.unit == "%":
        return _numbers([tables.percent(value).removesuffix(" %") for value in values]) + " %"
    highest = 0.999 if about.higher_is_better else np.inf
    texts = [_digits(value if value == 1 else min(value, highest)) for value in values]
    return f"{_numbers(texts)} {about.unit}".rstrip()


def _numbers(texts: Sequence[str]) -> str:
    """Returns up to three numbers one by one, and more as `lowest to highest`."""
    if len(texts) > _FEW:
        return " to ".join(dict.fromkeys([min(texts, key=float), max(texts, key=float)]))
    return texts[0] if len(set(texts)) == 1 else _listed(texts)


def _of_some(epochs: Sequence[int], runs: Sequence[Result]) -> str:
    """Returns epochs as text, and how many of the runs they are of if not all."""
    some = f" (in {len(epochs)} of {len(runs)} runs; never in the others)"
    return _numbers([str(epoch) for epoch in epochs]) + some * (0 < len(epochs) < len(runs))


def _digits(value: float) -> str:
    """Returns a number with three digits; only whole numbers look like one."""
    text = np.format_float_positional(value, precision=3, fractional=False, trim="-")
    return f"{value:.1f}" if "." not in text and value % 1 else text


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
