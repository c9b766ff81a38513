"""Statistics over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

ENOUGH = 3  # Seeds for an interval

_Item = TypeVar("_Item")
_Key = TypeVar("_Key", bound=Hashable)


def interval(values: Sequence[float]) -> float | None:
    """Returns half the width of the 95 % confidence interval of the mean (Student's t).

    None for fewer than three values: for two, the interval is too wide to be of use.
    """
    if len(values) < ENOUGH:
        return None
    from scipy import stats

    t = float(stats.t.ppf(0.975, len(values) - 1))
    return t * statistics.stdev(values) / len(values) ** 0.5


def median(values: Iterable[float | None]) -> float | None:
    """Returns the median of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def grouped(items: Iterable[_Item], key: Callable[[_Item], _Key]) -> dict[_Key, list[_Item]]:
    """Returns the items of each key, keys in order of first appearance."""
    groups: dict[_Key, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
