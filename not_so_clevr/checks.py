"""What arguments may be, and the one kind of error that is shown without a traceback."""

from __future__ import annotations

import operator

import numpy as np


class UserError(ValueError):
    """Bad input. The message names the bad value, what is allowed and what to do.

    The command prints it and exits with status 2. Every other error, except for the operating
    system's, is a bug of ours and keeps its traceback.
    """

    __init__ = Exception.__init__  # By this TensorFlow knows that it may raise it again in a graph.


class MissingPackageError(UserError, ImportError):
    """A package that is needed is not installed, or is too old."""


def integer(name: str, value: object, low: int, high: int) -> int:
    """Returns `value` as a Python int. Raises UserError unless it is an integer in low..high."""
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
