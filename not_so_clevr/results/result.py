"""The outcome of a run, and the files in its folder.

A run's id says what it is: `classification/quadrant/coordconv/seed0`. Its folder holds

- `result.json`: everything about the run, the fields of `Result`;
- `errors.npz`: each metric of each example, with its coordinates: `test/coordinates` `[N, 2]`, `test/distance` `[N]` and so on;
  `test/predicted` `[N, 2]`, the predicted coordinates in pixels; for rendering, instead, `test/painted` `[8, S, S]`, some
  canvases as they were painted, 255 x the probability of white, and `test/shown` `[8]`, which examples they are;
- `model.weights.h5`: the weights, and the state of the optimizer.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import naming

Examples = Mapping[str, Mapping[str, npt.NDArray[Any]]]

FILE = "result.json"
ERRORS = "errors.npz"
WEIGHTS = "model.weights.h5"
PREDICTED, SHOWN, PAINTED = "predicted", "shown", "painted"
INCOMPLETE = ".incomplete"
REPLACED = files.REPLACED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of a training run or an evaluation.

    Attributes:
        model: the name of the model.
        recipe: the name of the recipe, with the settings that were changed; "" if the model was not trained here.
        task: the name of the task.
        config: the name of the data set.
        seed: of weights and of the order of the examples.
        metrics: "train" and "test" -> name of the metric -> its mean over every example of the split.
        accuracy_metric: the metric that is 1 for an example that is right.
        distance_metric: the metric that tells how close the others are.
        settings: the recipe's values; None for those that a model that came compiled has not used.
        parameters: the number of trainable weights, or None.
        history: for each epoch its loss, the metrics of test, and the seconds of training.
        seconds: of the run, from the loading of the data to the last evaluation, or None.
        examples_per_second: of training, without evaluation, or None.
        environment: versions, backend, device, CPU, cores, commit.
        command: that makes this run again, or None.
        folder: where it was read from, or None.
        examples: "train" and "test" -> "coordinates" `[N, 2]` in pixels, each metric `[N]`, and predictions; see errors.npz.
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
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: str | None = None
    folder: pathlib.Path | None = dataclasses.field(default=None, compare=False, repr=False)
    examples: Examples = dataclasses.field(default_factory=dict, compare=False, repr=False)

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
        """Where it ran, such as `2 cores of Intel Xeon, tensorflow`."""
        about = self.environment
        words = ", ".join(str(about[key]) for key in ("device", "backend") if key in about)
        return re.sub(r"\((R|TM)\)| (Processor|CPU)\b", "", re.sub(r"\b1 cores\b", "1 core", words))

    @property
    def software(self) -> str:
        """What it ran with, such as `keras 3.15.1, tensorflow 2.21.0, python 3.11.7`."""
        versions, backend = self.environment.get("versions"), str(self.environment.get("backend"))
        if not isinstance(versions, dict):
            return ""
        return ", ".join(f"{name} {versions[name]}" for name in ("keras", backend, "python") if name in versions)

    @property
    def epochs(self) -> int:
        """How many epochs it was trained for; 0 if that is not known."""
        return len(self.history) or int(self.settings.get("epochs") or 0)

    @property
    def perfect(self) -> bool:
        """Whether every example of train and test is right."""
        return all(metrics[self.accuracy_metric] == 1 for metrics in self.metrics.values())

    def made_by(self, recipe: Mapping[str, Any]) -> bool:
        """Returns whether the run was made with the values of a recipe, as far as it has used them."""
        if None not in self.settings.values():  # Nearly all runs; a grid compares millions of times.
            return self.settings == recipe
        return self.settings == {**recipe, **{name: None for name, value in self.settings.items() if value is None}}

    def write(self, folder: pathlib.Path) -> None:
        """Writes result.json and errors.npz. Raises OSError, naming the file, if it cannot be written."""
        with files.replacing(folder / ERRORS) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **_flat(self.examples))
        with files.replacing(folder / FILE) as temporary:
            temporary.write_text(json.dumps(self.values(), indent=1) + "\n")

    @classmethod
    def read(cls, file: pathlib.Path) -> Result:
        """Reads a result.json, without the examples beside it.

        Raises:
            UserError: one sentence that names the file and what is wrong with it.
        """
        from not_so_clevr.results import record

        try:
            return cls.of(record.checked(file.read_bytes()), file.parent)
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{file} is not the result of a run ({str(error) or type(error).__name__}); "
                f"delete {file.parent}, and run it again."
            ) from error

    @classmethod
    def of(cls, values: Mapping[str, Any], folder: pathlib.Path | None = None) -> Result:
        """Returns the result with the values of a record that has been checked."""
        known = {name: value for name, value in values.items() if name != "schema"}
        return cls(**known, folder=folder)

    def with_examples(self) -> Result:
        """Returns the run with the examples beside its file; with none if errors.npz is not there or not as it was written."""
        examples: dict[str, dict[str, npt.NDArray[Any]]] = {"train": {}, "test": {}}
        try:
            assert self.folder is not None
            with np.load(self.folder / ERRORS) as arrays:
                for name, values in arrays.items():
                    split, _, column = name.partition("/")
                    examples[split][column] = values
            for columns in examples.values():
                self._check(columns)
        except Exception:  # What a damaged archive raises is anybody's guess.
            return self
        return dataclasses.replace(self, examples=examples)

    def _check(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Raises an error unless the arrays of a split have the shapes and values that they should."""
        size = as_config(self.config).canvas_size
        coordinates, n = columns["coordinates"], len(columns["coordinates"])
        shapes = {"coordinates": (n, 2), self.accuracy_metric: (n,), self.distance_metric: (n,)}
        shown = columns.get(SHOWN, np.arange(n))
        if PREDICTED in columns:
            shapes[PREDICTED] = (n, 2)
        if PAINTED in columns:
            shapes |= {"iou": (n,), SHOWN: (len(shown),), PAINTED: (len(shown), size, size)}
        for name, shape in shapes.items():
            if columns[name].shape != shape or columns[name].dtype.kind not in "biuf" or not np.isfinite(columns[name]).all():
                raise UserError(name)
        whole = np.issubdtype(coordinates.dtype, np.integer) and np.issubdtype(shown.dtype, np.integer)
        if not (
            whole and all(each.size and 0 <= each.min() <= each.max() < size for each in (coordinates, coordinates[shown]))
        ):
            raise UserError("coordinates")

    def values(self) -> dict[str, Any]:
        """Returns what a record of the result holds, see `record`."""
        fields = (field.name for field in dataclasses.fields(self))
        values = {name: getattr(self, name) for name in fields if name not in ("folder", "examples")}
        return {"schema": 2} | values


def _flat(examples: Examples) -> dict[str, Any]:
    return {f"{split}/{name}": values for split, columns in examples.items() for name, values in columns.items()}
