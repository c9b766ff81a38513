"""Whether one model is better than another: paired exact tests over seeds and over examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.results import naming, tables
from not_so_clevr.results.result import Result
from not_so_clevr.results.statistics import grouped, sign_test

_LOWEST = 0.001  # A p-value as text
_SHOWN = 8  # Labels in a message
_FEW = 3  # Places in a message


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of what two models did, e.g. with the same seed.

    Attributes:
        both: how many both get right.
        first: how many only the first gets right.
        second: how many only the second gets right.
        neither: how many neither gets right.
    """

    both: int
    first: int
    second: int
    neither: int

    @property
    def total(self) -> int:
        return self.both + self.first + self.second + self.neither

    @property
    def p(self) -> float:
        """The exact two-sided p-value of no difference (McNemar), see `sign_test`."""
        return sign_test(self.first, self.second)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models on a task and a config, over the seeds that both have.

    Attributes:
        task: the name of the task.
        config: the name of the data set.
        first: the label of the first model.
        second: the label of the second.
        seeds: pairs of runs with the same seed; right is a run that is perfect.
        examples: pairs of answers to the same test example with the same seed, of all seeds; None
            if the examples of a run are not there, as for reference results. Those of one seed are
            not independent, so their p-value is about these trained networks, not about the models.
    """

    task: str
    config: str
    first: str
    second: str
    seeds: Pairs
    examples: Pairs | None


def _places(runs: Iterable[Result], label: str) -> str:
    """Returns where a model has runs, e.g. `regression on quadrant (seeds 0, 1)`."""
    places = grouped(
        (run for run in runs if run.label == label), lambda run: (run.task, run.config)
    )
    texts = [f"{task} on {config} ({_seeds(same)})" for (task, config), same in places.items()]
    return "; ".join([*texts[:_FEW], *["..."] * (len(texts) > _FEW)])


def _seeds(runs: Sequence[Result]) -> str:
    seeds = ", ".join(str(run.seed) for run in runs)
    return f"seeds {seeds}" if len(runs) > 1 else f"seed {seeds}"


def compare(first: str, second: str, results: Iterable[Result]) -> list[Comparison]:
    """Compares two models on every task and config that both have runs of with a common seed.

    Args:
        first: the label of a model on the leaderboard, e.g. `coordconv` or `my_models.build`.
        second: that of another.
        results: runs; `Result.with_examples` reads their examples, for the pairs of examples.

    Raises:
        UserError: one sentence, if a model has no runs, or both have none in common.
    """
    runs = list(results)
    labels = list(dict.fromkeys(run.label for run in runs))
    for label in (first, second):
        if label not in labels:
            raise UserError(f"There are no runs of {label!r}{_hint(label, labels)}.")
    if first == second:
        raise UserError(f"{first} was given twice; expected two models.")

    found = []
    for (task, config), here in grouped(runs, lambda run: (run.task, run.config)).items():
        by_seed = grouped(here, lambda run: run.label)
        others = {run.seed: run for run in by_seed.get(second, [])}
        pairs = [(run, others[run.seed]) for run in by_seed.get(first, []) if run.seed in others]
        if pairs:
            seeds = _pairs([one.perfect for one, _ in pairs], [two.perfect for _, two in pairs])
            found.append(Comparison(task, config, first, second, seeds, _examples(pairs)))
    if not found:
        raise UserError(
            f"{first} and {second} have no task, config and seed in common: "
            f"{first} has {_places(runs, first)}; {second} has {_places(runs, second)}."
        )
    return found


def _hint(label: str, labels: Iterable[str]) -> str:
    """Returns what to give instead of a label: those of the same model, or the first ones."""
    of_model = [each for each in labels if each.startswith(naming.label(str(label), ""))]
    near = of_model or list(labels)
    more = len(near) - _SHOWN
    expected = ", ".join(near[:_SHOWN]) + (f", or one of {more} more" if more > 0 else "")
    return f"{did_you_mean(label, labels)}; expected one of {expected}"


def _pairs(first: Any, second: Any) -> Pairs:
    """Returns the counts of pairs of booleans."""
    one, two = np.asarray(first, bool), np.asarray(second, bool)
    masks = (one & two, one & ~two, ~one & two, ~one & ~two)
    return Pairs(*(int(mask.sum()) for mask in masks))


def _examples(pairs: Sequence[tuple[Result, Result]]) -> Pairs | None:
    """Returns the pairs of examples of all pairs of runs; None if some are not there."""
    columns = [[_right(run) for run in runs] for runs in zip(*pairs, strict=True)]
    if any(column is None for side in columns for column in side):
        return None
    first, second = (np.concatenate(side) for side in columns)
    return _pairs(first, second) if first.shape == second.shape else None


def _right(run: Result) -> Any:
    """Returns which test examples are right, in the order of their labels; None if unknown."""
    test: Mapping[str, Any] = run.examples.get("test", {})
    if run.accuracy_metric not in test or "coordinates" not in test:
        return None
    order = np.lexsort(np.asarray(test["coordinates"]).T[::-1])
    return np.asarray(test[run.accuracy_metric])[order] == 1


COLUMNS = ("task", "config", "pairs of", "first", "second", "only first", "only second", "p")


def cells(comparison: Comparison) -> list[list[str]]:
    """Returns the texts of a row for the seeds, and one for the examples, if they are there."""
    rows = []
    for name, pairs in (("seeds", comparison.seeds), ("examples", comparison.examples)):
        if pairs is not None:
            right = (pairs.both + pairs.first, pairs.both + pairs.second)
            texts = [f"{each:,} of {pairs.total:,}" for each in right]
            only = [f"{pairs.first:,}", f"{pairs.second:,}"]
            row = [comparison.task, comparison.config, name, *texts, *only, p_value(pairs.p)]
            rows.append(row)
    return rows


def p_value(p: float) -> str:
    """Returns a p-value as text: three decimals, or `< 0.001`."""
    return f"< {_LOWEST}" if p < _LOWEST else f"{p:.3f}"


def to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Returns a table in Markdown with the columns `COLUMNS`."""
    return tables.markdown(COLUMNS, [row for each in comparisons for row in cells(each)])
