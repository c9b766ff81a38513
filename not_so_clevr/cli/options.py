"""Options that several commands have."""

from __future__ import annotations

import functools
import pathlib
from typing import Annotated

import typer

from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.config import CONFIGS

CONFIG = f"One of {', '.join(config.name for config in CONFIGS)}, or any other, such as quadrant_48."


def path(text: str) -> pathlib.Path:
    """Returns a path with ~ replaced. Raises typer.BadParameter for a remote one."""
    try:
        return files.expanded(text)
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def path_of_data(text: str) -> pathlib.Path | str:
    """Returns a folder of data sets, which for TFDS may be remote: gs://bucket/data."""
    return text if "://" in text else path(text)


folder = functools.partial(typer.Option, parser=path, metavar="DIR")
output = functools.partial(typer.Option, "--output", "-o", parser=path, metavar="FILE")

Data = Annotated[
    str,
    typer.Option(help="tfds, or memory: the same without disk and without TensorFlow."),
]
DataDir = Annotated[
    pathlib.Path | None,
    typer.Option(
        parser=path_of_data,
        metavar="DIR",
        help="The folder of TFDS' data sets; if not given, TFDS_DATA_DIR or ~/tensorflow_datasets.",
    ),
]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        "--row",
        metavar="ID",
        help="Only these rows: an id, or a pattern with *. Can be repeated.",
    ),
]
Runs = Annotated[
    pathlib.Path,
    folder(help="The folder of all runs. Those that are complete are not run again."),
]
Folders = Annotated[
    list[pathlib.Path],
    typer.Argument(parser=path, metavar="DIR...", help="Folders with runs."),
]
