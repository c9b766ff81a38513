"""The `not-so-clevr` command. Bad input prints one sentence and exits with status 2."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

import not_so_clevr
from not_so_clevr.checks import UserError
from not_so_clevr.cli import data, many, results, training
from not_so_clevr.dataset import quiet

__all__ = ["main"]


def _examples(*arguments: str) -> str:
    """Returns the last lines of a help text: commands to paste."""
    return "\n\n".join(["Examples:", *(f"not-so-clevr {each}" for each in arguments)])


_EXAMPLES = _examples("train coordconv --task regression --config quadrant", "leaderboard runs/")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, epilog=_EXAMPLES)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Can a network turn a coordinate into a pixel, and a pixel into a coordinate?"""
    if version:
        print(f"not-so-clevr {not_so_clevr.__version__}")
        raise typer.Exit


def _add(name: str, command: Callable[..., None], *examples: str) -> None:
    app.command(name, epilog=_examples(*examples))(command)


_add("generate", data.generate, "generate quadrant uniform_32", "generate quadrant_48 --device cpu")
_add("show", data.show, "show quadrant", "show uniform_32 --output uniform_32.png")
_add(
    "train",
    training.train,
    "train coordconv --task regression --config quadrant --seeds 3",
    "train my_models:build --task rendering --config uniform",
)
_add("list", training.list_models, "list")
_add(
    "reproduce",
    many.reproduce_published,
    "reproduce article --row 'regression/*' --budget 30m",
    "reproduce article paper failures --only-print",
)
_add(
    "sweep",
    many.sweep_grid,
    "sweep paper_coordconv_regression --only-print",
    "sweep grid.toml --seeds 5 --cpus-per-run 2",
)
_add("leaderboard", results.leaderboard, "leaderboard runs/", "leaderboard runs/ -o board.csv")
_add("report", results.report, "report runs/ -o report.html", "report runs/ -o a.html --figures a/")


def main() -> None:
    """Runs the command line."""
    quiet.hide_log()  # It would break up the bars.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # Default with AVX-512; helps others too.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Names may have letters that a terminal lacks.
    try:
        app(prog_name="not-so-clevr")
    except (UserError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.strerror:
            message = f"{error.filename}: {error.strerror}."
        print(f"not-so-clevr: {message}", file=sys.stderr)
        sys.exit(2)
