"""The format of result.json: versioned, validated, and migrated from older versions.

result.schema.json beside this file is its JSON Schema, written by
`python -m not_so_clevr.results.record`.

| schema | changes |
|---|---|
| 1 | no `schema`; the two main metrics were called `right` and `closeness` |
| 2 | they are called `accuracy_metric` and `distance_metric` |

Fields are added within a schema: they have a default, so that files without them stay valid. A
field that this version does not know is refused, as it may be mistyped.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, Field

from not_so_clevr.checks import UserError
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.dataset.tasks import TASKS

SCHEMA: Literal[2] = 2
SCHEMA_FILE = pathlib.Path(__file__).with_name("result.schema.json")

_RENAMED = {"right": "accuracy_metric", "closeness": "distance_metric"}  # From schema 1

MOST = 1e30  # Of a metric or of seconds
Amount = Annotated[float, Field(ge=0, lt=MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # Keras takes no others.
Number = Annotated[int, Field(ge=0, le=2**63)]


def _in_range(values: dict[str, float]) -> dict[str, float]:
    """Raises ValueError unless all values are those of known metrics, and in their ranges."""
    for name, value in values.items():
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}")
        if value > METRICS[name].highest:
            raise ValueError(f"{name} is {value:g}, above {METRICS[name].highest:g}")
    return values


Metrics = Annotated[
    dict[str, Amount],
    AfterValidator(_in_range),
    Field(json_schema_extra={"propertyNames": {"enum": list(METRICS)}}),
]


class Strict(pydantic.BaseModel):
    """Accepts only finite numbers as numbers, and no unknown key."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Splits(Strict):
    """The mean of each metric over the examples of a split."""

    train: Metrics
    test: Metrics


class Epoch(Strict):
    """A measured epoch: its loss, metrics of test, and seconds of training since the one before."""

    epoch: Annotated[int, Field(ge=1, lt=10**9)]
    loss: float
    test: Metrics
    seconds: Amount | None = None
    cpu_seconds: Amount | None = None


class Search(Strict):
    """How a recipe was found: the points that were tried, and how many of them were perfect."""

    config: str
    points: Annotated[Number, Field(ge=1)]
    perfect: Number
    seeds: Annotated[Number, Field(ge=1)]
    seconds: Amount


class Solved(Strict):
    """The first measured epoch with every test example right, and the training until then."""

    epoch: Annotated[int, Field(ge=1, lt=10**9)]
    seconds: Amount


class Record(Strict):
    """The outcome of a training run or an evaluation, as a file holds it; see `Result`."""

    schema_: Annotated[Literal[2], Field(alias="schema")]
    model: str
    recipe: str
    task: str
    config: str
    seed: Seed
    metrics: Splits
    accuracy_metric: str
    distance_metric: str
    settings: dict[str, Any] = {}
    parameters: Number | None = None
    history: list[Epoch] = []
    seconds: Amount | None = None
    examples_per_second: Amount | None = None
    cpu_seconds: Amount | None = None
    environment: dict[str, Any] = {}
    command: str | None = None
    also: dict[str, Splits | str] = {}
    search: Search | None = None
    solved: Solved | None = None

    @pydantic.model_validator(mode="after")
    def _check_metrics(self) -> Record:
        """Raises ValueError unless the record names the task's two main metrics and has them."""
        if self.task not in TASKS:
            raise ValueError(f"unknown task {self.task!r}")
        task = TASKS[self.task]
        named = self.accuracy_metric, self.distance_metric
        if named != (task.accuracy_metric, task.distance_metric):
            raise ValueError(f"{' and '.join(named)} are not the metrics of {self.task}")

        elsewhere = (each for each in self.also.values() if isinstance(each, Splits))
        for splits in (self.metrics, *elsewhere):
            for values in (splits.train, splits.test):
                _check_names(values, *named)
        for epoch in self.history:
            _check_names(epoch.test, self.accuracy_metric)
        return self


def _check_names(values: Mapping[str, float], *needed: str) -> None:
    for name in needed:
        if name not in values:
            raise ValueError(f"metric {name!r} is missing")


def checked(values: Any) -> dict[str, Any]:
    """Returns the values of a record, migrated to the current schema.

    Args:
        values: what the JSON of a file or a line holds.

    Raises:
        UserError: one sentence, if it is a record of a newer version.
        ValueError: in a few words, if it is not a record.
    """
    values = migrated(values)
    try:
        Record.model_validate(values)
    except pydantic.ValidationError as error:
        raise ValueError(reason(error)) from error
    return values


def reason(error: Exception) -> str:
    """Returns what an error says; of several faults of a record, the first."""
    if not isinstance(error, pydantic.ValidationError):
        return str(error) or type(error).__name__
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown field, mistyped or of a newer not-so-clevr"
    elif first["type"] == "missing":
        message = "it is missing"
    elif isinstance(first["input"], (str, int, float, type(None))):
        message += f", got {first['input']!r}"
    return f"{where}: {message}" if where else message


def migrated(values: Any) -> dict[str, Any]:
    """Returns the values of a record of any schema in the current one.

    Raises:
        UserError: one sentence, if they are of a schema from the future.
        ValueError: in a few words, if they are not a JSON object, or of no known schema.
    """
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, got {type(values).__name__}")
    if "schema" not in values:
        values = {_RENAMED.get(name, name): value for name, value in values.items()}
        values = {"schema": SCHEMA, **values}
    number = values["schema"]
    if isinstance(number, int) and number > SCHEMA:
        raise UserError(
            f"schema {number} is newer than this version's, {SCHEMA}; update not-so-clevr."
        )
    if number != SCHEMA:
        raise ValueError(f"unknown schema {number!r}; this version reads {SCHEMA} and older")
    return values


def schema() -> str:
    """Returns the JSON Schema of the format."""
    return json.dumps(Record.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema())
