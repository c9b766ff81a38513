"""The data set of a run: read with TFDS, or drawn when it is asked for."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from not_so_clevr.benchmark import environment
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import devices
from not_so_clevr.dataset.batches import Arrays
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.examples import Drawn
from not_so_clevr.dataset.tasks import Task


def check_memory(config: NotSoClevrConfig) -> None:
    """Raises UserError, one sentence, if memory cannot hold a data set that is read from disk."""
    pixels = config.num_examples * config.canvas_size**2
    needed = 2 * pixels  # Canvases or one-hot targets, twice while they are sorted
    there = environment.memory()
    if there is not None and needed > there:
        raise UserError(
            f"{config.name} takes {needed / 1e9:.0f} GB of memory when it is read, and this machine "
            f"has {there / 1e9:.0f} GB; use data='memory' (--data memory), which draws each batch "
            "when it is needed."
        )


def load(
    config: NotSoClevrConfig, task: Task, data: str = "tfds", data_dir: str | pathlib.Path | None = None
) -> Mapping[str, Arrays | Drawn]:
    """Returns what a task needs of what `load_arrays` returns, row-major: read with TFDS, or drawn when it is asked for.

    Raises:
        OSError: one sentence, if the data set on disk is not whole.
    """
    centres = config.split_centres()
    if data == "memory":
        return {split: Drawn(some, config) for split, some in centres.items()}
    import tensorflow_datasets as tfds

    devices.leave_gpus()
    only = tfds.decode.PartialDecoding(dict.fromkeys(("label", *task.features), True))
    loaded = tfds.load(f"not_so_clevr/{config.name}", batch_size=-1, data_dir=data_dir, decoders=only)
    splits: dict[str, Arrays | Drawn] = {}
    for split in ("train", "test"):
        arrays = tfds.as_numpy(loaded[split])
        order = np.argsort(arrays["label"])
        if len(order) != len(centres[split]):
            raise OSError(
                f"{config.name} on disk has {len(order)} of {len(centres[split])} {split} examples, as max_examples_per_split "
                "leaves them; delete it, and it is generated anew."
            )
        splits[split] = {name: values[order] for name, values in arrays.items()}
    return splits
