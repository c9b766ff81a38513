"""Events of runs, which the command prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from not_so_clevr.results import Result

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run


@dataclasses.dataclass(frozen=True)
class Event:
    """Something happened to a run."""

    run: Run


class Started(Event):
    """A run begins."""


@dataclasses.dataclass(frozen=True)
class Finished(Event):
    """A run is complete."""

    result: Result


@dataclasses.dataclass(frozen=True)
class Failed(Event):
    """A run failed.

    Attributes:
        message: one sentence, with the frames of the user's own files below it.
        again: whether the run is tried again.
    """

    message: str
    again: bool = False


def collected(events: Iterable[Event]) -> tuple[list[Result], dict[str, str]]:
    """Returns the results of runs, and why the others failed by run id, once all are over."""
    made, failures = [], {}
    for event in events:
        if isinstance(event, Finished):
            made.append(event.result)
        elif isinstance(event, Failed):
            failures[event.run.id] = event.message
    return made, failures


class OutOfTime(Event):
    """The budget is used up. The run is saved, and can be resumed."""
