"""`generate` and `show`: data sets."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

from not_so_clevr import files
from not_so_clevr.benchmark import progress
from not_so_clevr.checks import MissingPackageError, UserError
from not_so_clevr.cli import events, options
from not_so_clevr.dataset import generate as generating
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.not_so_clevr_dataset_builder import BEAM_CANVAS_SIZE
from not_so_clevr.results import tables

_FORMATS = (".png", ".pdf", ".svg")
_BEAM = (
    "Options of Apache Beam, as `tfds build` takes them; docs/large.md has some. "
    f"Canvases from {BEAM_CANVAS_SIZE} pixels on are generated with Beam, smaller ones only if "
    "options are given."
)
_DEVICE = "What draws the canvases: auto is the GPU if Keras' backend or TensorFlow has one."
_PICTURE = f"The picture to write, {', '.join(_FORMATS)}; if not given, a window opens."


def generate(
    configs: Annotated[list[str], typer.Argument(metavar="CONFIG...", help=options.CONFIG)],
    data_dir: options.DataDir = None,
    beam_pipeline_options: Annotated[
        str | None,
        typer.Option(metavar="OPTION=VALUE,...", help=_BEAM),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|gpu", help=_DEVICE)] = "auto",
) -> None:
    """Generate data sets on disk, for tfds.load to read. What is there already stays as it is."""
    with events.interruptible(), progress.generation(verbose=1) as on_progress:
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


def show(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help=options.CONFIG)],
    output: Annotated[pathlib.Path | None, options.output(help=_PICTURE)] = None,
) -> None:
    """Show some examples, and the map of the split: which centres are train and which are test."""
    checked = as_config(config)
    if output is not None:
        tables.check_file(output, _FORMATS)
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        pip = "pip install 'not-so-clevr[figures]'"
        raise MissingPackageError(f"Pictures need matplotlib; run: {pip}") from None
    from not_so_clevr.dataset.picture import figure

    picture = figure(checked)
    if output is None and picture.canvas.required_interactive_framework is None:
        raise UserError(f"There is no display to open a window on; write a file instead: --output {checked.name}.png")
    if output is None:
        plt.show()
        return
    with files.replacing(output) as temporary:
        picture.savefig(temporary, format=output.suffix[1:], dpi=150)
    print(f"The picture is in {output.resolve()}")
