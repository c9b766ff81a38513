"""`leaderboard`, `compare`, `report`, `verify` and `figure errors`: the results of runs."""

from __future__ import annotations

import functools
import pathlib
from typing import Annotated

import typer

from not_so_clevr import files, results
from not_so_clevr.benchmark import registry
from not_so_clevr.checks import UserError
from not_so_clevr.cli import options, terminal
from not_so_clevr.results import tables

_MODEL = "Labels of the leaderboard, e.g. coordconv or my_models.build."
_ONE = "A label of the leaderboard, e.g. coordconv or my_models.build."
_FOLDERS = "Folders with runs, or .jsonl files. Default: runs, if it is there."
_OUTPUT = "The .pdf or .png figure to write or replace."
_RUNS = "The folder of all runs. Default: runs, if it is there."
_WIDTH = "Inches: about 3.3 for a column of a paper, 7 for a page."

_PLACE = "A submission: its folder, or its results.jsonl. Or a folder with runs."
_SEED = "Train this seed of each row again. Default: one without weights, drawn at random."
_EVERY = "Train all seeds again."
_AGAIN = "Keep the runs that are trained again here; repeat the command to continue them."
_RECORDS = "Once nothing differs, write the results to this .jsonl file, for a submission."

_model = functools.partial(typer.Argument, autocompletion=registry.names)


def leaderboard(
    folders: options.Folders,
    task: options.OnlyTasks = None,
    config: options.OnlyConfigs = None,
    model: options.OnlyModels = None,
    no_reference: options.NoReference = False,
    output: options.Tables = None,
) -> None:
    """Print the leaderboard of your runs beside the reference results and published ones."""
    for file in output or []:
        tables.check_file(file)
    found, problems = results.load(folders)
    patterns = {"task": task or [], "config": config or [], "model": model or []}
    with terminal.telling(problems):
        rows = results.leaderboard(*results.select(found, patterns, not no_reference))
        terminal.print_leaderboard(rows)
        terminal.print_elsewhere(rows)
        for file in output or []:
            results.write_leaderboard(rows, file)
            print(f"The leaderboard is in {file.resolve()}")


def compare(
    first: Annotated[str, _model(metavar="A", help=_ONE)],
    second: Annotated[str, _model(metavar="B", help="That of another model.")],
    folders: Annotated[
        list[pathlib.Path] | None,
        typer.Argument(parser=options.path, metavar="[DIR...]", help=_FOLDERS),
    ] = None,
    no_reference: options.NoReference = False,
) -> None:
    """Test whether model A is better than B: exact paired tests over seeds and examples."""
    places = folders or [pathlib.Path("runs")]
    found, problems = results.load([each for each in places if folders or each.exists()], none=True)
    others = [] if no_reference else results.reference()
    own = {run.row for run in found}  # Seeds of two rows are no pairs.
    runs = [run.with_examples() if run.label in (first, second) else run for run in found]
    runs += [run for run in others if run.row not in own]
    with terminal.telling(problems):
        terminal.print_comparisons(results.compare(first, second, runs))


def report(
    folders: options.Folders,
    output: Annotated[pathlib.Path, options.output(help="The .html page to write or replace.")],
    task: options.OnlyTasks = None,
    config: options.OnlyConfigs = None,
    model: options.OnlyModels = None,
    no_reference: options.NoReference = False,
    figures: Annotated[
        pathlib.Path | None,
        options.folder(help="Also write each figure into this folder, as PNG and PDF."),
    ] = None,
) -> None:
    """Write a page about runs: leaderboard, maps of errors, learning curves, predictions."""
    pages = options.import_report("Reports")
    tables.check_file(output, pages.FORMATS)
    if figures is not None:
        files.check_folder(figures)

    found, problems = pages.load(folders)
    patterns = {"task": task or [], "config": config or [], "model": model or []}
    with terminal.telling(problems):
        found, reference = results.select(found, patterns, not no_reference)
        pages.write(output, found, folders, reference)
        print(f"The report is in {output.resolve()}")
        if figures is not None:
            pages.write_figures(figures, found)
            print(f"The figures are in {figures.resolve()}")


def verify(
    place: Annotated[pathlib.Path, typer.Argument(parser=options.path, metavar="DIR", help=_PLACE)],
    seed: Annotated[int | None, options.how(help=_SEED)] = None,
    every: Annotated[bool, options.how("--all", help=_EVERY)] = False,
    runs: Annotated[pathlib.Path | None, options.folder(help=_AGAIN)] = None,
    output: Annotated[pathlib.Path | None, options.output(help=_RECORDS)] = None,
) -> None:
    """Measure results again, from weights or by training, and say where they differ (status 1)."""
    if output is not None:
        tables.check_file(output, [".jsonl"])
    from not_so_clevr.benchmark import verification

    found = verification.read(place)
    checks: list[verification.Check] = []
    with terminal.interruptible():
        try:
            for each in verification.check(
                found, place, seed=seed, every=every, runs=runs, verbose=1
            ):
                checks.append(each)
        finally:  # Of a training that is interrupted, what was measured before it
            terminal.print_checks(checks)
    failed = [each.note for each in checks if each.verdict == verification.FAILED]
    terminal.raise_problems([], failed, UserError)  # The code of a submission is input.
    if any(each.verdict == verification.DIFFERENT for each in checks):
        raise typer.Exit(1)
    if output is not None:
        results.write_lines(output, found)
        print(f"The results are in {output.resolve()}")


def errors(
    models: Annotated[list[str], _model(metavar="MODEL...", help=_MODEL)],
    output: Annotated[pathlib.Path, options.output(help=_OUTPUT)],
    config: Annotated[
        str, options.what(help=options.CONFIG, autocompletion=options.configs)
    ] = "quadrant",
    width: Annotated[float, options.how(metavar="INCHES", help=_WIDTH)] = 7.0,
    runs: Annotated[pathlib.Path | None, options.folder(help=_RUNS)] = None,
) -> None:
    """Draw where models are wrong: a row for each model, a column for each task."""
    pages = options.import_report("Figures")
    tables.check_file(output, pages.FIGURE_FORMATS)

    places = [runs or pathlib.Path("runs")]
    found, problems = pages.load([each for each in places if runs or each.exists()], none=True)
    with terminal.telling(problems):
        figure = pages.errors_figure(models, found, config=config, width=width)
        pages.write_figure(figure, output)
        size = " x ".join(f"{inches:.1f}" for inches in figure.get_size_inches())
        print(f"The figure, {size} inches, is in {output.resolve()}")
