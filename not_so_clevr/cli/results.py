"""`leaderboard` and `report`: the results of runs."""

from __future__ import annotations

import pathlib
from typing import Annotated

from not_so_clevr import files, results
from not_so_clevr.checks import MissingPackageError
from not_so_clevr.cli import options, terminal
from not_so_clevr.results import tables


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
    rows = results.leaderboard(*results.select(found, patterns, not no_reference))

    terminal.print_leaderboard(rows)
    terminal.print_elsewhere(rows)
    for file in output or []:
        results.write_leaderboard(rows, file)
        print(f"The leaderboard is in {file.resolve()}")
    terminal.raise_problems(problems)


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
    try:
        from not_so_clevr import report as pages
    except ImportError:
        pip = "pip install 'not-so-clevr[figures]'"
        raise MissingPackageError(f"Reports need matplotlib and Jinja2; run: {pip}") from None
    tables.check_file(output, pages.FORMATS)
    if figures is not None:
        files.check_folder(figures)

    found, problems = pages.load(folders)
    patterns = {"task": task or [], "config": config or [], "model": model or []}
    found, reference = results.select(found, patterns, not no_reference)
    pages.write(output, found, folders, reference)
    print(f"The report is in {output.resolve()}")
    if figures is not None:
        pages.write_figures(figures, found)
        print(f"The figures are in {figures.resolve()}")
    terminal.raise_problems(problems)
