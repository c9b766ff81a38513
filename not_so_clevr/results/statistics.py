"""Statistics over seeds and examples."""

from __future__ import annotations

import math
import numbers
import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Literal, TypeVar

from not_so_clevr.checks import UserError, as_list, integer, one_of

ENOUGH = 3  # Seeds for an interval
_MOST = 2**31 - 1  # Of anything that is counted

_Item = TypeVar("_Item")
_Key = TypeVar("_Key", bound=Hashable)


def interval(values: Sequence[float]) -> float | None:
    """Returns half the width of the 95 % confidence interval of the mean (Student's t).

    None for fewer than three values: for two, the interval is too wide to be of use.

    Raises:
        UserError: one sentence, if a value is not a finite number.
    """
    for value in as_list("values", values):
        if not (isinstance(value, numbers.Real) and math.isfinite(value)):
            raise UserError(f"values must be finite numbers, got {value!r}.")
    if len(values) < ENOUGH:
        return None
    from scipy import stats

    t = float(stats.t.ppf(0.975, len(values) - 1))
    return t * statistics.stdev(values) / len(values) ** 0.5


def prediction_interval(values: Sequence[float]) -> float | None:
    """Returns half the width of the 95 % interval in which a further value lies (Student's t).

    It is around the mean. None for fewer than three values.
    """
    half = interval(values)
    return None if half is None else half * (len(values) + 1) ** 0.5


def share_interval(
    successes: int, trials: int, method: Literal["exact", "wilson"] = "exact"
) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a share: Clopper and Pearson's exact, or Wilson's.

    Raises:
        UserError: one sentence, if there are no trials, or more successes than trials.
    """
    trials = integer("trials", trials, 1, _MOST)
    successes = integer("successes", successes, 0, trials)
    one_of("method", method, ("exact", "wilson"))
    from scipy import stats

    ends = stats.binomtest(successes, trials).proportion_ci(0.95, method=method)
    return float(ends.low), float(ends.high)


def sign_test(only_first: int, only_second: int) -> float:
    """Returns the exact two-sided p-value of a paired comparison (McNemar's exact test).

    It is that of a fair coin for the pairs in which exactly one of both is right; the others say
    nothing about which is better. 1 if there is no such pair.

    Raises:
        UserError: one sentence, if an argument is not a number of pairs.
    """
    only_first = integer("only_first", only_first, 0, _MOST)
    only_second = integer("only_second", only_second, 0, _MOST)
    from scipy import stats

    pairs = only_first + only_second
    return float(stats.binomtest(only_first, pairs).pvalue) if pairs else 1.0


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
