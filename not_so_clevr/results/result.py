"""The result of a run, and the files in its folder.

The id of a run says what it is, e.g. `classification/quadrant/coordconv/seed0`. Its folder holds

- `result.json`: everything about the run, the fields of `Result`;
- `errors.npz`: for each split, arrays such as `test/distance`: each metric, `[N]`, the coordinates
  of the centres, `[N, 2]` in pixels, and `predicted`, `[N, 2]`, where the model puts them.
  Rendering has, instead of `predicted`, a few canvases: `painted`, uint8 `[8, H, W]`, 255 x the
  probability of white, and `shown`, `[8]`, the indices of their examples;
- `model.weights.h5`: the weights, and the state of the optimizer.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.results import naming

Examples = Mapping[str, Mapping[str, npt.NDArray[Any]]]

FILE = "result.json"
ERRORS = "errors.npz"
WEIGHTS = "model.weights.h5"
PREDICTED, SHOWN, PAINTED = "predicted", "shown", "painted"
INCOMPLETE = ".incomplete"
REPLACED = files.REPLACED

_LARGEST = 2**26  # Bytes of a result.json; a hundred thousand epochs have fewer.
_READ = ("coordinates", PREDICTED, SHOWN, PAINTED, *METRICS)  # Columns of errors.npz
# Settings of recipes that older files lack, and what they imply
_ADDED: Mapping[str, Any] = {
    "loss": "task",
    "steps": 0,
    "warmup": 0.0,
    "optimizer": "adam",
    "beta_1": 0.9,
    "beta_2": 0.999,
    "clip": 0.0,
    "ema": 0.0,
    "decay_tables": False,
}
_IF_ANY = ("also", "cpu_seconds", "search", "solved")  # Left out of files that have none
_HEADER = 4096  # At least the bytes of a column before its values


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of a training run or an evaluation; `record.Record` has the types in files.

    Attributes:
        model: the name of the model.
        recipe: the name of the recipe and the changed settings; "" for the default recipe, or if
            the model was not trained here.
        task: the name of the task.
        config: the name of the data set.
        seed: of the weights and of the order of the examples.
        metrics: "train" and "test" -> name of a metric -> its mean over all examples of the split.
        accuracy_metric: the metric that is 1 for an example that is right, else 0.
        distance_metric: the metric that says how close the other examples are.
        settings: the values of the recipe; None for those that a model that came compiled ignores.
        parameters: the number of trainable weights, or None.
        history: for each measured epoch its number, loss, metrics of test, and seconds of training
            since the one before; on a CPU also `cpu_seconds`, see below. Every epoch is measured
            unless train has fewer examples than test.
        seconds: from the loading of the data to the last evaluation, or None.
        examples_per_second: of training, without evaluation, or None.
        cpu_seconds: the time that all cores together spent on training, without evaluation, which
            other processes hardly change; None if it was on a GPU, or is not known.
        environment: versions, backend, device, CPU, cores, commit.
        command: what repeats the run, or None.
        also: the name of another data set -> the metrics of the same weights there, as `metrics`;
            or one sentence on why the model does not fit there.
        search: how its recipe was found: `config`, the number of `points` that were tried there
            with so many `seeds`, how many of them were `perfect`, and their `seconds`; or None.
        solved: the first measured `epoch` with every test example right, and the `seconds` of
            training until then, as `training_seconds`; None if there is none, or it is not known.
        folder: where it was read from, or None.
        examples: "train" and "test" -> name -> array; see errors.npz.
    """

    model: str
    recipe: str
    task: str
    config: str
    seed: int
    metrics: Mapping[str, Mapping[str, float]]
    accuracy_metric: str
    distance_metric: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parameters: int | None = None
    history: Sequence[Mapping[str, Any]] = ()
    seconds: float | None = None
    examples_per_second: float | None = None
    cpu_seconds: float | None = None
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: str | None = None
    also: Mapping[str, Mapping[str, Mapping[str, float]] | str] = dataclasses.field(
        default_factory=dict
    )
    search: Mapping[str, Any] | None = None
    solved: Mapping[str, float] | None = None
    folder: pathlib.Path | None = dataclasses.field(default=None, compare=False, repr=False)
    examples: Examples = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.solved is None:
            object.__setattr__(self, "solved", self.reached(1.0))
        if self.cpu_seconds is None:
            object.__setattr__(self, "cpu_seconds", self._total("cpu_seconds"))

    def reached(self, accuracy: float) -> dict[str, float] | None:
        """Returns the first measured epoch with so much of test right, as `solved` does for 1."""
        seconds = 0.0
        for epoch in self.history:
            seconds += epoch.get("cpu_seconds") or epoch.get("seconds") or 0.0
            if epoch["test"].get(self.accuracy_metric, -1) >= accuracy:
                return {"epoch": epoch["epoch"], "seconds": seconds}
        return None

    def _total(self, name: str) -> float | None:
        """Returns the sum of a number over all epochs; None if one lacks it."""
        times = [epoch[name] for epoch in self.history if epoch.get(name) is not None]
        return float(sum(times)) if times and len(times) == len(self.history) else None

    @property
    def label(self) -> str:
        """The model, and the recipe unless it is the default one."""
        return naming.label(self.model, self.recipe)

    @property
    def id(self) -> str:
        return naming.run_id(self.task, self.config, self.label, self.seed)

    @property
    def row(self) -> tuple[str, str, str]:
        """The row of the leaderboard that its seed belongs to."""
        return self.task, self.config, self.label

    @property
    def hardware(self) -> str:
        """Where it ran, e.g. `2 cores of Intel Xeon, tensorflow`."""
        about = self.environment
        words = ", ".join(str(about[key]) for key in ("device", "backend") if key in about)
        return re.sub(r"\((R|TM)\)| (Processor|CPU)\b", "", re.sub(r"\b1 cores\b", "1 core", words))

    @property
    def software(self) -> str:
        """What it ran with, e.g. `keras 3.15.1, tensorflow 2.21.0, python 3.11.7`."""
        versions = self.environment.get("versions")
        if not isinstance(versions, dict):
            return ""
        names = ("keras", str(self.environment.get("backend")), "python")
        return ", ".join(f"{name} {versions[name]}" for name in names if name in versions)

    @property
    def epochs(self) -> int:
        """The number of epochs of training; 0 if it is not known."""
        last = self.history[-1]["epoch"] if self.history else 0
        return last or _count(self.settings.get("epochs")) or 0

    @property
    def steps(self) -> int | None:
        """The number of steps of training; None if it is not known."""
        training = self.environment.get("training")
        made = _count(training.get("steps")) if isinstance(training, Mapping) else None
        return self.planned_steps if made is None else made

    @property
    def planned_steps(self) -> int | None:
        """The number of steps that its epochs and its batch size make; None if not known."""
        batch_size = _count(self.settings.get("batch_size"))
        if "epochs" not in self.settings and (steps := _count(self.settings.get("steps"))):
            return steps  # `evaluate` was given them.
        if not (self.epochs and batch_size):
            return None
        return self.epochs * -(-self._training_examples // batch_size)

    @property
    def training_seconds(self) -> float | None:
        """The seconds of training, without evaluations; of the CPU, if those are known."""
        if self.cpu_seconds is not None:
            return self.cpu_seconds
        if (seconds := self._total("seconds")) is not None:
            return seconds
        if self.epochs and self.examples_per_second:
            return self.epochs * self._training_examples / self.examples_per_second
        return None

    @property
    def _training_examples(self) -> int:
        try:
            return _train_count(self.config)
        except ValueError:  # A data set that is not ours
            return 0

    @property
    def perfect(self) -> bool:
        """Whether every example of train and test is right."""
        return all(self.accuracy(split) == 1 for split in self.metrics)

    def accuracy(self, split: str) -> float:
        """Returns the share of the examples of a split that are right."""
        return self.metrics[split][self.accuracy_metric]

    def distance(self, split: str) -> float:
        """Returns the mean of the distance metric over a split."""
        return self.metrics[split][self.distance_metric]

    def made_by(self, recipe: Mapping[str, Any]) -> bool:
        """Returns whether its settings are those of a recipe; a setting of None fits any value."""
        if (
            None not in self.settings.values()
        ):  # Nearly all runs; a grid compares millions of times.
            return self.settings == recipe
        ignored = {name: None for name, value in self.settings.items() if value is None}
        return self.settings == {**recipe, **ignored}

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes result.json and errors.npz. Raises OSError, naming the file, if that fails."""
        flat = {
            f"{split}/{name}": values
            for split, columns in self.examples.items()
            for name, values in columns.items()
        }
        folder = pathlib.Path(folder)
        with files.replacing(folder / ERRORS) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **flat)  # type: ignore[arg-type]
        self.write_record(folder)

    def write_record(self, folder: pathlib.Path) -> None:
        """Writes result.json. Raises OSError, naming the file, if that fails."""
        with files.replacing(folder / FILE) as temporary:
            temporary.write_text(json.dumps(self.values(), indent=1) + "\n")

    @classmethod
    def read(cls, file: str | os.PathLike[str]) -> Result:
        """Reads a result.json, without the examples beside it.

        Raises:
            UserError: naming the file and what is wrong with it.
        """
        from not_so_clevr.results import record

        file = pathlib.Path(file)
        try:
            return cls.of(record.checked(json.loads(files.read(file, _LARGEST))), file.parent)
        except FileNotFoundError:
            raise UserError(missing(file)) from None
        except OSError as error:
            advice = "make it readable, or move it away"
            raise UserError(f"{file} cannot be read ({error.strerror}); {advice}.") from error
        except UserError as error:  # It is of a newer version.
            raise UserError(f"{file}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{file} is not the result of a run ({str(error) or type(error).__name__}); "
                f"move {file.parent} away, and run it again."
            ) from error

    @classmethod
    def of(cls, values: Mapping[str, Any], folder: pathlib.Path | None = None) -> Result:
        """Returns the result with the values of a valid record."""
        known = {name: value for name, value in values.items() if name != "schema"}
        known["settings"] = with_added(known.get("settings", {}))
        return cls(**known, folder=folder)

    def values(self) -> dict[str, Any]:
        """Returns the values of its record; `also`, `search` and `solved` only if there are any."""
        from not_so_clevr.results.record import SCHEMA

        fields = (field.name for field in dataclasses.fields(self))
        absent = (name for name in _IF_ANY if not getattr(self, name))
        left_out = ("folder", "examples", *absent)
        values = {name: getattr(self, name) for name in fields if name not in left_out}
        return {"schema": SCHEMA} | values

    def with_examples(self) -> Result:
        """Returns the run with the known arrays of errors.npz, if that is there and valid."""
        try:
            assert self.folder is not None
            with files.opened(self.folder / ERRORS) as stream, zipfile.ZipFile(stream) as archive:
                examples = {split: self._columns(archive, split) for split in ("train", "test")}
            for columns in examples.values():
                self._check(columns)
        except Exception:  # A damaged archive can raise anything.
            return self
        return dataclasses.replace(self, examples=examples)

    def _columns(self, archive: zipfile.ZipFile, split: str) -> dict[str, npt.NDArray[Any]]:
        """Returns the known arrays of a split. Raises ValueError for one that is too large."""
        # Two numbers of 8 bytes for each pixel; a few canvases have fewer.
        config = as_config(self.config)
        most = _HEADER + 16 * config.height * config.width
        members, columns = set(archive.namelist()), {}
        for name in _READ:
            member = f"{split}/{name}.npy"
            if member not in members:
                continue
            if archive.getinfo(member).file_size > most:
                raise ValueError(name)
            with archive.open(member) as values:
                columns[name] = np.lib.format.read_array(values, allow_pickle=False)
        return columns

    def _check(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Raises an error unless the arrays of a split have the right shapes and values."""
        config = as_config(self.config)
        coordinates, n = columns["coordinates"], len(columns["coordinates"])
        shown = columns.get(SHOWN, np.arange(n))

        metrics = {self.accuracy_metric, self.distance_metric, *columns} & METRICS.keys()
        shapes: dict[str, tuple[int, ...]] = {"coordinates": (n, 2)} | dict.fromkeys(metrics, (n,))
        if PREDICTED in columns:
            shapes[PREDICTED] = (n, 2)
        if PAINTED in columns:
            shapes |= {"iou": (n,), SHOWN: (len(shown),)}
            shapes[PAINTED] = (len(shown), config.height, config.width)
        for name, shape in shapes.items():
            array = columns[name]
            if (
                array.shape != shape
                or array.dtype.kind not in "biuf"
                or not np.isfinite(array).all()
            ):
                raise UserError(name)

        canvas = (config.height, config.width)
        for indices, limit in ((coordinates, canvas), (shown, n)):
            whole = np.issubdtype(indices.dtype, np.integer)
            if not (whole and indices.size and indices.min() >= 0 and (indices < limit).all()):
                raise UserError("coordinates")


def _count(value: Any) -> int | None:
    """Returns a number of epochs, steps or examples from a file; None if it cannot be one."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 2**63 and value == int(value) else None


@functools.cache
def _train_count(config: str) -> int:
    return len(as_config(config).split_centres()["train"])


def with_added(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the settings of a recipe in a file, completed by those that older files lack.

    Those of a model that came compiled, which ignores most of a recipe, are None.
    """
    if "model" not in settings:  # Not those of a recipe
        return settings
    ignored = settings.get("schedule", "") is None
    added = dict.fromkeys(_ADDED) | {"steps": 0} if ignored else _ADDED
    return {**added, **settings}


def missing(file: pathlib.Path) -> str:
    """Returns the sentence on a run folder that has lost its result.json."""
    return f"{file} is missing; put it back, or move {file.parent} away and run it again."
