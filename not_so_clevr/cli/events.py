"""Prints the events of runs as they come, and how to continue after Ctrl-C."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from not_so_clevr.benchmark.events import Failed, Finished, OutOfTime, Started
from not_so_clevr.cli import terminal
from not_so_clevr.results import Result

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run


@contextlib.contextmanager
def interruptible(how_to_continue: Callable[[], str] = lambda: "interrupted.") -> Iterator[None]:
    """After Ctrl-C, prints the interrupt's message, or else another, and exits with 130."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        print(f"not-so-clevr: {str(interrupt) or how_to_continue()}", file=sys.stderr)
        raise typer.Exit(130) from None


def follow(
    events: Iterable[object],
    again: str,
    runs: pathlib.Path,
    replaced: Sequence[Run] = (),
) -> tuple[list[Result], list[str]]:
    """Prints the events of runs; returns the results, and a sentence for each failure.

    Args:
        events: of `benchmark.runner`.
        again: the command that continues an interrupted run.
        runs: the folder of all runs.
        replaced: runs that the command replaces.
    """
    results, failures, current = [], [], None
    with interruptible(lambda: _how_to_continue(current, again, runs, replaced)):
        for event in events:
            match event:
                case Started():
                    current = event.run
                case Finished():
                    terminal.print_result(event.result)
                    results.append(event.result)
                case Failed():
                    failures.append(event.message)
                case OutOfTime():
                    print(f"{event.run.id}: out of time; {again} continues it.", flush=True)
    return results, failures


def _how_to_continue(
    run: Run | None, again: str, runs: pathlib.Path, replaced: Sequence[Run]
) -> str:
    """Returns which command continues the interrupted run, and which runs are still old."""
    if run is None:
        return "interrupted before the first run."
    from not_so_clevr.benchmark.run_folder import RunFolder

    old = [
        each.seed
        for each in replaced
        if each.seed >= run.seed and RunFolder(runs, each.id).complete
    ]
    advice = [] if run.seed in old else [f"{again} continues it"]
    if old:
        advice.append(f"not yet replaced: seed {', '.join(map(str, old))}")
    return f"{run.id} was interrupted; {'; '.join(advice)}."
