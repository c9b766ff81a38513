"""What the command prints: tables as wide as the terminal, and a line for each run."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence

import rich.box
import rich.cells
import rich.console
import rich.markup
import rich.table

from not_so_clevr import reproduce, results
from not_so_clevr.benchmark import progress
from not_so_clevr.checks import UserError
from not_so_clevr.reproduce import sweep
from not_so_clevr.results import tables
from not_so_clevr.results.published import PUBLISHED_COLUMNS, published_rows

_LEAST = 16  # Characters that a column gets at least whose cells may take several lines
_GAP = "  "
_SHOWN = 30  # Runs of a sweep


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, wide: Sequence[str], spare: Sequence[str] = (), by: int = 0
) -> None:
    """Prints a table; in Markdown, in full width, where standard output is no terminal.

    Args:
        columns: their names.
        rows: a cell for each column.
        wide: columns whose cells may take several lines on a terminal.
        spare: columns that a narrow terminal does not get, the first to be left out first.
        by: on a terminal, rows that agree in so many first cells get a table of their own, with these as its title.
    """
    rows = [list(row) for row in rows]
    if not sys.stdout.isatty():
        print(tables.markdown(columns, rows))
        return
    console = rich.console.Console()
    cells = [[tables.plain(cell) for cell in row] for row in rows]
    widths = [max(map(rich.cells.cell_len, column)) for column in zip(columns, *cells, strict=True)]
    least = {name: min(width, _LEAST) if name in wide else width for name, width in zip(columns, widths, strict=True)}
    shown = list(columns[by:])
    left_out = []
    for name in spare:
        if sum(least[each] + len(_GAP) for each in shown) > console.width:
            shown.remove(name)
            left_out.append(name)
    for title, group in itertools.groupby(cells, key=lambda row: row[:by]):
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, len(_GAP), 0, 0))
        for name in shown:
            table.add_column(name, overflow="fold", no_wrap=name not in wide)
        for row in group:
            table.add_row(*(rich.markup.escape(row[columns.index(name)]) for name in shown))
        if by:
            console.print(", ".join(filter(None, title)), style="bold", markup=False, highlight=False)
        console.print(table)
    if left_out:
        console.print(f"This terminal is too narrow for: {', '.join(left_out)}. A wider one, a pipe and --output get them.\n")


def print_leaderboard(found: Sequence[results.Result]) -> None:
    rows = map(results.cells, results.leaderboard(found))
    print_table(results.COLUMNS, rows, wide=["model"], spare=["hardware", "lowest", "parameters", "closeness", "time"], by=2)


def print_published() -> None:
    print("Published elsewhere:")
    print_table(PUBLISHED_COLUMNS, published_rows(), wide=["train", "test"], spare=["epochs", "metric"], by=2)


def print_reproduction(rows: Iterable[reproduce.Reproduction]) -> None:
    """Prints the rows of `reproduce.table`."""
    print_table(
        reproduce.COLUMNS,
        map(reproduce.cells, rows),
        wide=["model", "published train", "published test", "remark"],
        spare=["hardware", "time", "metric", "published train", "train", "seeds", "remark"],
        by=2,
    )


def print_left(left: Sequence[tuple[reproduce.Row, int]], seconds: Mapping[str, float | None], each: bool) -> None:
    """Prints how many runs are left and how long they take, one after the other; and each of them, if asked for."""
    times = [seconds[row.id] for row, _ in left]
    known = [time for time in times if time is not None]
    parts = [f"about {tables.duration(sum(known))}"] if known or not left else []
    if len(known) < len(left):
        parts.append(f"{len(left) - len(known)} of unknown length")
    print(f"{len(left)} runs to do, {' and '.join(parts)}", flush=True)
    if each:
        texts = [tables.duration(time) if time else "?" for time in times]
        rows = [[row.run.with_seed(seed).id, text] for (row, seed), text in zip(left, texts, strict=True)]
        print_table(["run", "estimate"], rows, wide=["run"])


def print_result(result: results.Result) -> None:
    shares = ", ".join(
        f"{tables.percent(values[result.accuracy_metric])} of {split}" for split, values in result.metrics.items()
    )
    print(f"{result.id}: {shares} right, in {result.seconds or 0:.0f} s", flush=True)


def sweep_table(attempts: Sequence[sweep.Attempt], slots: int) -> rich.console.RenderableType:
    """Returns a table of the runs that go on, below a line that counts them all and tells the time that is left."""
    if not slots:
        return "Ray starts"
    printed = {each: each.printed() for each in attempts if each.number and not each.over}
    epochs = {each: progress.Epoch.read(text) for each, text in printed.items() if text}
    table = rich.table.Table("run", box=rich.box.SIMPLE_HEAD)
    for column in ("epoch", "state", "left"):
        table.add_column(column, no_wrap=True)
    for attempt, epoch in list(epochs.items())[:_SHOWN]:
        cells = ("", "begins", "?")
        if epoch:
            cells = (f"{epoch.done} of {epoch.total}", epoch.state, tables.duration(epoch.left))
        table.add_row(rich.markup.escape(attempt.run.id), *cells)

    running = {attempt: epoch.left for attempt, epoch in epochs.items() if epoch}
    left = sweep.time_left(attempts, running, slots)
    about = "" if left is None else f"; about {tables.duration(left)} left"
    return rich.console.Group(f"{_counts(attempts, len(epochs))}{about}", table)


def _counts(attempts: Sequence[sweep.Attempt], running: int) -> str:
    """Returns how many runs of a sweep are in which state, as text."""
    counts = {
        "running": running,
        "waiting": sum(not each.over for each in attempts) - running,
        "done": sum(each.result is not None for each in attempts),
        "failed": sum(each.over and each.result is None for each in attempts),
    }
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number)


def tell(problems: Iterable[str], failures: Iterable[str] = ()) -> None:
    """Raises UserError if there are problems with files, or failed runs; called when all else is shown.

    The text of a failure may have lines: frames of the user's own code.
    """
    sentences = dict.fromkeys([*map(tables.plain, problems), *failures])
    if sentences:
        raise UserError("\nnot-so-clevr: ".join(sentences))
