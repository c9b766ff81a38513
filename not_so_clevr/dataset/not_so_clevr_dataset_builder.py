"""The TFDS builder: `tfds.load("not_so_clevr/quadrant")`.

TFDS reads README.md, CITATIONS.bib and TAGS.txt beside this file.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError

from not_so_clevr import files
from not_so_clevr.checks import MissingPackageError, UserError
from not_so_clevr.dataset import card, devices, drawing, geometry, png, prepared, quiet, shapes
from not_so_clevr.dataset.config import BEAM_CANVAS_SIZE, CONFIGS, NotSoClevrConfig, as_config

# What `tfds.testing.mock_data` replaces
_PREPARE = vars(tfds.core.DatasetBuilder)["download_and_prepare"]

_CACHE_BYTES = 2**22

_CHOOSE_ANOTHER = "choose another folder with --data-dir (in Python data_dir=)"


def import_beam(config: str) -> Any:
    """Imports `dataset.beam`. Raises MissingPackageError, naming `config`, without Apache Beam."""
    if not importlib.util.find_spec("apache_beam"):
        raise MissingPackageError(
            f"{config} is generated with Apache Beam, which is not installed; "
            "run: pip install 'not-so-clevr[beam]'"
        )
    return importlib.import_module("not_so_clevr.dataset.beam")


class _Configs(dict[str, NotSoClevrConfig]):
    """Lists the named configs, but contains every valid name, or TFDS would refuse it."""

    def __contains__(self, name: object) -> bool:
        try:
            return bool(as_config(name))  # type: ignore[arg-type]
        except UserError:
            return False


class _ExampleWriter(tfds.core.ExampleWriter):
    """Writes the features of an example by name. TFDS' order differs from process to process."""

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        from tensorflow.train import Example

        def by_name(example: bytes) -> bytes:
            return Example.FromString(example).SerializeToString(deterministic=True)

        return super().write(path, ((key, by_name(example)) for key, example in examples))


class Builder(tfds.core.GeneratorBasedBuilder):
    """One example for each place where the shape fits on the canvas; see README.md.

    Safe to use from many processes at once, and verified when read.
    """

    VERSION = tfds.core.Version(card.VERSION)
    RELEASE_NOTES: ClassVar = {card.VERSION: "First release."}
    BUILDER_CONFIGS: ClassVar = list(CONFIGS)
    DEFAULT_BUILDER_CONFIG_NAME = CONFIGS[0].name
    builder_configs: ClassVar = _Configs({config.name: config for config in CONFIGS})

    #: Called with the number of new examples, instead of announcing the generation on stdout. Of
    #: Beam's runners only the local one calls it.
    on_progress: Callable[[int], object] | None = None

    #: Whether Apache Beam generates the data set.
    with_beam: bool

    _count: Callable[[int], object] | None = None
    _drawer = "numpy"
    _splits: Sequence[str] = ("train", "test")  # Splits that the current job generates

    def __init__(
        self,
        *,
        config: str | NotSoClevrConfig | None = None,
        device: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Makes a builder.

        Args:
            config: a config or its name.
            device: what draws the canvases: "cpu", "gpu" or "auto", the default: the GPU if Keras'
                backend or TensorFlow has one, but the CPU with Beam. The files are the same.
            data_dir: the folder of all data sets; by default that of TFDS_DATA_DIR in the
                environment, or ~/tensorflow_datasets.
            **kwargs: as for TFDS' builders.

        Raises:
            UserError: if the config, the version or the device is unknown, or TFDS cannot use the
                folder.
            OSError: if the data set on disk is damaged, or may not be read.
        """
        self._device = devices.check_device(device)
        data_dir = _checked_folder(data_dir)
        if not (config is None or isinstance(config, str)):
            config = as_config(config).name  # TFDS would refuse an object that it has not listed.
        with self._explain_damage():
            super().__init__(config=config, data_dir=data_dir, **kwargs)
        self._check_files()
        self.with_beam = self._is_large

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {"_original_state": {**state["_original_state"], "device": self._device}}

    @property
    def _is_large(self) -> bool:
        return self.builder_config.height * self.builder_config.width >= BEAM_CANVAS_SIZE**2

    @classmethod
    def get_builder_config(cls, name: str, version: str | None = None) -> NotSoClevrConfig:
        """Returns the config with this name, listed or not. Raises UserError if there is none."""
        return cls.builder_configs.get(name) or NotSoClevrConfig.from_name(name)

    def _build_data_dir(self, given_data_dir: str | None) -> tuple[str, str]:
        root, folder = super()._build_data_dir(given_data_dir)
        return os.path.expanduser(root), os.path.expanduser(folder)  # TFDS_DATA_DIR may have a ~.

    def _pick_version(self, requested_version: Any) -> tfds.core.Version:
        try:
            return super()._pick_version(requested_version)
        except (AssertionError, TypeError, ValueError):
            versions = ", ".join(map(str, self.versions))
            raise UserError(
                f"{self.name} has no version {requested_version!r}; expected one of {versions}."
            ) from None

    def download_and_prepare(self, *, download_config: Any = None, **kwargs: Any) -> None:
        """Generates the data set unless it exists, once even if several processes call this.

        Prints a line first, unless `on_progress` is set, and nothing of TensorFlow and TFDS.
        Uses Apache Beam for canvases from `BEAM_CANVAS_SIZE`, or if `download_config` holds a
        runner or options of Beam.

        Raises:
            OSError: if the folder cannot be written, or Beam lost examples.
            MissingPackageError: if Beam is needed and not installed.
            UserError: if `device` is "gpu" and there is none, or Beam's mode loses examples.
        """
        if download_config is None:
            download_config = tfds.download.DownloadConfig(try_download_gcs=False)
        if _is_mocked():
            super().download_and_prepare(download_config=download_config, **kwargs)
            return

        overwrite = download_config.download_mode.overwrite_dataset
        beam_is_set = bool(download_config.beam_runner or download_config.beam_options)
        self.with_beam = self._is_large or beam_is_set

        prepare = functools.partial(
            super().download_and_prepare, download_config=download_config, **kwargs
        )
        if self.data_path.exists() and not overwrite:
            prepare()
        else:
            quiet.import_tensorflow()
            self._drawer = devices.drawer(self._device)
            if self.with_beam:
                import_beam(self.builder_config.name)
            with files.exclusive(self.data_path) as new:  # Needs write access
                if overwrite or not self.data_path.exists():
                    self._announce()
                    with quiet.tfds_remarks():
                        self._prepare_beside(new, prepare)

        with self._explain_damage():  # Another process may have generated it in the meantime.
            self.info.read_from_directory(self.data_dir)
        self._check_files()

    def _check_files(self) -> None:
        """Raises OSError, one sentence, if files about the data set disagree with its config."""
        if not _is_mocked() and (self.data_path / prepared.INFO).exists():
            prepared.check(self.info, self.data_path, self.name, self.builder_config)

    def _prepare_beside(self, new: Any, prepare: Callable[[], None]) -> None:
        """Generates the data set at `new`, and swaps it in: a reader finds the old or the new."""
        place = self.data_dir
        self._data_dir = os.fspath(new)
        try:
            prepare()
        finally:
            self._data_dir = place
        if place != os.fspath(new):
            files.swap(new, pathlib.Path(place))

    def _announce(self) -> None:
        if self.on_progress is None:
            count = self.builder_config.num_examples
            name, place = self.info.full_name, self.data_dir
            print(f"Generating {name}, once: {count:,} examples, in {place}", flush=True)

    def _log_download_bytes(self) -> None:
        """Prints nothing: TFDS would name the folder beside the final one, and a download."""

    def _log_download_done(self) -> None:
        """Prints nothing, for the same reasons."""

    def is_prepared(self) -> bool:
        """Returns whether the data set exists. TFDS alone would warn that it does not."""
        return (self.data_path / "dataset_info.json").exists() and super().is_prepared()

    @contextlib.contextmanager
    def _explain_damage(self) -> Iterator[None]:
        """Raises OSError, one sentence, if TFDS cannot read its files about the data set.

        Advises deleting only a folder of ours that is damaged.
        """
        try:
            yield
        except (ParseError, AssertionError, OSError, ValueError) as error:
            if isinstance(error, UserError) or (isinstance(error, OSError) and error.strerror):
                raise
            if "_data_dir" not in vars(self) or not self.data_path.exists():
                raise  # It is not about a data set that is there.
            if isinstance(error, ValueError) and not isinstance(error, UnicodeDecodeError):
                prepared.check_format(self.data_path)
                raise

            folder, cause = self.data_path, error.__cause__
            missing = (FileNotFoundError, IsADirectoryError)
            if isinstance(cause, OSError) and not isinstance(cause, missing):
                raise type(cause)(
                    f"Cannot read the data set in {folder}: {cause.strerror}. "
                    f"Get access there, or {_CHOOSE_ANOTHER}."
                ) from error
            if not any(map(_is_ours, folder.iterdir())):
                raise OSError(
                    f"{folder} is in the way: it holds no data set. "
                    f"Move it elsewhere, or {_CHOOSE_ANOTHER}."
                ) from error
            reason, advice = " ".join(str(error).split()), "delete the folder"
            if "no field named" in reason:
                advice = (
                    "if a newer version of tensorflow-datasets wrote it, update; else " + advice
                )
            raise OSError(
                f"{folder} is damaged ({reason}); {advice} {folder} and load the data set again."
            ) from error

    def as_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """Verifies the files, then does as in TFDS. Raises OSError for a damaged file."""
        self.verify()
        quiet.import_tensorflow()
        with quiet.stderr(), quiet.tfds_remarks():
            return super().as_dataset(*args, **kwargs)

    def as_data_source(self, *args: Any, **kwargs: Any) -> Any:
        """Verifies the files, then does as in TFDS. Raises OSError for a damaged file."""
        self.verify()
        return super().as_data_source(*args, **kwargs)

    def verify(self) -> None:
        """Raises OSError, one sentence, if a file of the data set is missing or has changed."""
        if _is_mocked() or not self.data_path.exists():
            return
        if not self.info.initialized:  # Its file was missing when this builder was made.
            with self._explain_damage():
                self.info.read_from_directory(self.data_dir)
            self._check_files()
        files.verify_checksums(self.data_path)
        prepared.check_shards(self.info, self.data_path)

    def _download_and_prepare(self, *, dl_manager: Any, download_config: Any) -> None:
        with contextlib.ExitStack() as stack:
            self._count = self.on_progress
            if self.with_beam:
                beam = import_beam(self.builder_config.name)
                download_config = beam.with_runner(download_config)
                self._count = stack.enter_context(beam.counted(self.on_progress, download_config))
                stack.enter_context(beam.isolated())
                stack.enter_context(beam.interruptible())
            super()._download_and_prepare(dl_manager=dl_manager, download_config=download_config)
        files.write_checksums(self.data_path)

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[Any]:
        """Generates both splits in one job, but in two on Beam's local runner, to save memory.

        Runners have been seen to lose elements: raises OSError if a count is wrong.
        """
        name = self.builder_config.name
        is_local = self.with_beam and import_beam(name).is_local(download_config)
        found: list[Any] = []
        for self._splits in [["train"], ["test"]] if is_local else [["train", "test"]]:
            found += super()._generate_splits(dl_manager, download_config)

        for split in found if self.with_beam else []:
            expected = len(_split_centres(name)[split.name])
            if split.num_examples != expected:
                raise OSError(
                    f"Beam gave {split.num_examples:,} of the {expected:,} {split.name} examples "
                    f"of {name}; nothing was kept. Generate it again, or with another runner."
                )
        return found

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return _ExampleWriter(file_format=self.info.file_format)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        height, width = config.height, config.width
        name, side = shapes.word(config.shape), "S" if height == width else "W"
        image = tfds.features.Image(
            shape=(height, width, 1),
            encoding_format="png",
            doc=f"White {name} (255) on black canvas (0).",
        )
        one_hot = tfds.features.Tensor(
            shape=(height * width,),
            dtype=np.uint8,
            encoding="zlib",
            doc="1 at the pixel of the centre, row-major.",
        )
        one_hot.encode_example = functools.partial(_unless_encoded, one_hot.encode_example)
        label = tfds.features.ClassLabel(
            num_classes=height * width, doc=f"Index of that pixel, i * {side} + j."
        )
        coordinates = tfds.features.Tensor(
            shape=(2,), dtype=np.int64, doc="The centre (row i, column j), in pixels."
        )
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {"image": image, "one_hot": one_hot, "label": label, "coordinates": coordinates}
            ),
            supervised_keys=("coordinates", "one_hot"),
            homepage=card.HOMEPAGE,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in self._splits}

    def _generate_examples(self, split: str) -> Any:
        """Returns the keys and examples of a split: an iterator, or with Beam a pipeline."""
        name, size = self.builder_config.name, self.builder_config.canvas_size
        drawer = "numpy" if self.with_beam and self._device == "auto" else self._drawer
        draw = functools.partial(_examples, name, split, drawer=drawer, on_progress=self._count)
        starts = range(0, len(_split_centres(name)[split]), drawing.chunk_length(size))
        if self.with_beam:
            return import_beam(name).pipeline(draw, starts)
        return itertools.chain.from_iterable(map(draw, starts))


def _checked_folder(data_dir: str | os.PathLike[str] | None) -> str | None:
    """Returns the folder of all data sets; None for TFDS' own, which is checked as well."""
    if data_dir is not None:
        return files.data_folder(data_dir)
    try:
        files.data_folder(tfds.core.constants.DATA_DIR)
    except UserError as error:
        raise UserError(f"Environment variable TFDS_DATA_DIR: {error}") from None
    return None


def _unless_encoded(encode: Callable[[Any], Any], value: Any) -> Any:
    """Encodes a value of a feature, but takes bytes as they are, as TFDS does for images."""
    return value if isinstance(value, bytes) else encode(value)


def _is_mocked() -> bool:
    """Returns whether `tfds.testing.mock_data` is in force, so that nothing needs to be on disk."""
    return vars(tfds.core.DatasetBuilder)["download_and_prepare"] is not _PREPARE


def _is_ours(file: Any) -> bool:
    """Returns whether a file is one of a prepared data set, by its name."""
    names = (prepared.INFO, prepared.FEATURES, files.CHECKSUMS)
    return file.name in names or file.name.startswith("not_so_clevr-")


def _examples(
    name: str,
    split: str,
    start: int,
    *,
    drawer: str,
    on_progress: Callable[[int], object] | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields keys and examples of the chunk of a split that starts at number `start`."""
    config = as_config(name)
    size = config.canvas_size
    centres = _split_centres(name)[split][start : start + drawing.chunk_length(size)]

    # NumPy draws few at a time, which are encoded while they are still in the processor's cache.
    step = (
        max(1, _CACHE_BYTES // (config.height * config.width))
        if drawer == "numpy"
        else len(centres)
    )
    parts = (centres[first : first + step] for first in range(0, len(centres), step))
    for part in parts:
        images = drawing.draw_for_disk(part, size, config.shape, drawer)
        one_hots = geometry.one_hot(part, size)
        labels = geometry.labels(part, size).tolist()
        for image, one_hot, label, centre in zip(images, one_hots, labels, part, strict=True):
            encoded = {"image": png.encode(image), "one_hot": png.compress(one_hot.tobytes())}
            yield label, {**encoded, "label": label, "coordinates": centre}
    if on_progress:
        on_progress(len(centres))


@functools.lru_cache(maxsize=1)
def _split_centres(name: str) -> dict[str, npt.NDArray[np.int64]]:
    return as_config(name).split_centres()
