"""The headline of the page: what the best model of some runs computes, and what it memorises."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from not_so_clevr import results
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import splits
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results import tables
from not_so_clevr.results.leaderboard import Row

# Shares of examples: below the first, train was not learned; up to the second, test is not either.
_LEARNED, _MEMORISED = 0.9, 0.5

# What a model does with a task, and the same of several tasks; the best first
_COMPUTES, _INTERPOLATES = "computes", "interpolates"
_PHRASES = {
    _COMPUTES: "computes {}",
    _INTERPOLATES: "interpolates in {}",
    "computes with some seeds": "computes {} with some seeds",
    "interpolates with some seeds": "interpolates in {} with some seeds",
    "generalizes in part": "generalizes in part in {}",
    "memorises": "memorises {}",
    "does not learn": "does not learn {}",
}


@dataclasses.dataclass(frozen=True)
class Headline:
    """Sentences about a model.

    Attributes:
        model: its label.
        sentences: what it does with each task, one for the configs where it does the same.
        details: (task, config, what it does, the numbers in words) for each row.
    """

    model: str
    sentences: Sequence[str]
    details: Sequence[tuple[str, str, str, str]]


def headline(rows: Iterable[Row]) -> Headline | None:
    """Returns the headline of the best model: that with most perfect rows, then most of test right.

    Args:
        rows: of the leaderboard; those of reference results and of other data sets do not count.
    """
    by_model = results.grouped(
        (row for row in rows if not (row.reference or row.also)), lambda row: row.model
    )
    if not by_model:
        return None
    model = min(by_model, key=lambda label: (*_rank(by_model[label]), label))
    own = sorted(by_model[model], key=_order)

    does = {
        config: _phrases(same)
        for config, same in results.grouped(own, lambda row: row.config).items()
    }
    sentences: list[str] = []
    for phrases, configs in results.grouped(does, lambda config: does[config]).items():
        subject = "it" if sentences else model
        sentences.append(f"On {listed(configs)}, {subject} {phrases}.")
    details = [(row.task, row.config, verdict(row), _numbers(row)) for row in own]
    return Headline(model, sentences, details)


def _phrases(rows: Sequence[Row]) -> str:
    """Returns what a model does with each task of a config."""
    tasks = results.grouped(rows, verdict)
    return listed(
        [
            phrase.format(listed([row.task for row in tasks[kind]]))
            for kind, phrase in _PHRASES.items()
            if kind in tasks
        ]
    )


def verdict(row: Row) -> str:
    """Returns what a model does with a task and config, a key of `_PHRASES`.

    It computes if every seed gets every example of train and test right, which for a test split
    scattered among train is to interpolate. It memorises if train is right and most of test wrong.
    """
    does = _INTERPOLATES if _scattered(row.config) else _COMPUTES
    if row.perfect:
        return does if row.perfect == row.seeds else f"{does} with some seeds"
    if (row.train or 0) < _LEARNED:
        return "does not learn"
    return "memorises" if (row.test or 0) <= _MEMORISED else "generalizes in part"


def listed(words: Sequence[str]) -> str:
    """Returns words as a list in a sentence: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _numbers(row: Row) -> str:
    seeds = f"{row.perfect} of {row.seeds} {'seed' if row.seeds == 1 else 'seeds'}"
    gets = "gets" if row.seeds == 1 else "get"
    shares = f"{tables.percent(row.train)} of train and {tables.percent(row.test)} of test right"
    return f"{seeds} {gets} every example right; {shares}"


def _rank(rows: Sequence[Row]) -> tuple[float, float]:
    return -sum(row.perfect == row.seeds for row in rows), -sum(row.test or 0 for row in rows)


def _order(row: Row) -> tuple[bool, str, int]:
    """Puts held-out regions before scattered examples, and tasks in their usual order."""
    known = list(TASKS)
    place = known.index(row.task) if row.task in known else len(known)
    return _scattered(row.config), row.config, place


def _scattered(config: str) -> bool:
    try:
        return as_config(config).split in splits.SCATTERED
    except UserError:  # There is no data set of this name.
        return False
