"""`reproduce` and `sweep`: many runs."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer

from not_so_clevr import reproduce
from not_so_clevr.benchmark import progress
from not_so_clevr.benchmark.events import Failed, Finished
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import integer
from not_so_clevr.cli import events, options, terminal
from not_so_clevr.reproduce import grids, sweep
from not_so_clevr.results import published, tables

_NAMES = ", ".join(published.suites())
_SEEDS = "How many runs of each row, with seeds 0, 1, ... The table has those of other seeds, too."
_GRID_SEEDS = "How many runs of each row, with seeds 0, 1, ...; if not given, as the file says, or 3."
_BUDGET = "Stop after this time, such as 30m or 1h30m; run again to go on."
_ONLY_PRINT = "Run nothing: list what would run and how long it takes"
_ADDRESS = "Of a Ray cluster, such as 10.0.0.1:6379, or auto; if not given, this machine."


def reproduce_published(
    suites: Annotated[list[str], typer.Argument(metavar="SUITE...", help=f"Any of {_NAMES}.")],
    rows: options.Rows = None,
    seeds: Annotated[int, typer.Option(help=_SEEDS)] = 3,
    budget: Annotated[str | None, typer.Option(help=_BUDGET)] = None,
    only_print: Annotated[
        bool,
        typer.Option("--only-print", help=f"{_ONLY_PRINT}, and what there is."),
    ] = False,
    runs: options.Runs = pathlib.Path("runs"),
    output: Annotated[
        list[pathlib.Path] | None,
        options.output(help="Write the table too: .md, .csv or .json. Can be repeated."),
    ] = None,
    data: options.Data = "tfds",
    data_dir: options.DataDir = None,
) -> None:
    """Run what was published, seed by seed, and set what comes out beside it. Goes on where it was interrupted."""
    for file in output or []:
        tables.check_file(file)
    seeds = integer("--seeds", seeds, 1, 10_000)
    seconds = None if budget is None else reproduce.seconds(budget)
    how = RunOptions(data, data_dir, runs, resume=True, verbose=1)
    going = reproduce.run(suites, how, rows=rows or [], seeds=seeds, budget=seconds)
    planned = next(going)
    assert isinstance(planned, reproduce.Planned)
    terminal.print_left(planned.left, planned.seconds, only_print)

    made, failures = events.follow([] if only_print else going, "this command")
    measured = reproduce.table(planned.rows, [*planned.found, *made])
    terminal.print_reproduction(measured)
    for file in output or []:
        reproduce.write_table(measured, file)
        print(f"The table is in {file.resolve()}")
    terminal.tell(planned.problems, failures)


def sweep_grid(
    grid: Annotated[
        str,
        typer.Argument(metavar="GRID", help=f"One of {_NAMES}; or a file such as grid.toml."),
    ],
    rows: options.Rows = None,
    seeds: Annotated[int | None, typer.Option(help=_GRID_SEEDS)] = None,
    only_print: Annotated[bool, typer.Option("--only-print", help=f"{_ONLY_PRINT}.")] = False,
    runs: options.Runs = pathlib.Path("runs"),
    address: Annotated[str | None, typer.Option(help=_ADDRESS)] = None,
    cpus_per_run: Annotated[int, typer.Option(help="Cores for each run, and so threads.")] = 1,
    gpus_per_run: Annotated[
        float,
        typer.Option(help="GPUs for each run; less than 1 to share one."),
    ] = 0,
    data: options.Data = "tfds",
    data_dir: options.DataDir = None,
) -> None:
    """Run a grid, many runs at once, on this machine or on a Ray cluster. Goes on where it was interrupted."""
    chosen = grids.read(grid)
    if seeds is not None:
        seeds = integer("--seeds", seeds, 1, 10_000)
        chosen = dataclasses.replace(chosen, seeds=range(seeds))
    how = RunOptions(data, data_dir, runs, resume=True, verbose=1)
    going = sweep.run(
        chosen,
        how,
        rows=rows or [],
        address=address,
        cpus=cpus_per_run,
        gpus=gpus_per_run,
    )
    planned = next(going)
    assert isinstance(planned, reproduce.Planned)
    terminal.print_left(planned.left, planned.seconds, only_print)

    if not only_print:
        _print_sweep(planned, _follow(going), runs)
    terminal.tell(planned.problems)


def _print_sweep(planned: reproduce.Planned, attempts: Sequence[sweep.Attempt], runs: pathlib.Path) -> None:
    """Prints what a sweep has come to. Exits with status 1 if runs failed."""
    made = [*planned.found, *(each.result for each in attempts if each.result)]
    own = reproduce.runs(planned.rows, made)
    terminal.print_leaderboard([result for of_row in own for result in of_row])
    print(f"The runs are in {runs.resolve()}")

    failed = [each for each in attempts if each.result is None]
    for each in failed:
        end = textwrap.indent(each.end(), "    ")
        words = f"{each.run.id} failed {each.number} times: {each.failure}"
        print(f"not-so-clevr: {words}", file=sys.stderr)
        print(f"Its log is {each.log}, and ends so:\n{end}", file=sys.stderr)
    terminal.tell(planned.problems)
    if failed:
        raise typer.Exit(1)


def _follow(going: Iterable[object]) -> Sequence[sweep.Attempt]:
    """Prints what happens in a sweep, and shows the runs that go on; returns all its attempts."""
    attempts: Sequence[sweep.Attempt] = []

    def how_to_go_on() -> str:
        left = sum(not each.over for each in attempts)
        return f"the sweep was interrupted; the same command goes on with {left} runs."

    show: Callable[..., None] | None = None
    with events.interruptible(how_to_go_on), contextlib.ExitStack() as stack:
        for event in going:
            match event:
                case sweep.Going(attempts=attempts, slots=slots):
                    show = show or stack.enter_context(progress.live())
                    show(lambda: terminal.sweep_table(attempts, slots))
                case Finished():
                    terminal.print_result(event.result)
                case Failed():
                    again = "; it is tried again" if event.again else ""
                    print(f"{event.run.id} failed: {event.message}{again}", flush=True)
    return attempts
