"""What happens while runs are made; the command prints it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from not_so_clevr.results import Result

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened to a run."""

    run: Run


class Started(Event):
    """A run is about to be made."""


@dataclasses.dataclass(frozen=True)
class Finished(Event):
    """A run is complete."""

    result: Result


@dataclasses.dataclass(frozen=True)
class Failed(Event):
    """A run cannot be made; the message is a sentence, with frames of the user's own files below it.

    `again` says whether it is tried once more.
    """

    message: str
    again: bool = False


class OutOfTime(Event):
    """The time is over; the run is saved, and goes on when it is resumed."""
