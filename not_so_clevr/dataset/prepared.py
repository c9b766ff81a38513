"""Whether the files about a prepared data set agree with its config."""

from __future__ import annotations

import functools
import json
import os
import pathlib
from typing import Any

import tensorflow_datasets as tfds
from google.protobuf.json_format import MessageToDict
from tensorflow_datasets.core import naming
from tensorflow_datasets.core.file_adapters import ADAPTER_FOR_FORMAT, FileFormat

from not_so_clevr import files
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config

INFO = "dataset_info.json"
FEATURES = "features.json"


def check(
    info: tfds.core.DatasetInfo, folder: pathlib.Path, name: str, config: NotSoClevrConfig
) -> None:
    """Compares the files about a data set in `folder` with its name and config.

    `info` is what TFDS has read from there.

    A data set made with `max_examples_per_split` has fewer examples than its config, and passes.

    Raises:
        OSError: one sentence that names the file and the first value that is wrong.
    """
    file = folder / INFO
    read = tfds.core.dataset_info.read_from_json(file)
    _compare(file, "name", read.name, name)
    _compare(file, "configName", read.config_name, config.name)

    counts = _counts(config.name)
    _compare(file, "splits", sorted(info.splits), sorted(counts))
    for split, expected in counts.items():
        found = info.splits[split]
        template = found.filename_template.template
        _compare(file, "filepathTemplate", template, naming.DEFAULT_FILENAME_TEMPLATE)
        is_smaller = found.num_examples < expected
        if not is_smaller or not _holds(found, folder, info.file_format):
            _compare(file, f"examples of {split}", found.num_examples, expected)
    _check_features(folder / FEATURES, MessageToDict(info.features.to_proto()))


def check_format(folder: pathlib.Path) -> None:
    """Raises OSError, one sentence, if the format of the shards is none that TFDS knows."""
    found = tfds.core.dataset_info.read_from_json(folder / INFO).file_format
    if found not in ("", *(each.value for each in FileFormat)):
        raise files.damaged(folder / INFO, f"fileFormat: {found!r} is unknown")


def check_shards(info: tfds.core.DatasetInfo, folder: pathlib.Path) -> None:
    """Raises OSError, one sentence, unless every shard exists that TFDS is about to read."""
    for name, split in info.splits.items():
        for shard in split.filenames:
            if not (folder / shard).exists():
                raise files.damaged(folder / INFO, f"split {name}: there is no file {shard}")


def _holds(split: Any, folder: pathlib.Path, file_format: FileFormat) -> bool:
    """Returns whether the shards of a split hold as many examples as its info says.

    A shard that is missing is left to `check_shards`.
    """
    adapter, shards = ADAPTER_FOR_FORMAT[file_format], [folder / each for each in split.filenames]
    if not all(shard.exists() for shard in shards):
        return True
    return [adapter.num_examples(os.fspath(shard)) for shard in shards] == split.shard_lengths


def _check_features(file: pathlib.Path, expected: Any) -> None:
    """Compares what features.json says, if it exists, with the features of the config."""
    if not file.exists():
        return  # Our builder does not need it.
    try:
        found = json.loads(files.read_text(file))
        names = sorted(found["featuresDict"]["features"])
    except (ValueError, KeyError, TypeError) as error:
        raise files.damaged(file, f"it does not describe features: {error!r}") from error
    _compare(file, "features", names, sorted(expected["featuresDict"]["features"]))
    _compare_all(file, "", found, expected)


def _compare_all(file: pathlib.Path, name: str, found: Any, expected: Any) -> None:
    """Compares every value that both hold, since other versions of TFDS may write more or fewer."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() & expected.keys() - {"description", "pythonClassName"}):
            _compare_all(file, f"{name}.{key}".lstrip("."), found[key], expected[key])
    else:
        _compare(file, name, found, expected)


def _compare(file: pathlib.Path, name: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise files.damaged(file, f"{name}: {found!r}, expected {expected!r}")


@functools.lru_cache(maxsize=16)
def _counts(name: str) -> dict[str, int]:
    return {split: len(centres) for split, centres in as_config(name).split_centres().items()}
