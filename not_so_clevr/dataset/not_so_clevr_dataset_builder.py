"""The TFDS builder: `tfds.load("not_so_clevr/quadrant")`. TFDS reads README.md, CITATIONS.bib and TAGS.txt beside this file."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError

from not_so_clevr import files
from not_so_clevr.checks import MissingPackageError, UserError
from not_so_clevr.dataset import devices, drawing, geometry
from not_so_clevr.dataset.config import CONFIGS, NotSoClevrConfig, as_config

#: From this canvas on, in pixels, a data set is generated with Apache Beam; docs/large.md tells why.
BEAM_CANVAS_SIZE = 512


def import_beam(config: str) -> Any:
    """Returns the module `not_so_clevr.dataset.beam`. Raises ImportError, naming `config`, if Apache Beam is not installed."""
    if not importlib.util.find_spec("apache_beam"):
        pip = "pip install 'not-so-clevr[beam]'"
        raise MissingPackageError(f"{config} is generated with Apache Beam, which is not installed; run: {pip}")
    return importlib.import_module("not_so_clevr.dataset.beam")


class _Configs(dict[str, NotSoClevrConfig]):
    """The named configs, of which TFDS makes lists; any other is in it, too, so that TFDS knows it for ours."""

    def __contains__(self, name: object) -> bool:
        try:
            return bool(as_config(name))  # type: ignore[arg-type]
        except UserError:
            return False


class _ExampleWriter(tfds.core.ExampleWriter):
    """Writes the features of each example by name; by default their order differs from process to process."""

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        from tensorflow.train import Example

        by_name = ((key, Example.FromString(data).SerializeToString(deterministic=True)) for key, data in examples)
        return super().write(path, by_name)


class Builder(tfds.core.GeneratorBasedBuilder):
    """One example for each place where the square fits on the canvas; see README.md beside this file.

    Safe to call from many processes at once, and verified when read: see `disk`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = list(CONFIGS)
    DEFAULT_BUILDER_CONFIG_NAME = CONFIGS[0].name
    builder_configs: ClassVar = _Configs({config.name: config for config in CONFIGS})

    #: Called with the number of examples generated since the last call; with Beam, by the local runner only.
    on_progress: Callable[[int], object] | None = None

    #: Whether it is generated with Apache Beam.
    with_beam: bool

    _count: Callable[[int], object] | None = None
    _drawer = "numpy"
    _splits: Sequence[str] = ("train", "test")  # Those that a job generates

    def __init__(
        self,
        *,
        config: str | NotSoClevrConfig | None = None,
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Makes a builder, as TFDS does.

        Args:
            config: a config or its name.
            device: what draws the canvases: "cpu"; "gpu"; or "auto", the default, the GPU if Keras'
                backend or TensorFlow has one. With Beam "auto" is the CPU. The files are the same.
            **kwargs: those of TFDS' builders.

        Raises:
            UserError: if there is no such config or device.
            OSError: if the data set on disk is damaged.
        """
        self._device = devices.check_device(device)
        if not (config is None or isinstance(config, str)):
            config = as_config(config).name  # From here on a config is its name.
        with self._told_if_damaged():
            super().__init__(config=config, **kwargs)
        self.with_beam = self._is_large

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {"_original_state": {**state["_original_state"], "device": self._device}}

    @property
    def _is_large(self) -> bool:
        return self.builder_config.canvas_size >= BEAM_CANVAS_SIZE

    @classmethod
    def get_builder_config(cls, name: str, version: str | None = None) -> NotSoClevrConfig:
        """Returns the config that has this name, one of `BUILDER_CONFIGS` or another. Raises UserError if none has it."""
        return cls.builder_configs.get(name) or NotSoClevrConfig.from_name(name)

    def download_and_prepare(self, *, download_config: Any = None, **kwargs: Any) -> None:
        """Generates the data set unless it is there, once, whatever the number of processes that ask for it.

        It is generated with Apache Beam if the canvas is `BEAM_CANVAS_SIZE` wide, or wider, or `download_config` holds a runner
        or options of Beam.

        Raises:
            OSError: one sentence that names the folder, if it cannot be written; or if Beam lost examples.
            MissingPackageError: if Beam is needed and not installed.
            UserError: if the GPU is asked for and there is none; or if Beam is asked for a mode that
                loses examples.
        """
        download_config = download_config or tfds.download.DownloadConfig(try_download_gcs=False)  # It is nowhere to be found.
        overwrite = download_config.download_mode.overwrite_dataset
        reuse = self.data_path.exists() and not overwrite
        self.with_beam = self._is_large or bool(download_config.beam_runner or download_config.beam_options)
        if not reuse:
            self._drawer = devices.drawer(self._device)
        if self.with_beam and not reuse:
            import_beam(self.builder_config.name)
        lock = contextlib.nullcontext() if reuse else files.exclusive(self.data_path, replace=overwrite)
        with lock:  # For which the folder must be writable
            super().download_and_prepare(download_config=download_config, **kwargs)
        with self._told_if_damaged():
            self.info.read_from_directory(self.data_dir)  # Another process may have generated it since this builder was made.

    @contextlib.contextmanager
    def _told_if_damaged(self) -> Iterator[None]:
        """Raises OSError, one sentence, if what TFDS writes about a data set cannot be read."""
        try:
            yield
        except (ParseError, UnicodeDecodeError, AssertionError, OSError) as error:
            if isinstance(error, OSError) and error.strerror:  # The operating system's, such as of a folder that is not ours
                raise
            folder = self.data_path
            raise OSError(f"{folder} is damaged ({error}); delete the folder {folder} and load the data set again.") from error

    def as_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """As in TFDS, once the files have been compared with their checksums. Raises OSError, naming the file that differs."""
        files.verify_checksums(self.data_path)
        return super().as_dataset(*args, **kwargs)

    def as_data_source(self, *args: Any, **kwargs: Any) -> Any:
        """As in TFDS, once the files have been compared with their checksums. Raises OSError, naming the file that differs."""
        files.verify_checksums(self.data_path)
        return super().as_data_source(*args, **kwargs)

    def _download_and_prepare(self, *, dl_manager: Any, download_config: Any) -> None:
        with contextlib.ExitStack() as stack:
            self._count = self.on_progress
            if self.with_beam:
                beam = import_beam(self.builder_config.name)
                download_config = beam.with_runner(download_config)
                self._count = stack.enter_context(beam.counted(self.on_progress, download_config))
                stack.enter_context(beam.interruptible())
            super()._download_and_prepare(dl_manager=dl_manager, download_config=download_config)
        files.write_checksums(self.data_path)

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[Any]:
        """Generates both splits at once or, on Beam's local runner, which keeps all of a job in memory, by a job each."""
        is_local = self.with_beam and import_beam(self.builder_config.name).is_local(download_config)
        found: list[Any] = []
        for self._splits in [["train"], ["test"]] if is_local else [["train", "test"]]:
            found += super()._generate_splits(dl_manager, download_config)
        if self.with_beam:
            self._check_complete(found)
        return found

    def _check_complete(self, found: Sequence[Any]) -> None:
        """Raises OSError unless each split came out of Beam as large as it went in; runners were seen to lose elements."""
        name = self.builder_config.name
        for split in found:
            if split.num_examples != (expected := len(_split_centres(name)[split.name])):
                raise OSError(
                    f"Beam gave {split.num_examples:,} of the {expected:,} {split.name} examples of {name}; nothing was kept. "
                    "Generate it again, or with another runner."
                )

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return _ExampleWriter(file_format=self.info.file_format)

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.canvas_size
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(size, size, 1), encoding_format="png", doc="White square (255) on black canvas (0)."
                    ),
                    "one_hot": tfds.features.Tensor(
                        shape=(size**2,), dtype=np.uint8, encoding="zlib", doc="1 at the pixel of the centre, row-major."
                    ),
                    "label": tfds.features.ClassLabel(num_classes=size**2, doc="Index of that pixel, i * S + j."),
                    "coordinates": tfds.features.Tensor(
                        shape=(2,), dtype=np.int64, doc="The centre (row i, column j), in pixels."
                    ),
                }
            ),
            supervised_keys=("coordinates", "one_hot"),
            homepage="https://arxiv.org/abs/1807.03247",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in self._splits}

    def _generate_examples(self, split: str) -> Any:
        """Returns the examples of a split with their keys: an iterator or, of a large data set, a Beam pipeline."""
        config = self.builder_config
        drawer = "numpy" if self.with_beam and self._device == "auto" else self._drawer
        draw = functools.partial(_examples, config.name, split, drawer=drawer, on_progress=self._count)
        starts = range(0, len(_split_centres(config.name)[split]), drawing.chunk_length(config.canvas_size))
        if self.with_beam:
            return import_beam(config.name).pipeline(draw, starts)
        return itertools.chain.from_iterable(map(draw, starts))


def _examples(
    config: str,
    split: str,
    start: int,
    *,
    drawer: str,
    on_progress: Callable[[int], object] | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the examples of the chunk of centres that begins with number `start` of a split."""
    import tensorflow as tf

    about = as_config(config)
    size, square_size = about.canvas_size, about.square_size
    chunk = _split_centres(config)[split][start : start + drawing.chunk_length(size)]
    images = drawing.draw_for_disk(chunk, size, square_size, drawer)
    pngs = tf.io.encode_png(images).numpy()  # One call for many; TFDS makes one for each array.
    labels = geometry.labels(chunk, size).tolist()
    for png, one_hot, label, centre in zip(pngs, geometry.one_hot(chunk, size), labels, chunk, strict=True):
        yield label, {"image": png, "one_hot": one_hot, "label": label, "coordinates": centre}
    if on_progress:
        on_progress(len(chunk))


@functools.lru_cache(maxsize=1)
def _split_centres(config: str) -> dict[str, npt.NDArray[np.int64]]:
    return as_config(config).split_centres()
