"""Generating data sets on disk, with progress."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow_datasets as tfds

from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder, import_beam

Progress = Callable[[str, int, int], object]  # Name of the config, examples that are done, of all


def generate(
    configs: Iterable[str | NotSoClevrConfig],
    *,
    data_dir: str | pathlib.Path | None = None,
    device: str | None = None,
    beam_pipeline_options: str | None = None,
    on_progress: Progress = lambda name, done, total: None,
) -> list[Builder]:
    """Generates the data sets that are not there yet, quietly, and leaves the others as they are.

    Silences the log messages and bars of TFDS and Beam for the rest of the process.

    Args:
        configs: configs or their names.
        data_dir: the folder of TFDS' data sets.
        device: what draws the canvases: "auto", "cpu" or "gpu".
        beam_pipeline_options: options of Apache Beam, as `tfds build` takes them.
        on_progress: called with the name of a data set, how many of its examples are done, and how
            many it has.

    Returns:
        The builder of each.

    Raises:
        UserError: one sentence, if a config, the device or an option of Beam is unknown.
        MissingPackageError: one sentence, if Beam is needed and not installed.
        OSError: one sentence, if a data set cannot be written or is damaged.
        KeyboardInterrupt: one sentence that names the data set that was interrupted.
    """
    builders = [Builder(config=config, data_dir=data_dir, device=device) for config in configs]
    for name in ("absl", "apache_beam", "root"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    tfds.disable_progress_bar()

    download_config = tfds.download.DownloadConfig(try_download_gcs=False)
    if beam_pipeline_options is not None:
        beam = import_beam(builders[0].builder_config.name)
        download_config.beam_options = beam.options(beam_pipeline_options)
    missing = [builder for builder in builders if not builder.data_path.exists()]
    for builder in missing:
        if builder.with_beam:
            import_beam(builder.builder_config.name)
    if missing:
        importlib.import_module("tensorflow")  # Its log messages would break into a bar.

    for builder in builders:
        _generate(builder, download_config, on_progress)
    return builders


def _generate(builder: Builder, download_config: Any, on_progress: Progress) -> None:
    """Generates one data set unless it is there."""
    name, total = builder.builder_config.name, builder.builder_config.num_examples
    done = 0

    def count(examples: int) -> None:
        nonlocal done
        done += examples
        on_progress(name, done, total)

    count(0)
    builder.on_progress = count
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS tells of a download; there is none.
            builder.download_and_prepare(download_config=download_config)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{name} was interrupted; nothing of it was kept, and the same command begins it anew."
        ) from None
    on_progress(name, total, total)
