"""The `not-so-clevr` command. Bad input prints one sentence and exits with status 2."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import logging
import pathlib
import sys
from typing import Annotated

import rich.console
import rich.progress
import tensorflow_datasets as tfds
import typer

import not_so_clevr
from not_so_clevr import disk
from not_so_clevr.not_so_clevr_dataset_builder import CONFIGS, Builder, as_config

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_FORMATS = (".png", ".pdf", ".svg")
_CONFIG = f"One of {', '.join(config.name for config in CONFIGS)}, or any other, such as quadrant_48."


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        print(f"not-so-clevr: {error}", file=sys.stderr)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Can a network turn a coordinate into a pixel, and a pixel into a coordinate?"""
    if version:
        print(f"not-so-clevr {not_so_clevr.__version__}")
        raise typer.Exit


@app.command()
def generate(
    configs: Annotated[list[str], typer.Argument(metavar="CONFIG...", help=_CONFIG)],
    data_dir: Annotated[
        pathlib.Path | None,
        typer.Option(help="The folder of TFDS' data sets; if not given, TFDS_DATA_DIR or ~/tensorflow_datasets."),
    ] = None,
) -> None:
    """Generate data sets on disk, for tfds.load to read. What is there already stays as it is."""
    folder = data_dir.expanduser() if data_dir else None
    builders = [Builder(config=config, data_dir=folder) for config in configs]
    if not all(builder.data_path.exists() for builder in builders):
        importlib.import_module("tensorflow")  # Its log messages would break into the bar.
    with _progress() as progress:
        for builder in builders:
            examples = sum(map(len, builder.builder_config.split_centres().values()))
            task = progress.add_task(builder.builder_config.name, total=examples)
            builder.on_progress = functools.partial(progress.advance, task)
            with contextlib.redirect_stdout(io.StringIO()):  # TFDS tells of a download; there is none.
                builder.download_and_prepare()
            progress.update(task, completed=examples)
            counts = " and ".join(f"{split.num_examples} {name}" for name, split in builder.info.splits.items())
            print(f"{builder.info.full_name}: {counts} examples in {builder.data_dir}")


@app.command()
def show(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help=_CONFIG)],
    output: Annotated[
        pathlib.Path | None,
        typer.Option("--output", "-o", help=f"The picture to write, {', '.join(_FORMATS)}; if not given, a window opens."),
    ] = None,
) -> None:
    """Show some examples, and the map of the split: which centres are train and which are test."""
    checked = as_config(config)
    if output is not None and output.suffix not in _FORMATS:
        raise ValueError(f"--output {output} does not tell the format; expected a name that ends in {', '.join(_FORMATS)}.")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("Pictures need matplotlib; run: pip install 'not-so-clevr[figures]'") from None
    from not_so_clevr.show import figure

    picture = figure(checked)
    if output is None and picture.canvas.required_interactive_framework is None:
        raise ValueError(f"There is no display to open a window on; write a file instead: --output {checked.name}.png")
    if output is None:
        plt.show()
    else:
        with disk.replacing(output) as temporary:
            picture.savefig(temporary, format=output.suffix[1:], dpi=150)
        print(f"The picture is in {output.resolve()}")


def _progress() -> rich.progress.Progress:
    """Returns a bar on standard error with what, how far and how long still; TFDS shows none then."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    console = rich.console.Console(stderr=True)
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("examples,"),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )
