"""Generating data sets on disk, with progress."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow_datasets as tfds

from not_so_clevr.dataset import quiet
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder, import_beam

Progress = Callable[[str, int, int], object]  # Config name, examples done, examples in total


def generate(
    configs: Iterable[str | NotSoClevrConfig],
    *,
    data_dir: str | pathlib.Path | None = None,
    device: str | None = None,
    beam_pipeline_options: str | None = None,
    on_progress: Progress = lambda name, done, total: None,
) -> list[Builder]:
    """Generates the data sets that do not exist yet, and returns a builder for each config.

    Silences the log messages and bars of TFDS and Beam meanwhile.

    Args:
        configs: configs or their names.
        data_dir: the TFDS data folder.
        device: what draws the canvases: "auto", "cpu" or "gpu".
        beam_pipeline_options: options of Apache Beam, as for `tfds build`.
        on_progress: called with the config name, and the number of examples done and in total.

    Raises:
        UserError: if a config, the device or a Beam option is unknown.
        MissingPackageError: if Beam is needed and not installed.
        OSError: if a data set cannot be written or is damaged.
        KeyboardInterrupt: naming the data set that was interrupted.
    """
    builders = [Builder(config=config, data_dir=data_dir, device=device) for config in configs]
    with quiet.logs():
        _generate_all(builders, beam_pipeline_options, on_progress)
    return builders


def _generate_all(
    builders: list[Builder], beam_pipeline_options: str | None, on_progress: Progress
) -> None:
    """Generates the data sets that do not exist yet."""
    download_config = tfds.download.DownloadConfig(try_download_gcs=False)
    if builders and beam_pipeline_options is not None:
        beam = import_beam(builders[0].builder_config.name)
        download_config.beam_options = beam.options(beam_pipeline_options)
    missing = [builder for builder in builders if not builder.data_path.exists()]
    for builder in missing:
        if builder.with_beam:
            import_beam(builder.builder_config.name)
    if missing:
        quiet.import_tensorflow()  # Now: what it may still print would break up the bars.

    for builder in builders:
        _generate(builder, download_config, on_progress)


def _generate(builder: Builder, download_config: Any, on_progress: Progress) -> None:
    """Generates a data set unless it exists."""
    name, total = builder.builder_config.name, builder.builder_config.num_examples
    done = 0

    def count(examples: int) -> None:
        nonlocal done
        done += examples
        on_progress(name, done, total)

    count(0)
    builder.on_progress = count
    try:
        builder.verify()  # If it is there
        builder.download_and_prepare(download_config=download_config)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{name} was interrupted and nothing was kept; run the same command to start again."
        ) from None
    on_progress(name, total, total)
