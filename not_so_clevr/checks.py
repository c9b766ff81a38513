"""Checks of arguments, and `UserError`, the one error that is shown without a traceback."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Collection, Iterable
from typing import TypeVar

import numpy as np

_Item = TypeVar("_Item")


class UserError(ValueError):
    """Bad input. The message names the bad value, what is allowed and what to do.

    The command prints it and exits with status 2. Any other error, except for an OSError, is a bug
    of ours and keeps its traceback.
    """

    __init__ = Exception.__init__  # TensorFlow re-raises an error of a graph only with this.


class MissingPackageError(UserError, ImportError):
    """A package is missing or too old."""


def integer(name: str, value: object, low: int, high: int) -> int:
    """Returns `value` as an int. Raises UserError unless it is an integer from `low` to `high`."""
    expected = f"expected an integer from {low} to {high}"
    if isinstance(value, (bool, np.bool_)):
        raise UserError(f"{name}={value} is a bool; {expected}.")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UserError(f"{name}={value!r} is a {type(value).__name__}; {expected}.") from None
    if not low <= number <= high:
        shown = number if abs(number) < 10**20 else "(more than 20 digits)"
        raise UserError(f"{name}={shown} is out of range; {expected}.")
    return number


def boolean(name: str, value: object) -> bool:
    """Returns `value` as a bool. Raises UserError unless it is one: "no" would count as True."""
    if not isinstance(value, (bool, np.bool_)):
        raise UserError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Returns `value`. Raises UserError unless it is one of the strings that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        hint = did_you_mean(value, allowed)
        raise UserError(f"{name}={value!r} is unknown{hint}; expected one of {', '.join(allowed)}.")
    return value


def as_list(name: str, value: Iterable[_Item]) -> list[_Item]:
    """Returns the items of `value`. Raises UserError if it has none, or is a string: of letters."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise UserError(f"{name} must be a list, got {value!r}; put it into brackets.")
    return list(value)


def did_you_mean(value: object, allowed: Iterable[str]) -> str:
    """Returns " (did you mean 'x'?)" for the allowed value closest to `value`; "" if none is."""
    word = value if isinstance(value, str) else ""
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.7)  # Not gpu for tpu
    return f" (did you mean {close[0]!r}?)" if close else ""
