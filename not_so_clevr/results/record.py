"""What a result.json holds: one format with a number, read and checked, older ones migrated.

The JSON Schema of the format is in result.schema.json beside this file; `python -m
not_so_clevr.results.record` writes it.

| schema | what changed |
|---|---|
| 1 | `right` and `closeness` named the two metrics that count; there was no `schema` |
| 2 | they are `accuracy_metric` and `distance_metric` |
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, Field

from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results.result import SCHEMA

SCHEMA_FILE = pathlib.Path(__file__).with_name("result.schema.json")

_LATER = {"loss": "task"}  # Settings that came later, and what they were in files without them

Amount = Annotated[float, Field(ge=0, lt=1e30)]


def _in_range(values: dict[str, float]) -> dict[str, float]:
    """Raises ValueError unless the values are those of known metrics, each in its range."""
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


class _Strict(pydantic.BaseModel):
    """Takes nothing for a number but a finite number, and no key that it does not know."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Splits(_Strict):
    """The mean of each metric over the examples of a split."""

    train: Metrics
    test: Metrics


class Epoch(_Strict):
    """An epoch of training: its loss, the metrics of test after it, and its seconds."""

    epoch: Annotated[int, Field(ge=1, lt=10**9)]
    loss: float
    test: Metrics
    seconds: Amount | None = None


class Record(_Strict):
    """The outcome of a training run or an evaluation, as a file holds it; see `Result`."""

    schema_: Annotated[int, Field(alias="schema", ge=SCHEMA, le=SCHEMA)]
    model: str
    recipe: str
    task: str
    config: str
    seed: Annotated[int, Field(ge=0)]
    metrics: Splits
    accuracy_metric: str
    distance_metric: str
    settings: dict[str, Any] = {}
    parameters: Annotated[int, Field(ge=0)] | None = None
    history: list[Epoch] = []
    seconds: Amount | None = None
    examples_per_second: Amount | None = None
    environment: dict[str, Any] = {}
    command: str | None = None

    @pydantic.model_validator(mode="after")
    def _check_metrics(self) -> Record:
        """Raises ValueError unless the task's two metrics are named, and are there."""
        if self.task not in TASKS:
            raise ValueError(f"unknown task {self.task!r}")
        for field in ("accuracy_metric", "distance_metric"):
            if getattr(self, field) != getattr(TASKS[self.task], field):
                raise ValueError(f"{field} is {getattr(self, field)!r}")
        for values in (self.metrics.train, self.metrics.test):
            _check_names(values, self.accuracy_metric, self.distance_metric)
        for epoch in self.history:
            _check_names(epoch.test, self.accuracy_metric)
        return self


def _check_names(values: Mapping[str, float], *needed: str) -> None:
    for name in needed:
        if name not in values:
            raise ValueError(f"metric {name!r} is missing")


def checked(text: str | bytes) -> dict[str, Any]:
    """Returns the values of a record from JSON text, migrated to the format of today.

    Raises:
        ValueError: in a few words, if the text is no record.
    """
    values = migrated(json.loads(text))
    try:
        Record.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {message}" if where else message) from error
    return values


def migrated(values: Any) -> dict[str, Any]:
    """Returns the values of a record of any schema as one of today's. Raises ValueError for none."""
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, got {type(values).__name__}")
    if "schema" not in values:
        renamed = {"right": "accuracy_metric", "closeness": "distance_metric"}
        values = {renamed.get(name, name): value for name, value in values.items()}
        values = {"schema": SCHEMA, **values}
    if isinstance(settings := values.get("settings"), Mapping) and settings:
        values["settings"] = with_later(settings)
    return values


def with_later(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a file with those that came later, as they were then."""
    return {**_LATER, **settings}


def schema() -> str:
    """Returns the JSON Schema of the format."""
    return json.dumps(Record.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema())
