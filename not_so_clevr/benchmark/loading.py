"""The data set of a run: read with TFDS, or drawn on demand."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from not_so_clevr.dataset import devices, quiet
from not_so_clevr.dataset.batches import Arrays
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.examples import Drawn, check_memory
from not_so_clevr.dataset.tasks import Task


def check_read(config: NotSoClevrConfig, task: Task) -> None:
    """Raises UserError, one sentence, if a data set read from disk does not fit into memory."""
    pixels = config.num_examples * config.height * config.width
    needed = 2 * pixels * len({task.source, task.target} - {"coordinates"})  # Twice while sorted
    advice = "use data='memory' (--data memory), which draws one batch"
    check_memory(needed, f"{config.name} read from disk", advice)


def load(
    config: NotSoClevrConfig,
    task: Task,
    data: str = "tfds",
    data_dir: str | pathlib.Path | None = None,
) -> Mapping[str, Arrays | Drawn]:
    """Returns the features of `load_arrays` that a task needs, in row-major order.

    Raises:
        OSError: one sentence, if the data set on disk is incomplete.
    """
    centres = config.split_centres()
    if data == "memory":
        return {split: Drawn(some, config) for split, some in centres.items()}
    import tensorflow_datasets as tfds

    devices.leave_gpus()
    features = dict.fromkeys(("label", "coordinates", task.source, task.target), True)
    only = tfds.decode.PartialDecoding(features)
    name = f"not_so_clevr/{config.name}"
    with quiet.logs():
        loaded = tfds.load(name, batch_size=-1, data_dir=data_dir, decoders=only)

    splits: dict[str, Arrays | Drawn] = {}
    for split in ("train", "test"):
        arrays = tfds.as_numpy(loaded[split])
        order = np.argsort(arrays["label"])
        if len(order) != len(centres[split]):
            raise OSError(
                f"{config.name} on disk has {len(order)} of {len(centres[split])} {split} "
                "examples (max_examples_per_split does that); delete it to generate it again."
            )
        splits[split] = {name: values[order] for name, values in arrays.items()}
    return splits
