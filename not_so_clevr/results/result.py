"""Results of runs: one folder a run, the summary over seeds, and the leaderboard.

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
import math
import os
import pathlib
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import naming, tables
from not_so_clevr.results.published import PUBLISHED_COLUMNS, published_rows, sources

Examples = Mapping[str, Mapping[str, npt.NDArray[Any]]]

FILE = "result.json"
ERRORS = "errors.npz"
WEIGHTS = "model.weights.h5"
PREDICTED, SHOWN, PAINTED = "predicted", "shown", "painted"
INCOMPLETE = ".incomplete"
REPLACED = ".replaced"
_UNFINISHED = re.compile(rf"seed\d+({re.escape(INCOMPLETE)}|{re.escape(REPLACED)})")

_LATER = {"loss": "task"}  # Settings that came later, and what they were in files that lack them
_ALIKE = ("model", "settings", "parameters", "right", "closeness")  # What runs share that differ in their seed alone

ENOUGH = 3  # Seeds for an interval

# The 97.5th percentile of Student's t with 2, 3, ... 29 degrees of freedom
_T: tuple[float, ...] = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_T += (2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)
_T += (2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a run, or of the evaluation of a function.

    Attributes:
        model: the name of the model.
        recipe: the name of the recipe, with the settings that were changed; "" if the model was not trained here.
        task: the name of the task.
        config: the name of the data set.
        seed: of weights and of the order of the examples.
        metrics: "train" and "test" -> name of the metric -> its mean over every example of the split.
        right: the metric that is 1 for an example that is right.
        closeness: the metric that tells how close the others are.
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
    right: str
    closeness: str
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
    def perfect(self) -> bool:
        """Whether every example of train and test is right."""
        return all(metrics[self.right] == 1 for metrics in self.metrics.values())

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
            temporary.write_text(json.dumps(self._json(), indent=1) + "\n")

    @classmethod
    def read(cls, file: pathlib.Path) -> Result:
        """Reads a result.json, without the examples beside it.

        Raises:
            UserError: one sentence that names the file and what is wrong with it.
        """
        try:
            result = cls(**json.loads(file.read_bytes(), parse_int=_integer), folder=file.parent, examples={})
            for name in ("model", "recipe", "task", "config", "right", "closeness"):
                if not isinstance(getattr(result, name), str):
                    raise TypeError(f"{name} is no string")
            if result.closeness not in tables.UNITS:
                raise UserError(f"closeness is none of {', '.join(tables.UNITS)}")
            if type(result.seed) is not int or result.seed < 0:
                raise TypeError("seed is no whole number of 0 or more")
            for name in ("parameters", "seconds", "examples_per_second"):
                value = getattr(result, name)
                if not isinstance(value, (int, float, NoneType)) or not 0 <= (value or 0) < math.inf:
                    raise TypeError(f"{name} is no number of 0 or more")
            for name in ("environment", "settings"):
                if not isinstance(getattr(result, name), dict):
                    raise TypeError(f"{name} is no object")
            if result.settings:
                result = dataclasses.replace(result, settings=with_later(result.settings))
            if not isinstance(result.command, (str, NoneType)):
                raise TypeError("command is no string")
            for epoch in result.history:
                if not (1 <= epoch["epoch"] < 10**9 and 0 <= epoch["test"][result.right] <= 1):
                    raise UserError("history holds no epochs with shares")
            if set(result.metrics) != {"train", "test"}:
                raise UserError("metrics are not those of train and test")
            for split in ("train", "test"):
                if not all(math.isfinite(value) for value in result.metrics[split].values()):
                    raise UserError("a metric is not finite")
                if not 0 <= result.metrics[split][result.closeness] < 1e30:
                    raise UserError(f"{result.closeness} is no number of 0 or more")
                if not 0 <= result.metrics[split][result.right] <= 1:
                    raise UserError(f"{result.right} is no share")
            return result
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{file} is not the result of a run ({reason}); delete {file.parent}, and run it again.") from error

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
        shapes = {"coordinates": (n, 2), self.right: (n,), self.closeness: (n,)}
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

    def _json(self) -> dict[str, Any]:
        fields = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in fields if name not in ("folder", "examples")}


def with_later(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a file with those that came later, as they were then."""
    return {**_LATER, **settings}


def _integer(text: str) -> int | float:
    """Returns a whole number of JSON; as a float if it has more digits than any that was written, which may be infinite."""
    return int(text) if len(text) < 20 else float(text)


def _files(folder: pathlib.Path, problems: list[str]) -> list[pathlib.Path]:
    """Returns the files of all complete runs below a folder, sorted, and adds a sentence for each folder that is closed."""

    def missed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # Folders may come and go meanwhile.
            problems.append(f"{error.filename} cannot be read ({error.strerror}) and is left out; get access to it.")

    found = []
    for parent, below, names in os.walk(folder, onerror=missed):
        below[:] = [name for name in below if not _UNFINISHED.fullmatch(name)]
        if FILE in names:
            found.append(pathlib.Path(parent, FILE))
    return sorted(found)


def load(folders: Iterable[pathlib.Path], *, none: bool = False) -> tuple[list[Result], list[str]]:
    """Returns the results below the folders, sorted by task, config, label and seed, and a sentence for each file left out.

    Folders that cannot be read are told of in the same way.

    Raises:
        UserError: if a folder does not exist; or, unless `none` is fine, if there is no result.json below any.
    """
    results: dict[str, Result] = {}
    firsts: dict[str, Result] = {}
    problems: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}; expected one with runs, as not-so-clevr train makes them.")
        for file in _files(folder, problems):
            try:
                result = Result.read(file)
                first = firsts.setdefault(naming.run_id(result.task, result.config, result.label), result)
                unlike = [name for name in _ALIKE if getattr(result, name) != getattr(first, name)]
                if unlike:
                    problems.append(
                        f"{file} differs in {' and '.join(unlike)} from {first.folder}, which has its name, and is left out; "
                        "run one of them again, or give the two models different names."
                    )
                elif results.setdefault(result.id, result) != result:
                    problems.append(f"{file} is another run of {result.id}, and left out; give the two models different names.")
            except UserError as error:
                if file.exists():  # Else another process is just replacing the run.
                    problems.append(str(error))
    if not (results or problems or none):
        raise UserError(f"There is no {FILE} below {', '.join(map(str, folders))}; make one with: not-so-clevr train.")
    return sorted(results.values(), key=lambda result: (result.task, result.config, result.label, result.seed)), problems


def interval(values: Sequence[float]) -> float | None:
    """Returns half the width of the 95 % confidence interval of the mean, by Student's t; None for fewer than three values.

    That of two is 13 times their standard deviation divided by the root of 2, which tells nothing.
    """
    if len(values) < ENOUGH:
        return None
    freedom = len(values) - 1
    t = _T[freedom - 2] if freedom < len(_T) + 2 else 1.96 + 2.4 / freedom
    return t * statistics.stdev(values) / len(values) ** 0.5


def grouped(results: Iterable[Result], key: Callable[[Result], Any]) -> dict[Any, list[Result]]:
    """Returns the runs of each key, in the order in which the keys come first."""
    groups: dict[Any, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def leaderboard(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Returns one row for each task, config and label: its runs, one a seed, summed up. The best of a task and config first."""
    rows = []
    for (task, config, name), runs in grouped(results, lambda run: run.row).items():
        test = [run.metrics["test"][run.right] for run in runs]
        closeness = runs[0].closeness
        rows.append(
            {
                "task": task,
                "config": config,
                "model": name,
                "seeds": len(runs),
                "train": statistics.fmean(run.metrics["train"][run.right] for run in runs),
                "test": statistics.fmean(test),
                "test_interval": interval(test),
                "test_lowest": min(test),
                "perfect": sum(run.perfect for run in runs),
                "metric": runs[0].right,
                closeness: statistics.fmean(run.metrics["test"][closeness] for run in runs),
                "parameters": runs[0].parameters,
                "seconds": median(run.seconds for run in runs),
                "hardware": hardware(runs),
                "software": software(runs),
            }
        )
    return sorted(rows, key=lambda row: (row["task"], row["config"], -row["test"], -row["train"], row["model"]))


def hardware(runs: Iterable[Result]) -> str:
    """Returns where some runs ran; `; ` stands between what is different."""
    return "; ".join(sorted({run.hardware for run in runs}))


def software(runs: Iterable[Result]) -> str:
    """Returns what some runs ran with; `; ` stands between what is different."""
    return "; ".join(sorted({run.software for run in runs} - {""}))


class Column(NamedTuple):
    """A column of the leaderboard: the text of a row's cell, and the value by which to sort."""

    text: Callable[[Mapping[str, Any]], str]
    value: Callable[[Mapping[str, Any]], Any]


def _of(key: str, text: Callable[[Any], str] = str) -> Column:
    return Column(lambda row: text(row[key]), lambda row: row[key])


def _measure(row: Mapping[str, Any]) -> str:
    return next(key for key in tables.UNITS if key in row)


_COLUMNS: Mapping[str, Column] = {
    "task": _of("task"),
    "config": _of("config"),
    "model": _of("model"),
    "seeds": _of("seeds"),
    "train": _of("train", tables.percent),
    "test": Column(
        lambda row: tables.percent(row["test"]) + tables.interval(row["metric"], row["test"], row["test_interval"]),
        lambda row: row["test"],
    ),
    "lowest": _of("test_lowest", tables.percent),
    "perfect": Column(lambda row: f"{row['perfect']} of {row['seeds']}", lambda row: row["perfect"] / row["seeds"]),
    "closeness": Column(
        lambda row: f"{_measure(row)} {tables.amount(_measure(row), row[_measure(row)])}",
        lambda row: 1 - row["iou"] if "iou" in row else row[_measure(row)],
    ),
    "parameters": _of("parameters", lambda number: "" if number is None else f"{number:,}"),
    "time": _of("seconds", tables.duration),
    "hardware": _of("hardware"),
}
COLUMNS = tuple(_COLUMNS)


def cells(row: Mapping[str, Any]) -> list[str]:
    """Returns a row of the leaderboard as text, a cell for each of `COLUMNS`; train and test are the shares that are right."""
    return [column.text(row) for column in _COLUMNS.values()]


def values(row: Mapping[str, Any]) -> list[Any]:
    """Returns by what to sort a row of the leaderboard, for each of `COLUMNS`; the closer the answers, the lower."""
    return [column.value(row) for column in _COLUMNS.values()]


def write_leaderboard(rows: Sequence[Mapping[str, Any]], file: pathlib.Path) -> None:
    """Writes the rows of `leaderboard` with `tables.write`; as Markdown and JSON with a table of what others published."""
    published = [dict(zip(PUBLISHED_COLUMNS, row, strict=True)) for row in published_rows()]
    tables.write(file, rows, to_markdown, published=published)


EXPLANATION = """Train and test are the shares of examples that are right (the right pixel; within half a pixel; every
pixel of the canvas), in the mean over seeds, that of test with its 95 % confidence interval (Student's t, cut to 0 to
100; nothing if all seeds agree, or there are fewer than three; where it is wide, the mean tells next to nothing).
Lowest is the worst seed on test. A run is perfect if every example of train and test is right. Closeness is the mean
over the examples of test: how many pixels the answer is off, or IoU. Parameters are trainable ones, the time is the
median of whole runs. A model's name is followed by that of its recipe, unless it is the default, and by the settings
that were changed."""


def to_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the rows of `leaderboard`, and the published results in a table of their own, in Markdown."""
    ours = tables.markdown(COLUMNS, map(cells, rows))
    published = f"## Published elsewhere\n\n{sources()}\n\n{tables.markdown(PUBLISHED_COLUMNS, published_rows())}"
    return f"# Leaderboard\n\n{EXPLANATION}\n{made_with(rows)}\n{ours}\n{published}"


def made_with(rows: Iterable[Mapping[str, Any]]) -> str:
    """Returns a sentence in Markdown about where the numbers of some rows are from."""
    words = "; ".join(sorted({words for row in rows for words in row["software"].split("; ")} - {""}))
    about = f"Measured with {tables.escaped(words)}; the" if words else "The"
    return f"\n{about} command, the seed and the commit of each run are in its `result.json`.\n"


def median(values: Iterable[float | None]) -> float | None:
    """Returns the median of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _flat(examples: Examples) -> dict[str, Any]:
    return {f"{split}/{name}": values for split, columns in examples.items() for name, values in columns.items()}
