"""The `not-so-clevr` command. Bad input prints one sentence and exits with status 2."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

import not_so_clevr
from not_so_clevr.checks import UserError
from not_so_clevr.cli import data, many, results, training

__all__ = ["main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Can a network turn a coordinate into a pixel, and a pixel into a coordinate?"""
    if version:
        print(f"not-so-clevr {not_so_clevr.__version__}")
        raise typer.Exit


app.command()(data.generate)
app.command()(training.train)
app.command("reproduce")(many.reproduce_published)
app.command("sweep")(many.sweep_grid)
app.command("list")(training.list_models)
app.command()(results.leaderboard)
app.command()(results.report)
app.command()(data.show)


def main() -> None:
    """Runs the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's log would break into bars.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # As with AVX-512; other CPUs gain more.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A terminal may lack letters of a name.
    try:
        app()
    except (UserError, OSError) as error:
        worded = str(error)
        if isinstance(error, OSError) and error.strerror:
            worded = f"{error.filename}: {error.strerror}."
        print(f"not-so-clevr: {worded}", file=sys.stderr)
        sys.exit(2)
