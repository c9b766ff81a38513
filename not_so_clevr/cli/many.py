"""`reproduce`, `sweep`, `tune` and `suite`: many runs."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from not_so_clevr import reproduce, results
from not_so_clevr.benchmark import progress
from not_so_clevr.benchmark.events import Failed, Finished
from not_so_clevr.benchmark.options import TUNE_CONFIG, RunOptions
from not_so_clevr.checks import UserError, integer
from not_so_clevr.cli import options, terminal
from not_so_clevr.reproduce import cluster, grids, judging, sweep
from not_so_clevr.results import naming, published, tables, theses
from not_so_clevr.results.experiment import Experiment
from not_so_clevr.results.theses import Thesis

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Run

_SUITES = ", ".join([*published.suite_names(), theses.SUITE, f"{theses.SUITE}/NAME"])
_GRID = f"One of {_SUITES}; or a TOML file, e.g. grid.toml."
_SEEDS = "Run each row with N seeds, 0 to N - 1. Default: its own number, mostly 3."
_BUDGET = "Stop after e.g. 30m or 1h30m; repeat the command to continue."
_ADDRESS = "A Ray cluster, e.g. 10.0.0.1:6379, auto, or local: this machine, as by default."
_CPUS = "CPU cores and threads of each run."
_GPUS = "GPUs of each run; below 1, runs share a GPU."

_CPUS_ON_RAY = "CPU cores and threads of each run on Ray; needs --address. Default: 1."
_GPUS_ON_RAY = "GPUs of each run on Ray, below 1 to share one; needs --address. Default: 0."

_TUNED = "Runs of each point, with seeds 0 to N - 1."
_CHOOSE = "The data set to choose the recipe on."
_SET = "Change the rule or the model; learning_rate is the middle one. Repeatable."
_RECIPE = "The .toml recipe to write. Default: below the folder of runs, rule/TASK/MODEL.toml."
_RAY = "Search on Ray: a cluster, e.g. 10.0.0.1:6379, auto, or local for this machine's cores."

_RECIPES = "One of the model's recipes, or a file of `tune`. Repeatable: each task has its first."
_CHANGE = "Change a setting of the recipe or the model. Repeatable."
_QUICK = "Only interpolation and recombination, with one seed; the full suite goes on from it."
_TRAIN = "Train on Ray: a cluster, e.g. 10.0.0.1:6379, auto, or local for this machine's cores."
_FILES = "Write the files here. Default: below the folder of runs, suite/MODEL."

_LONGEST = naming.LONGEST - len(".toml")

_suite = functools.partial(typer.Argument, autocompletion=theses.suite_names)


def reproduce_published(
    suites: Annotated[list[str], _suite(metavar="GRID...", help=f"Any of {_SUITES}.")],
    rows: options.Rows = None,
    seeds: Annotated[int | None, options.what(metavar="N", help=_SEEDS)] = None,
    budget: Annotated[str | None, options.how(metavar="TIME", help=_BUDGET)] = None,
    only_print: options.OnlyPrint = False,
    data: options.Data = "tfds",
    output: options.Tables = None,
    runs: options.Runs = pathlib.Path("runs"),
    data_dir: options.DataDir = None,
) -> None:
    """Run published experiments and compare the results. Repeat the command to continue."""
    for file in output or []:
        tables.check_file(file)
    of_theses = _theses(suites)
    if seeds is not None:
        seeds = integer("--seeds", seeds, 1, 10_000)
    seconds = None if budget is None else reproduce.seconds(budget)
    if only_print and budget is not None:
        raise UserError(f"--budget {budget} is for runs, and --only-print starts none; omit one.")
    how = RunOptions(data, data_dir, runs, resume=True, verbose=1)
    going = reproduce.run(suites, how, rows=rows or [], seeds=seeds, budget=seconds)
    planned = _print_plan(going, only_print)

    made, failures = terminal.follow([] if only_print else going, "this command", runs)
    complete = [*planned.found, *made]
    if of_theses:
        judgements = reproduce.judge(of_theses, _whole(of_theses, planned), complete)
        terminal.print_judgements(judgements)
        write: Callable[[pathlib.Path], None] = functools.partial(judging.write_table, judgements)
    else:
        measured = reproduce.table(planned.rows, complete)
        terminal.print_reproduction(measured)
        write = functools.partial(reproduce.write_table, measured)
    for file in output or []:
        write(file)
        print(f"The table is in {file.resolve()}")
    terminal.raise_problems(planned.problems, terminal.failed(failures))


def _theses(suites: Sequence[str]) -> list[Thesis]:
    """Returns the theses of some suites. Raises UserError if others are among the suites."""
    chosen = [each for each in theses.theses() if theses.SUITE in suites or each.suite in suites]
    others = [
        name for name in suites if name != theses.SUITE and not name.startswith(f"{theses.SUITE}/")
    ]
    if chosen and others:
        raise UserError(f"{theses.SUITE} and {others[0]} have different tables; run one of them.")
    return chosen


def _whole(of_theses: Iterable[Thesis], planned: reproduce.Planned) -> list[reproduce.Row]:
    """Returns a row for every experiment of some theses, also where --row left some out."""
    known = {row.experiment.id: row for row in planned.rows}
    every = {each.id: each for thesis in of_theses for each in thesis.experiments}
    missing = reproduce.plan([each for key, each in every.items() if key not in known])
    return [*known.values(), *missing]


def sweep_grid(
    grid: Annotated[str, _suite(metavar="GRID", help=_GRID)],
    rows: options.Rows = None,
    seeds: Annotated[int | None, options.what(metavar="N", help=_SEEDS)] = None,
    address: Annotated[str | None, options.how(help=_ADDRESS)] = None,
    cpus_per_run: Annotated[int, options.how(help=_CPUS)] = 1,
    gpus_per_run: Annotated[float, options.how(help=_GPUS)] = 0,
    only_print: options.OnlyPrint = False,
    data: options.Data = "tfds",
    runs: options.Runs = pathlib.Path("runs"),
    data_dir: options.DataDir = None,
) -> None:
    """Run a grid, many runs at once, here or on Ray. Repeat the command to continue."""
    chosen = grids.read(grid)
    if seeds is not None:
        chosen = dataclasses.replace(chosen, seeds=range(integer("--seeds", seeds, 1, 10_000)))
    how = RunOptions(data, data_dir, runs, resume=True, verbose=1)
    going = sweep.run(
        chosen, how, rows=rows or [], address=address, cpus=cpus_per_run, gpus=gpus_per_run
    )
    planned = _print_plan(going, only_print)

    attempts = [] if only_print else _follow(going)
    if not only_print:
        made = [*planned.found, *(each.result for each in attempts if each.result)]
        own = reproduce.runs(planned.rows, made)
        board = results.leaderboard(result for of_row in own for result in of_row)
        terminal.print_leaderboard(board)
        print(f"The runs are in {runs.resolve()}")
    failed = [each for each in attempts if each.result is None]
    _print_failed(failed)
    terminal.raise_problems(planned.problems)
    if failed:
        raise typer.Exit(1)


def tune(
    model: options.Model,
    task: options.Task,
    config: Annotated[
        str, options.what(help=_CHOOSE, autocompletion=options.configs)
    ] = TUNE_CONFIG,
    settings: Annotated[
        list[str] | None, options.what("--set", metavar="NAME=VALUE", help=_SET)
    ] = None,
    seeds: Annotated[int, options.what(metavar="N", help=_TUNED)] = 1,
    address: Annotated[str | None, options.how(help=_RAY)] = None,
    cpus_per_run: Annotated[int | None, options.how(help=_CPUS_ON_RAY)] = None,
    gpus_per_run: Annotated[float | None, options.how(help=_GPUS_ON_RAY)] = None,
    data: options.Data = "tfds",
    output: Annotated[pathlib.Path | None, options.output(help=_RECIPE)] = None,
    runs: options.Runs = pathlib.Path("runs"),
    data_dir: options.DataDir = None,
) -> None:
    """Find a recipe: 3 learning rates x 3 weight decays. Repeat the command to continue."""
    seeds = integer("--seeds", seeds, 1, 10_000)
    cpus, gpus = _resources(address, cpus_per_run, gpus_per_run)
    changed = naming.read_all(settings or [])
    how = RunOptions(data, data_dir, runs, resume=True, verbose=1)
    from not_so_clevr.benchmark import runner, searches, tuning

    points = tuning.points(model, task=task, config=config, settings=changed)
    label = naming.shortened(naming.label(model, naming.changed("", changed)), _LONGEST)
    file = tuning.check_file(output or runs / searches.NAME / task / f"{label}.toml")
    tuning.search(points, seeds, changed, [], {}).check_replaces(file)
    if address is None:
        todo = tuning.every_seed(points, seeds)
        made, failures = terminal.follow(runner.train(todo, how, wait=True), "this command", runs)
    else:
        made, failures = _on_ray(points, seeds, how, address, cpus, gpus)

    search = tuning.search(points, seeds, changed, made, failures)
    terminal.print_search(search)
    search.write(file)
    print(f"The recipe is in {file.resolve()}, the search in {file.with_suffix('.json').name}")
    terminal.raise_problems([], terminal.failed(failures))


def suite(
    model: options.Model,
    recipe: Annotated[
        list[str] | None, options.what(help=_RECIPES, autocompletion=options.recipes)
    ] = None,
    settings: Annotated[
        list[str] | None, options.what("--set", metavar="NAME=VALUE", help=_CHANGE)
    ] = None,
    quick: Annotated[bool, options.what("--quick", help=_QUICK)] = False,
    address: Annotated[str | None, options.how(help=_TRAIN)] = None,
    cpus_per_run: Annotated[int | None, options.how(help=_CPUS_ON_RAY)] = None,
    gpus_per_run: Annotated[float | None, options.how(help=_GPUS_ON_RAY)] = None,
    data: options.Data = "tfds",
    output: Annotated[pathlib.Path | None, options.folder("--output", "-o", help=_FILES)] = None,
    runs: options.Runs = pathlib.Path("runs"),
    data_dir: options.DataDir = None,
) -> None:
    """Profile a model: every task x interpolation, recombination and so on. Repeat to continue."""
    cpus, gpus = _resources(address, cpus_per_run, gpus_per_run)
    changed = naming.read_all(settings or [])
    how = RunOptions(data, data_dir, runs, resume=True, verbose=1)
    pages = options.import_report("Profiles")
    from not_so_clevr.benchmark import protocol

    planned = protocol.plan(model, recipes=recipe or [], settings=changed, quick=quick)
    folder = output or runs / "suite" / planned.label
    pages.check_profile_folder(folder, planned.runs[0].model.name)
    terminal.print_suite(planned)
    failures: dict[str, str] = {}
    if address is not None:
        _, failures = _on_ray(planned.runs, planned.seeds, how, address, cpus, gpus)
    made, others = terminal.follow(protocol.make(planned, how, failures), "this command", runs)

    failures |= others
    if made:
        profile = planned.profile(made, failures)
        near = results.nearest(profile)
        with terminal.interruptible(lambda: "interrupted; this command writes the files again."):
            terminal.print_profile(profile, near)
            pages.write_profile(folder, profile, near, planned.command, runs)
        print(f"report.html, radar, profile.tex and appendix.tex are in {folder.resolve()}")
    terminal.raise_problems([], terminal.failed(failures))


def _resources(address: str | None, cpus: int | None, gpus: float | None) -> tuple[int, float]:
    """Returns the CPUs and GPUs of each run.

    Raises:
        UserError: if they are given without Ray, or the address is none.
        OSError: if nothing answers there.
    """
    for option, value in (("--cpus-per-run", cpus), ("--gpus-per-run", gpus)):
        if address is None and value is not None:
            raise UserError(f"{option} {value:g} is for Ray; add --address, e.g. --address local.")
    cluster.check_address(address)
    return 1 if cpus is None else cpus, 0 if gpus is None else gpus


def _on_ray(
    points: Sequence[Run], seeds: int, how: RunOptions, address: str, cpus: int, gpus: float
) -> tuple[list[results.Result], dict[str, str]]:
    """Makes runs on Ray; returns the results, and why others failed by run id."""
    experiments = [
        Experiment(
            run.task.name,
            run.config.name,
            run.model.name,
            run.file or run.chosen,
            settings=run.settings,
        )
        for run in points
    ]
    grid = grids.Grid("this command", experiments, range(seeds))
    going = sweep.run(grid, how, address=address, cpus=cpus, gpus=gpus)
    planned = _print_plan(going, only_print=False)
    attempts = _follow(going)

    made = [*planned.found, *(each.result for each in attempts if each.result)]
    own = [result for of_row in reproduce.runs(planned.rows, made) for result in of_row]
    return own, {each.run.id: each.failure for each in attempts if each.result is None}


def _print_plan(going: Iterator[object], only_print: bool) -> reproduce.Planned:
    """Prints and returns the plan, which is the first event."""
    planned = next(going)
    assert isinstance(planned, reproduce.Planned)
    terminal.print_left(planned.left, planned.seconds, only_print)
    return planned


def _follow(going: Iterable[object]) -> Sequence[sweep.Attempt]:
    """Prints the events of a sweep, and a live table of its runs; returns all attempts."""
    attempts: Sequence[sweep.Attempt] = []

    def how_to_continue() -> str:
        left = sum(not each.over for each in attempts)
        return f"interrupted; the same command continues with {terminal.counted(left)}."

    show: Callable[..., None] | None = None
    with terminal.interruptible(how_to_continue), contextlib.ExitStack() as stack:
        for event in going:
            match event:
                case sweep.Going(attempts=attempts, slots=slots):
                    show = show or stack.enter_context(progress.live())
                    show(lambda: terminal.sweep_table(attempts, slots))
                case Finished():
                    terminal.print_result(event.result)
                case Failed():
                    again = "; trying again" if event.again else ""
                    message = tables.plain(event.message, keep=terminal.WHITE)
                    print(f"{event.run.id} failed: {message}{again}", flush=True)
    return attempts


def _print_failed(attempts: Iterable[sweep.Attempt]) -> None:
    for each in attempts:
        failure = f"{each.run.id} failed {each.number} times: {each.failure}"
        end = textwrap.indent(each.end(), "    ")
        text = f"not-so-clevr: {failure}\nThe end of its log, {each.log}:\n{end}"
        print(tables.plain(text, keep=terminal.WHITE), file=sys.stderr)
