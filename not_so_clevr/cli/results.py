"""`leaderboard` and `report`: the results of runs."""

from __future__ import annotations

import pathlib
from typing import Annotated

from not_so_clevr import files, results
from not_so_clevr.checks import MissingPackageError
from not_so_clevr.cli import options, terminal
from not_so_clevr.results import tables


def leaderboard(folders: options.Folders, output: options.Tables = None) -> None:
    """Print the leaderboard of runs: models x tasks x splits, over seeds; and published results."""
    for file in output or []:
        tables.check_file(file)
    found, problems = results.load(folders)
    terminal.print_leaderboard(found)
    terminal.print_published()
    for file in output or []:
        results.write_leaderboard(results.leaderboard(found), file)
        print(f"The leaderboard is in {file.resolve()}")
    terminal.raise_problems(problems)


def report(
    folders: options.Folders,
    output: Annotated[pathlib.Path, options.output(help="The .html page to write or replace.")],
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
    pages.write(output, found, folders)
    print(f"The report is in {output.resolve()}")
    if figures is not None:
        pages.write_figures(figures, found)
        print(f"The figures are in {figures.resolve()}")
    terminal.raise_problems(problems)
