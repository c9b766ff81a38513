"""The outcomes of runs: one record, the files that hold them, statistics and the leaderboard."""

from not_so_clevr.results.leaderboard import (
    COLUMNS,
    EXPLANATION,
    cells,
    hardware,
    leaderboard,
    made_with,
    software,
    to_markdown,
    values,
)
from not_so_clevr.results.leaderboard import write as write_leaderboard
from not_so_clevr.results.result import (
    ERRORS,
    FILE,
    INCOMPLETE,
    PAINTED,
    PREDICTED,
    REPLACED,
    SHOWN,
    WEIGHTS,
    Examples,
    Result,
)
from not_so_clevr.results.statistics import ENOUGH, grouped, interval, median
from not_so_clevr.results.store import load, read_lines, reference, write_lines

__all__ = [
    "COLUMNS",
    "ENOUGH",
    "ERRORS",
    "EXPLANATION",
    "FILE",
    "INCOMPLETE",
    "PAINTED",
    "PREDICTED",
    "REPLACED",
    "SHOWN",
    "WEIGHTS",
    "Examples",
    "Result",
    "cells",
    "grouped",
    "hardware",
    "interval",
    "leaderboard",
    "load",
    "made_with",
    "median",
    "read_lines",
    "reference",
    "software",
    "to_markdown",
    "values",
    "write_leaderboard",
    "write_lines",
]
