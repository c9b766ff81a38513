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
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

SCHEMA = 2
SCHEMA_FILE = pathlib.Path(__file__).with_name("result.schema.json")

_LATER = {"loss": "task"}  # Settings that came later, and what they were in files without them

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, lt=1e30)]
Metrics = dict[str, float]

_SHARE: pydantic.TypeAdapter[float] = pydantic.TypeAdapter(Share)
_AMOUNT: pydantic.TypeAdapter[float] = pydantic.TypeAdapter(Amount)


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

    schema_: Annotated[Literal[2], Field(alias="schema")]
    model: str
    recipe: str
    task: str
    config: str
    seed: Annotated[int, Field(ge=0)]
    metrics: Splits
    accuracy_metric: str
    distance_metric: Literal["distance", "error", "iou"]
    settings: dict[str, Any] = {}
    parameters: Annotated[int, Field(ge=0)] | None = None
    history: list[Epoch] = []
    seconds: Amount | None = None
    examples_per_second: Amount | None = None
    environment: dict[str, Any] = {}
    command: str | None = None

    @pydantic.model_validator(mode="after")
    def _check_metrics(self) -> Record:
        """Raises ValueError unless the two metrics that count are there, and in their ranges."""
        for split in (self.metrics.train, self.metrics.test):
            _SHARE.validate_python(split[self.accuracy_metric])
            _AMOUNT.validate_python(split[self.distance_metric])
        for epoch in self.history:
            _SHARE.validate_python(epoch.test[self.accuracy_metric])
        return self


def checked(text: str | bytes) -> dict[str, Any]:
    """Returns the values of a record from JSON text, migrated to the format of today.

    Raises:
        ValueError: in a few words, if the text is no record.
    """
    values = migrated(json.loads(text))
    try:
        Record.model_validate_json(json.dumps(values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    except KeyError as error:
        raise ValueError(f"metric {error} is missing") from error
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
