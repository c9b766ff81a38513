"""Published experiments: running them, and the verdict on each."""

from not_so_clevr.reproduce.planning import (
    Planned,
    Row,
    estimates,
    left,
    matching,
    plan,
    run,
    runs,
    seconds,
    select,
)
from not_so_clevr.reproduce.verdicts import (
    COLUMNS,
    Reproduction,
    cells,
    table,
    to_markdown,
    verdict,
    write_table,
)

__all__ = [
    "COLUMNS",
    "Planned",
    "Reproduction",
    "Row",
    "cells",
    "estimates",
    "left",
    "matching",
    "plan",
    "run",
    "runs",
    "seconds",
    "select",
    "table",
    "to_markdown",
    "verdict",
    "write_table",
]
