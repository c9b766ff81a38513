"""`generate`, `export` and `show`: data sets."""

from __future__ import annotations

import functools
import pathlib
from typing import Annotated

import typer

from not_so_clevr import files
from not_so_clevr.benchmark import progress
from not_so_clevr.checks import MissingPackageError, UserError
from not_so_clevr.cli import options, terminal
from not_so_clevr.dataset.config import BEAM_CANVAS_SIZE, as_config
from not_so_clevr.results import tables

_FORMATS = (".png", ".pdf", ".svg")
_BEAM = (
    "Options for Apache Beam, comma-separated. Default: Beam from "
    f"{BEAM_CANVAS_SIZE}x{BEAM_CANVAS_SIZE} pixels on."
)
_DEVICE = "Where to draw. auto: on a GPU if Keras' backend or TensorFlow has one."
_FOLDER = "The folder to make, with train.parquet, test.parquet, README.md and croissant.json."
_PICTURE = f"The picture to write ({', '.join(_FORMATS)}). Default: open a window."

_config = functools.partial(typer.Argument, help=options.CONFIG, autocompletion=options.configs)


def generate(
    configs: Annotated[list[str], _config(metavar="CONFIG...")],
    device: Annotated[str, options.how(metavar="auto|cpu|gpu", help=_DEVICE)] = "auto",
    beam_pipeline_options: Annotated[
        str | None, options.how(metavar="NAME=VALUE", help=_BEAM)
    ] = None,
    data_dir: options.DataDir = None,
) -> None:
    """Generate data sets on disk for tfds.load. Those already there are left unchanged."""
    from not_so_clevr.dataset import generate as generating  # Imports TFDS.

    with terminal.interruptible(), progress.examples(verbose=1) as on_progress:
        builders = generating.generate(
            configs,
            data_dir=data_dir,
            device=device,
            beam_pipeline_options=beam_pipeline_options,
            on_progress=on_progress,
        )
    for builder in builders:
        splits = builder.info.splits.items()
        counts = " and ".join(f"{split.num_examples} {name}" for name, split in splits)
        print(f"{builder.info.full_name}: {counts} examples in {builder.data_dir}")


def export(
    config: Annotated[str, _config(metavar="CONFIG")],
    output: Annotated[pathlib.Path, options.output(metavar="DIR", help=_FOLDER)],
) -> None:
    """Write a data set as Parquet with a card, for Hugging Face's datasets and other tools."""
    from not_so_clevr.dataset import export as exporting

    with terminal.interruptible(), progress.examples(verbose=1) as on_progress:
        folder = exporting.export(config, output, on_progress=on_progress)
    print(f"The data set is in {folder.resolve()}")


def show(
    configs: Annotated[list[str], _config(metavar="CONFIG...")],
    output: Annotated[pathlib.Path | None, options.output(help=_PICTURE)] = None,
) -> None:
    """Show examples and maps of splits: which centres are train and which are test.

    Several configs share one picture.
    """
    checked = [as_config(config) for config in configs]
    if output is not None:
        tables.check_file(output, _FORMATS)
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        pip = "pip install 'not-so-clevr[figures]'"
        raise MissingPackageError(f"Pictures need matplotlib; run: {pip}") from None
    from not_so_clevr.dataset.picture import figure

    picture = figure(*checked)
    if output is not None:
        with files.replacing(output) as temporary:
            picture.savefig(temporary, format=output.suffix[1:], dpi=150)
        print(f"The picture is in {output.resolve()}")
    elif picture.canvas.required_interactive_framework is not None:
        plt.show()
    else:
        instead = f"write a file instead: --output {checked[0].name}.png"
        raise UserError(f"There is no display to open a window on; {instead}")
