"""Options that several commands share, and what a shell completes for them without Keras."""

from __future__ import annotations

import contextlib
import functools
import pathlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from not_so_clevr import files
from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.options import DATA
from not_so_clevr.checks import MissingPackageError, UserError
from not_so_clevr.dataset import tasks
from not_so_clevr.dataset.config import CONFIGS
from not_so_clevr.dataset.splits import SPLITS

TASKS = list(tasks.TASKS)
CONFIG = (
    f"A split: {', '.join(SPLITS[:-1])} or {SPLITS[-1]}. What differs from the default "
    "follows: quadrant_48, rows_48x80_disc9, uniform_test50_seed1."
)


def path(text: str) -> pathlib.Path:
    """Returns a local path with ~ expanded. Raises typer.BadParameter for any other."""
    with _as_parameter():
        return files.expanded(text)


def path_of_data(text: str) -> pathlib.Path | str:
    """Returns a data folder, which may be remote for TFDS: gs://bucket/data."""
    with _as_parameter():
        return files.data_folder(text)


@contextlib.contextmanager
def _as_parameter() -> Iterator[None]:
    """Makes typer name the parameter that a UserError is about."""
    try:
        yield
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def configs() -> list[str]:
    return [config.name for config in CONFIGS]


def recipes(ctx: typer.Context) -> list[str]:
    words = [ctx.params.get("model"), *ctx.args]  # An option without a value leaves it unparsed.
    return sorted(name for word in words if word for name in registry.recipe_names(word))


def import_report(who: str) -> Any:
    """Returns `not_so_clevr.report`. Raises MissingPackageError if what it needs is missing."""
    try:
        from not_so_clevr import report
    except ImportError:
        pip = "pip install 'not-so-clevr[figures]'"
        raise MissingPackageError(f"{who} need matplotlib and Jinja2; run: {pip}") from None
    return report


what = functools.partial(typer.Option, rich_help_panel="What to run")
shown = functools.partial(typer.Option, rich_help_panel="What to show")
how = functools.partial(typer.Option, rich_help_panel="How to run it")
where = functools.partial(typer.Option, rich_help_panel="Files and folders")
folder = functools.partial(where, parser=path, metavar="DIR")
output = functools.partial(where, "--output", "-o", parser=path, metavar="FILE")

_ROWS = "Only these rows: an id, or a pattern with *. Repeatable."
_ONLY_PRINT = "Start no run; list those to do, and how long they take."
_DATA = "Read the examples from disk, or draw them in memory, without TensorFlow."
_DATA_DIR = "Where TFDS keeps data sets. Default: TFDS_DATA_DIR or ~/tensorflow_datasets."
_TABLES = "Also write the table to this file: .md, .csv or .json. Repeatable."

_ONLY = "Only {}, or those that match a pattern with *. Repeatable."
_NO_REFERENCE = "Leave out the reference results for the same tasks and configs."

_MODEL = "A name from `not-so-clevr list`, or a path: my_pkg.my_module:build."
_TASK = f"{', '.join(TASKS[:-1])} or {TASKS[-1]}."

Model = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL, autocompletion=registry.names)]
Task = Annotated[str, what(help=_TASK, autocompletion=lambda: TASKS)]
Rows = Annotated[list[str] | None, what("--row", metavar="ID", help=_ROWS)]
OnlyPrint = Annotated[bool, how("--only-print", help=_ONLY_PRINT)]
Data = Annotated[str, how(metavar="|".join(DATA), help=_DATA, autocompletion=lambda: list(DATA))]
DataDir = Annotated[pathlib.Path | None, where(parser=path_of_data, metavar="DIR", help=_DATA_DIR)]
Runs = Annotated[pathlib.Path, folder(help="The folder of all runs.")]
Tables = Annotated[list[pathlib.Path] | None, output(help=_TABLES)]
OnlyTasks = Annotated[
    list[str] | None,
    shown("--task", metavar="TASK", help=_ONLY.format("this task"), autocompletion=lambda: TASKS),
]
OnlyConfigs = Annotated[
    list[str] | None,
    shown("--config", metavar="CONFIG", help=_ONLY.format("this config"), autocompletion=configs),
]
OnlyModels = Annotated[
    list[str] | None, shown("--model", metavar="MODEL", help=_ONLY.format("this model"))
]
NoReference = Annotated[bool, shown("--no-reference", help=_NO_REFERENCE)]
Folders = Annotated[
    list[pathlib.Path],
    typer.Argument(parser=path, metavar="DIR...", help="Folders with runs, or .jsonl files."),
]
