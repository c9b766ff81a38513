"""Published experiments: running them, and the verdict on each."""

from not_so_clevr.reproduce.suites import Planned, reference, run
from not_so_clevr.reproduce.verdicts import (
    COLUMNS,
    Row,
    cells,
    estimates,
    left,
    matching,
    plan,
    runs,
    seconds,
    select,
    table,
    to_markdown,
    verdict,
)

__all__ = [
    "COLUMNS",
    "Planned",
    "Row",
    "cells",
    "estimates",
    "left",
    "matching",
    "plan",
    "reference",
    "run",
    "runs",
    "seconds",
    "select",
    "table",
    "to_markdown",
    "verdict",
]
