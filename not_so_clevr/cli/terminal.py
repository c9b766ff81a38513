"""What the command prints: tables as wide as the terminal, and the events of runs."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import rich.box
import rich.cells
import rich.console
import rich.markup
import rich.table
import typer

from not_so_clevr import reproduce, results
from not_so_clevr.benchmark import progress
from not_so_clevr.benchmark.events import Failed, Finished, OutOfTime, Started
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.reproduce import judging, sweep
from not_so_clevr.results import comparison, tables
from not_so_clevr.results.leaderboard import Row
from not_so_clevr.results.published import PUBLISHED_COLUMNS

if TYPE_CHECKING:
    from not_so_clevr.benchmark import protocol, tuning, verification
    from not_so_clevr.benchmark.experiment import Run

WHITE = "\n\t"  # In text of several lines, e.g. of user code

_MIN_WIDTH = 16  # Of a column whose cells may wrap, in characters
_GAP = 3  # Two of padding, and one of the box
_MAX_SHOWN = 30  # Running runs of a sweep


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    wide: Sequence[str],
    spare: Sequence[str] = (),
    by: int = 0,
) -> None:
    """Prints a table to fit the terminal; elsewhere in Markdown and in full.

    Args:
        columns: their names.
        rows: a cell for each column.
        wide: columns whose cells may wrap.
        spare: columns that a narrow terminal does without, the first to go first.
        by: rows that agree in this many first cells get a table of their own, titled by them.
    """
    rows = list(rows)
    if not sys.stdout.isatty():
        print(tables.markdown(columns, rows))
        return

    console = rich.console.Console()
    cells = [[tables.plain(cell) for cell in row] for row in rows]
    widths = _widths(columns[by:], [row[by:] for row in cells], wide)
    hidden = _hidden(widths, spare, console.width)
    shown = [name for name in widths if name not in hidden]
    # Rich cuts what does not fit; a terminal wraps it.
    console.width = max(console.width, sum(widths[name] for name in shown))

    for title, group in itertools.groupby(cells, key=lambda row: row[:by]):
        table = rich.table.Table(
            box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0)
        )
        for name in shown:
            table.add_column(name, overflow="fold", no_wrap=name not in wide)
        for row in group:
            table.add_row(*(rich.markup.escape(row[columns.index(name)]) for name in shown))
        if by:
            text = ", ".join(filter(None, title))
            console.print(text, style="bold", markup=False, highlight=False)
        console.print(table)
    if hidden:
        where = "a wider terminal, a pipe or --output shows them"
        console.print(f"This terminal is too narrow for: {', '.join(hidden)}; {where}.\n")


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], wide: Sequence[str]
) -> dict[str, int]:
    """Returns the characters that each column needs; the cells of wide ones may wrap."""
    widths = {}
    for name, *cells in zip(columns, *rows, strict=True):
        longest = max(map(rich.cells.cell_len, [name, *cells]))
        widths[name] = _GAP + (min(longest, _MIN_WIDTH) if name in wide else longest)
    return widths


def _hidden(widths: Mapping[str, int], spare: Sequence[str], width: int) -> list[str]:
    """Returns the spare columns that must go to fit the others into a width."""
    needed = sum(widths.values())
    hidden: list[str] = []
    for name in spare:
        if needed <= width:
            break
        needed -= widths[name]
        hidden.append(name)
    return hidden


def print_leaderboard(rows: Sequence[Row]) -> None:
    spare = ["hardware", "time", "lowest", "compute", "robust", "parameters", "distance"]
    print_table(list(results.COLUMNS), results.marked(rows), wide=["model"], spare=spare, by=2)
    if any(row.reference for row in rows):
        print(f"{results.MARKED}\n")


def print_comparisons(comparisons: Sequence[results.Comparison]) -> None:
    """Prints how two models compare, and what the table says."""
    first, second = (tables.plain(each) for each in (comparisons[0].first, comparisons[0].second))
    print(f"First: {first}. Second: {second}. Right: a perfect run (seeds), a test example.\n")
    rows = [row for each in comparisons for row in comparison.cells(each)]
    print_table(comparison.COLUMNS, rows, wide=[], by=2)
    print(
        "p: McNemar's exact test, two-sided, of the pairs that only one gets right. Examples of "
        "one seed are not independent: theirs is about these networks, not about the models."
    )


def print_elsewhere(rows: Sequence[Row]) -> None:
    """Prints what others published for the tasks and configs of rows, if anything."""
    if published := results.elsewhere(rows):
        print("Published elsewhere:")
        wide, spare = ["train", "test"], ["epochs", "metric"]
        print_table(PUBLISHED_COLUMNS, published, wide=wide, spare=spare, by=2)


def print_reproduction(rows: Iterable[reproduce.Reproduction]) -> None:
    """Prints the rows of `reproduce.table`."""
    wide = ["model", "published train", "published test", "remark"]
    spare = ["hardware", "time", "metric", "published train", "train", "seeds", "remark"]
    print_table(reproduce.COLUMNS, map(reproduce.cells, rows), wide=wide, spare=spare, by=2)


def print_judgements(judgements: Sequence[reproduce.Judgement]) -> None:
    """Prints the lines of `reproduce.judge`, and the verdicts."""
    rows = [judging.cells(line) for each in judgements for line in each.lines]
    wide, spare = ["runs", "finding"], ["a run takes", "test", "perfect", "claim"]
    print_table(judging.COLUMNS, rows, wide=wide, spare=spare)
    for each in judgements:
        time = tables.duration(each.seconds) or "unknown"
        print(f"{each.thesis.suite} ({time} on one core): {each.thesis.claim}\n  {each.verdict}")


def print_left(
    left: Sequence[tuple[reproduce.Row, int]], seconds: Mapping[str, float | None], each: bool
) -> None:
    """Prints how many runs are left and how long they take in sequence; with `each`, lists them."""
    times = [seconds[row.id] for row, _ in left]
    known = [time for time in times if time is not None]
    parts = [f"about {tables.duration(sum(known))}"] if known or not left else []
    if len(known) < len(left):
        parts.append(f"{len(left) - len(known)} of unknown length")
    print(f"{counted(len(left))} to do, {' and '.join(parts)}", flush=True)

    if each:
        rows = [
            [row.run.with_seed(seed).id, tables.duration(time) if time else "?"]
            for (row, seed), time in zip(left, times, strict=True)
        ]
        print_table(["run", "estimate"], rows, wide=["run"])


def counted(runs: int) -> str:
    """Returns a number of runs as text: `1 run`, `3 runs`."""
    return "1 run" if runs == 1 else f"{runs} runs"


def print_result(result: results.Result) -> None:
    metric = result.accuracy_metric
    shares = tables.shares(result.metrics, metric)
    print(f"{result.id}: {shares}, in {result.seconds or 0:.0f} s", flush=True)
    for name, metrics in result.also.items():
        shares = tables.plain(tables.shares(metrics, metric))
        print(f"{result.id} -> {name}: {shares}", flush=True)


def print_checks(checks: Iterable[verification.Check]) -> None:
    """Prints a row for each number that is not equal, and one for all others of a run."""
    rows = []
    for (run, how), group in results.grouped(checks, lambda each: (each.run, each.how)).items():
        equal = [each for each in group if each.verdict == "equal"]
        if equal:
            what = equal[0].what if len(equal) == 1 else f"{len(equal)} numbers"
            rows.append([run, how, what, "", "", "equal", ""])
        for each in group:
            if each.verdict not in ("equal", "not measured"):
                numbers = ["" if n is None else f"{n:.6g}" for n in (each.recorded, each.measured)]
                rows.append([run, how, each.what, *numbers, each.verdict, each.note])
    columns = ["run", "by", "number", "recorded", "measured", "verdict", "note"]
    if rows:
        print_table(columns, rows, wide=["run", "note"])


def print_search(search: tuning.Search) -> None:
    """Prints the points of a search; the best is marked."""
    best, rows = search.best, []
    for point in search.points:
        metric = point.run.task.distance_metric
        cells = ["failed", "", ""]
        if point.is_complete:
            cells = [
                tables.percent(point.test()),
                tables.amount(metric, point.distance()),
                "yes" if point.is_perfect else "",
            ]
        recipe, mark = point.run.recipe, " (best)" if point is best else ""
        rates = [f"{recipe.learning_rate:g}", f"{recipe.weight_decay:g}{mark}"]
        rows.append([*rates, *cells, tables.duration(point.seconds)])
    columns = ["learning rate", "weight decay", "test", "distance", "perfect", "time"]
    print_table(columns, rows, wide=[])


def print_suite(planned: protocol.Suite) -> None:
    """Prints the number of runs of a suite, and why the model does not fit other tasks."""
    tasks = ", ".join(dict.fromkeys(run.task.name for run in planned.runs))
    print(f"{planned.seeds * len(planned.runs)} runs: {tasks}", flush=True)
    for task, reason in planned.gaps.items():
        print(f"Not {task}: {tables.plain(reason.partition(WHITE[0])[0])}", flush=True)


def print_profile(profile: results.Profile, neighbours: Sequence[results.Neighbour]) -> None:
    """Prints a profile beside its neighbours, and what the table says."""
    print(f"\nProfile of {', '.join(map(tables.plain, profile.labels))}\n")
    profiles = [profile, *(each.profile for each in neighbours)]
    columns = [profile.model, *(each.label for each in neighbours)]
    rows = [
        [task, capability, *(each.text(task, capability) for each in profiles)]
        for task in TASKS
        for capability in results.CAPABILITIES
        if task not in profile.gaps
    ]
    spare = columns[:0:-1]
    print_table(["task", "capability", *columns], rows, wide=columns, spare=spare, by=1)
    print("Share of test right, averaged over seeds, and runs with all of train and test right.")
    if neighbours:
        found = (f"{each.label} {each.distance:.2f} ({each.shared})" for each in neighbours)
        print(f"Nearest reference models, by {results.NEAREST}: {', '.join(found)}.")
    print()


def sweep_table(attempts: Sequence[sweep.Attempt], slots: int) -> rich.console.RenderableType:
    """Returns a table of the running runs, below the counts of all runs and the time left."""
    if not slots:
        return "Ray is starting"
    printed = {each: each.printed() for each in attempts if each.number and not each.over}
    epochs = {each: progress.Epoch.read(text) for each, text in printed.items() if text}

    table = rich.table.Table("run", box=rich.box.SIMPLE_HEAD)
    for column in ("epoch", "state", "left"):
        table.add_column(column, no_wrap=True)
    for attempt, epoch in list(epochs.items())[:_MAX_SHOWN]:
        cells = ("", "starting", "?")
        if epoch:
            cells = (f"{epoch.done} of {epoch.total}", epoch.state, tables.duration(epoch.left))
        table.add_row(rich.markup.escape(attempt.run.id), *cells)

    running = {attempt: epoch.left for attempt, epoch in epochs.items() if epoch}
    left = sweep.time_left(attempts, running, slots)
    about = "" if left is None else f"; about {tables.duration(left)} left"
    return rich.console.Group(f"{_counts(attempts, len(epochs))}{about}", table)


def _counts(attempts: Sequence[sweep.Attempt], running: int) -> str:
    """Returns how many runs of a sweep are in each state, as text."""
    counts = {
        "running": running,
        "waiting": sum(not each.over for each in attempts) - running,
        "done": sum(each.result is not None for each in attempts),
        "failed": sum(each.over and each.result is None for each in attempts),
    }
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number)


class RunsFailed(UserError):  # noqa: N818 - what failed is in the name.
    """Runs failed; the command exits with status 1."""


def raise_problems(
    problems: Iterable[str],
    failures: Iterable[str] = (),
    failing: type[UserError] = RunsFailed,
) -> None:
    """Raises one error of all problems with files and all failures, if there are any.

    Called last, when everything else is printed. A failure may have lines: frames of user code.

    Raises:
        RunsFailed: or another `failing`, if there is a failure.
        UserError: if there are only problems.
    """
    failed = [*failures]
    sentences = dict.fromkeys([*map(tables.plain, problems), *failed])
    if sentences:
        kind = failing if failed else UserError
        raise kind("\nnot-so-clevr: ".join(sentences))


def failed(failures: Mapping[str, str]) -> Iterator[str]:
    """Yields a sentence for each reason why runs failed, from run ids and reasons."""
    for reason, ids in results.grouped(failures, failures.__getitem__).items():
        others = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        yield f"{tables.plain(ids[0])}{others} failed: {reason}"


@contextlib.contextmanager
def telling(problems: Iterable[str]) -> Iterator[None]:
    """Raises one UserError of problems with files at the end, also if another error comes first."""
    try:
        yield
    except UserError as error:
        raise_problems([*problems, str(error)])
    raise_problems(problems)


@contextlib.contextmanager
def interruptible(how_to_continue: Callable[[], str] = lambda: "interrupted.") -> Iterator[None]:
    """After Ctrl-C, prints the interrupt's message, or else another, and exits with 130."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        print(f"not-so-clevr: {str(interrupt) or how_to_continue()}", file=sys.stderr)
        raise typer.Exit(130) from None


def follow(
    events: Iterable[object],
    again: str,
    runs: pathlib.Path,
    replaced: Sequence[Run] = (),
) -> tuple[list[results.Result], dict[str, str]]:
    """Prints the events of runs; returns the results, and why others failed by run id.

    Args:
        events: of `benchmark.runner`.
        again: the command that continues an interrupted run.
        runs: the folder of all runs.
        replaced: runs that the command replaces.
    """
    found, failures, current = [], {}, None
    with interruptible(lambda: _how_to_continue(current, again, runs, replaced)):
        for event in events:
            match event:
                case Started():
                    current = event.run
                case Finished():
                    print_result(event.result)
                    found.append(event.result)
                case Failed():
                    failures[event.run.id] = event.message
                case OutOfTime():
                    print(f"{event.run.id}: out of time; {again} continues it.", flush=True)
    return found, failures


def _how_to_continue(
    run: Run | None, again: str, runs: pathlib.Path, replaced: Sequence[Run]
) -> str:
    """Returns which command continues the interrupted run, and which runs are still old."""
    if run is None:
        return "interrupted before the first run."
    from not_so_clevr.benchmark.run_folder import RunFolder

    old = [
        each.seed
        for each in replaced
        if each.seed >= run.seed and RunFolder(runs, each.id).complete
    ]
    advice = [] if run.seed in old else [f"{again} continues it"]
    if old:
        advice.append(f"not yet replaced: seed {', '.join(map(str, old))}")
    return f"{run.id} was interrupted; {'; '.join(advice)}."
