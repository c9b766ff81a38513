"""Published experiments: running them, and the verdict on each, and on the claims of others."""

from not_so_clevr.reproduce.judging import Judgement, judge
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
    "Judgement",
    "Planned",
    "Reproduction",
    "Row",
    "cells",
    "estimates",
    "judge",
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
