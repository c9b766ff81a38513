"""Events of runs, printed as they come, and what to do after Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from not_so_clevr.benchmark.events import Failed, Finished, OutOfTime, Started
from not_so_clevr.cli import terminal
from not_so_clevr.results import Result

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run
    from not_so_clevr.benchmark.options import RunOptions


@contextlib.contextmanager
def interruptible(how_to_go_on: Callable[[], str] = lambda: "interrupted.") -> Iterator[None]:
    """Prints a sentence after Ctrl-C, that of the interrupt or else another, and exits with 130."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        print(f"not-so-clevr: {str(interrupt) or how_to_go_on()}", file=sys.stderr)
        raise typer.Exit(130) from None


def follow(
    events: Iterable[object],
    again: str,
    replaced: Sequence[Run] = (),
    options: RunOptions | None = None,
) -> tuple[list[Result], list[str]]:
    """Prints what happens while runs are made; returns their results, and a sentence for each failure.

    Args:
        events: of `benchmark.runner`.
        again: the command that goes on with a run that is interrupted.
        replaced: runs that the command replaces.
        options: of those.
    """
    found, problems, begun = [], [], None
    with interruptible(lambda: _how_to_go_on(begun, again, replaced, options)):
        for event in events:
            match event:
                case Started():
                    begun = event.run
                case Finished():
                    terminal.print_result(event.result)
                    found.append(event.result)
                case Failed():
                    problems.append(event.message)
                case OutOfTime():
                    print(f"{event.run.id}: the time is over; {again} continues it.", flush=True)
    return found, problems


def _how_to_go_on(run: Run | None, again: str, replaced: Sequence[Run], options: RunOptions | None) -> str:
    """Returns which command continues an interrupted run, and which runs are not yet replaced."""
    if run is None:
        return "interrupted before the first run."
    from not_so_clevr.benchmark.run_folder import RunFolder

    folder = options.runs if options and options.runs is not None else ""
    still = [each for each in replaced if each.seed >= run.seed]
    old = [each.seed for each in still if RunFolder(folder, each.id).complete]
    words = [] if run.seed in old else [f"{again} continues it"]
    if old:
        words.append(f"not yet replaced: seed {', '.join(map(str, old))}")
    return f"{run.id} was interrupted; {'; '.join(words)}."
