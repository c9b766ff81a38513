"""Published experiments: running them, and the verdict on each."""

from not_so_clevr.reproduce.planning import (
    Row,
    estimates,
    left,
    matching,
    plan,
    runs,
    seconds,
    select,
)
from not_so_clevr.reproduce.verdicts import COLUMNS, cells, table, to_markdown, verdict

__all__ = [
    "COLUMNS",
    "Row",
    "cells",
    "estimates",
    "left",
    "matching",
    "plan",
    "runs",
    "seconds",
    "select",
    "table",
    "to_markdown",
    "verdict",
]
