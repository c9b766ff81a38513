"""Which results to show: the user's runs, and the reference results beside them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.results.result import Result
from not_so_clevr.results.store import reference

Patterns = Mapping[str, Sequence[str]]  # "task", "config" and "model" -> what may match


def beside(runs: Sequence[Result]) -> list[Result]:
    """Returns the reference results for the tasks and configs of runs, without the runs."""
    places = {(run.task, run.config) for run in runs}
    known = {run.id: run for run in runs}
    return [
        run for run in reference() if (run.task, run.config) in places and known.get(run.id) != run
    ]


def select(
    runs: Sequence[Result], patterns: Patterns, with_reference: bool = True
) -> tuple[list[Result], list[Result]]:
    """Returns the runs to show, and the reference results to show beside them.

    Args:
        runs: the user's runs.
        patterns: words with * and ?, of which one must match; all match if there are none. A model
            is matched by its name or by its label, which includes the recipe.
        with_reference: whether to show reference results.

    Raises:
        UserError: if a pattern matches nothing, or no run is left.
    """
    own = list(runs)
    if not own:  # E.g. all files are damaged.
        return [], []
    for name in ("task", "config"):
        own = _matching(own, name, patterns, own)

    others = beside(own) if with_reference else []
    found = [_matching(each, "model", patterns, [*own, *others]) for each in (own, others)]
    if not found[0]:
        words = " ".join(patterns["model"])
        raise UserError(f"--model {words} is none of your models; {_expected('model', own)}.")
    return found[0], found[1]


def _matching(
    runs: Sequence[Result], name: str, patterns: Patterns, known: Sequence[Result]
) -> list[Result]:
    """Returns the runs that match. Raises UserError if a pattern matches none of `known`."""
    wanted = patterns.get(name) or ["*"]
    for pattern in wanted:
        if not any(_matches(run, name, pattern) for run in known):
            hint = did_you_mean(pattern, _values(name, known))
            expected = _expected(name, known)
            raise UserError(f"--{name} {pattern} matches no run{hint}; {expected}.")
    return [run for run in runs if any(_matches(run, name, pattern) for pattern in wanted)]


def _matches(run: Result, name: str, pattern: str) -> bool:
    words = [getattr(run, name), run.label] if name == "model" else [getattr(run, name)]
    return any(fnmatch.fnmatchcase(word, pattern) for word in words)


def _values(name: str, runs: Iterable[Result]) -> list[str]:
    return sorted({getattr(run, name) for run in runs})


def _expected(name: str, runs: Iterable[Result]) -> str:
    return f"expected one of {', '.join(_values(name, runs))}, or a pattern with *"
