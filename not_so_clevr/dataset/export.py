"""Data sets as Parquet, for Hugging Face's `datasets` and other readers of Parquet or Croissant.

Nothing here imports TensorFlow or TFDS.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from not_so_clevr import files
from not_so_clevr.dataset import card, png
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.examples import Drawn

_ROWS = 4096  # In a row group, which a reader holds in memory
_DRAWN_BYTES = 16 * 2**20  # Canvases in memory at a time

_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_COORDINATES = pa.list_(pa.int64(), 2)
_FEATURES = {  # "Sequence" is "List" since `datasets` 4, which reads both.
    "image": {"_type": "Image"},
    "one_hot": {"_type": "Image"},
    "label": {"dtype": "int64", "_type": "Value"},
    "coordinates": {
        "feature": {"dtype": "int64", "_type": "Value"},
        "length": 2,
        "_type": "Sequence",
    },
}
_SCHEMA = pa.schema(
    {"image": _IMAGE, "one_hot": _IMAGE, "label": pa.int64(), "coordinates": _COORDINATES},
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def export(
    config: str | NotSoClevrConfig,
    folder: str | os.PathLike[str],
    *,
    on_progress: Callable[[str, int, int], object] = lambda name, done, total: None,
) -> pathlib.Path:
    """Writes a data set into a new folder, which `datasets.load_dataset` reads without a network.

    The folder holds a Parquet file for each split, with the examples of `load_arrays` in the same
    order, the card README.md, and croissant.json. It appears when all of it is complete, and has
    the same bytes every time with the same versions of pyarrow and isal.

    - `image`: a PNG of H x W pixels, a white shape (255) on black (0);
    - `one_hot`: a PNG of H x W pixels, 1 at the pixel of the centre, else 0;
    - `label`: int64, the index of that pixel, row-major;
    - `coordinates`: two int64, the centre (row i, column j) in pixels.

    Args:
        config: a config or its name.
        folder: the folder to make.
        on_progress: called with the config name, and the number of examples done and in total.

    Returns:
        The folder.

    Raises:
        UserError: if the config is unknown, or there is something at `folder`.
        OSError: one sentence, if the folder cannot be written.
        KeyboardInterrupt: naming the data set that was interrupted.
    """
    config = as_config(config)
    try:
        with files.new_folder(folder) as new:
            _export(config, new, on_progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{config.name} was interrupted and nothing was kept; "
            "run the same command to start again."
        ) from None
    return files.expanded(folder)


def _export(
    config: NotSoClevrConfig,
    folder: pathlib.Path,
    on_progress: Callable[[str, int, int], object],
) -> None:
    splits = config.split_centres()
    counts = {split: len(centres) for split, centres in splits.items()}
    done, total = 0, sum(counts.values())
    on_progress(config.name, done, total)

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        nonlocal done
        for batch in batches:
            done += len(batch)
            on_progress(config.name, done, total)
            yield batch

    parquet = {}
    for split, centres in splits.items():
        file = folder / f"{split}.parquet"
        with file.open("wb") as stream, _writer(stream) as writer:
            for start in range(0, len(centres), _ROWS):
                group = Drawn(centres[start : start + _ROWS], config)
                writer.write_table(pa.Table.from_batches(counted(_batches(group))))
        parquet[split] = (file.stat().st_size, files.sha256(file))

    readme, croissant = card.readme(config, counts), card.croissant(config, counts, parquet)
    (folder / "README.md").write_text(readme, encoding="utf-8", newline="\n")
    (folder / "croissant.json").write_text(croissant, encoding="utf-8", newline="\n")


def _writer(stream: BinaryIO) -> pq.ParquetWriter:
    """Returns a writer on a stream of Python, whose errors say why, unlike those of pyarrow."""
    return pq.ParquetWriter(stream, _SCHEMA, compression="zstd", use_dictionary=False)


def _batches(examples: Drawn) -> Iterator[pa.RecordBatch]:
    """Yields examples, in parts that fit in memory."""
    length = max(1, _DRAWN_BYTES // examples.at(slice(1))["image"].nbytes)
    for start in range(0, len(examples.centres), length):
        yield _batch(examples.at(slice(start, start + length)))


def _batch(examples: Drawn) -> pa.RecordBatch:
    images = examples["image"][..., 0]
    one_hots = examples["one_hot"].reshape(images.shape)
    coordinates = pa.FixedSizeListArray.from_arrays(pa.array(examples["coordinates"].ravel()), 2)
    columns = [_pngs(images), _pngs(one_hots), pa.array(examples["label"]), coordinates]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _pngs(images: npt.NDArray[np.uint8]) -> pa.StructArray:
    """Returns images `[n, H, W]` as Hugging Face stores them: bytes, and a path, which is null."""
    encoded = pa.array(map(png.encode, images), pa.binary())
    return pa.StructArray.from_arrays(
        [encoded, pa.nulls(len(images), pa.string())], fields=list(_IMAGE)
    )
