"""`figure`: figures for papers."""

from __future__ import annotations

import functools
import pathlib
from typing import Annotated

import typer

from not_so_clevr.benchmark import registry
from not_so_clevr.checks import MissingPackageError
from not_so_clevr.cli import options, terminal
from not_so_clevr.results import tables

_MODEL = "Labels of the leaderboard, e.g. coordconv or my_models.build."
_OUTPUT = "The .pdf or .png figure to write or replace."
_WIDTH = "Inches: about 3.3 for a column of a paper, 7 for a page."

_model = functools.partial(typer.Argument, autocompletion=registry.names)


def errors(
    models: Annotated[list[str], _model(metavar="MODEL...", help=_MODEL)],
    output: Annotated[pathlib.Path, options.output(help=_OUTPUT)],
    config: Annotated[
        str, options.what(help=options.CONFIG, autocompletion=options.configs)
    ] = "quadrant",
    width: Annotated[float, options.how(metavar="INCHES", help=_WIDTH)] = 7.0,
    runs: options.Runs = pathlib.Path("runs"),
) -> None:
    """Draw where models are wrong: a row for each model, a column for each task."""
    try:
        from not_so_clevr import report
    except ImportError:
        pip = "pip install 'not-so-clevr[figures]'"
        raise MissingPackageError(f"Figures need matplotlib and Jinja2; run: {pip}") from None
    tables.check_file(output, report.FIGURE_FORMATS)

    found, problems = report.load([runs], none=True) if runs.exists() else ([], [])
    figure = report.errors_figure(models, found, config=config, width=width)
    report.write_figure(figure, output)
    size = " x ".join(f"{inches:.1f}" for inches in figure.get_size_inches())
    print(f"The figure, {size} inches, is in {output.resolve()}")
    terminal.raise_problems(problems)
