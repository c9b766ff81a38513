"""Measuring recorded results again, from their weights or by training again.

What is measured again rarely has the same bits on another machine. So a number may be

- *equal*;
- *close*: as far off as another processor explains. That depends on how it was measured:
    - From weights, or trained again in the recorded environment, only rounding can differ: by
      0.1 % and 0.001 (pixels or IoU), and one example in 500.
    - Trained again elsewhere, rounding grows with every step, until the run is like one with
      another seed: it may lie anywhere in the 95 % prediction interval of the seeds of its row
      (Student's t), or within 1 % and 0.1 pixels of the recorded number;
- *different*.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import pathlib
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from not_so_clevr import files, results
from not_so_clevr.benchmark import (
    answers,
    distribution,
    environment,
    evaluation,
    loading,
    networks,
    progress,
    registry,
    run_folder,
    runner,
    tracebacks,
    transfer,
)
from not_so_clevr.benchmark.events import collected
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.recipe import Recipe
from not_so_clevr.checks import UserError, boolean, integer
from not_so_clevr.dataset.batches import Examples
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.dataset.tasks import as_task
from not_so_clevr.results import Result

EQUAL, CLOSE, DIFFERENT, FAILED = "equal", "close", "different", "not measured"
NUMBERS, WEIGHTS, TRAINING = "its own numbers", "weights", "training"
RULES = "the rules"

FILE = "results.jsonl"  # Of a submission

_ROUNDING = 1e-3  # Relative, and in pixels or IoU
_FLIPPED = 1 / 500  # Of the examples
_LEAST = {"%": 0.01, "": 0.01, "px": 0.1}  # By the unit of the metric, however alike the seeds


@dataclasses.dataclass(frozen=True)
class Check:
    """A recorded number, and what it is when measured again.

    Attributes:
        run: the id of the run; of its row, if `RULES` are broken.
        how: how it was measured: by `NUMBERS` (compared with each other), `WEIGHTS` or `TRAINING`;
            or `RULES`, those of docs/rules.md.
        what: the name of the number, e.g. "test accuracy".
        recorded: the number in the file; None if it is not a number.
        measured: the number now; None if there is none.
        verdict: `EQUAL`, `CLOSE`, `DIFFERENT`, or `FAILED` if it cannot be measured.
        note: why, or what would be close.
    """

    run: str
    how: str
    what: str
    recorded: float | None = None
    measured: float | None = None
    verdict: str = EQUAL
    note: str = ""


def verify(
    place: str | pathlib.Path,
    *,
    seed: int | None = None,
    every: bool = False,
    runs: str | pathlib.Path | None = None,
    verbose: str | int = "auto",
) -> Iterator[Check]:
    """Measures recorded results again, and compares.

    A result that has its weights beside it is measured from them, every metric of every example
    that it has. Of the others, one seed of each row of the leaderboard, drawn at random, is trained
    again with the recorded settings, on examples drawn here, unless numbers of the row contradict
    each other. Answers that depend on the order or the company of the examples count as different.

    The code of a submission runs in this process, so read it first.

    Args:
        place: the folder of a submission, or its results.jsonl; or a folder with runs.
        seed: train this seed of each row that has it again, whether there are weights or not.
        every: train all seeds again.
        runs: a folder in which to keep the runs that are trained again; the next call continues
            them, and draws no others. Nothing is written if None.
        verbose: as for `benchmark.run`.

    Yields:
        A check for each number, run by run.

    Raises:
        UserError: one sentence, if the place has no results, or none with that seed; or if an
            argument is wrong.
    """
    place = files.expanded(place)
    found = read(place)
    yield from check(found, place, seed=seed, every=every, runs=runs, verbose=verbose)


def check(
    found: Sequence[Result],
    place: pathlib.Path,
    *,
    seed: int | None,
    every: bool,
    runs: str | pathlib.Path | None,
    verbose: str | int,
) -> Iterator[Check]:
    """Measures the results that `read` has found in a place; otherwise as `verify`."""
    every = boolean("every", every)
    if every and seed is not None:
        raise UserError(f"seed={seed} and every=True exclude each other; give one of them.")
    if seed is not None:
        integer("seed", seed, 0, 2**32 - 1)
    if seed is not None and all(each.seed != seed for each in found):
        seeds = ", ".join(map(str, sorted({each.seed for each in found})))
        raise UserError(f"{place} has no result with seed {seed}; expected one of {seeds}.")
    options = RunOptions(data="memory", runs=runs, resume=runs is not None, verbose=verbose)

    impossible = set()
    for result in found:
        for each in _numbers(result):
            if each.verdict == DIFFERENT:
                impossible.add(result.row)
            yield each
    rows = results.grouped(found, lambda each: each.row)
    for row in rows.values():
        yield from _seeds(row)
    chosen = {name: _chosen(row, seed, every, runs) for name, row in rows.items()}
    with _importable(place if place.is_dir() else place.parent):
        for name, again in chosen.items():
            for result, weights in again:
                # Settings that contradict each other can make a training endless.
                if weights is not None or name not in impossible:
                    yield from _again(result, weights, rows[name], options)


def read(place: pathlib.Path) -> list[Result]:
    """Returns the results in a place, with the metrics of every example if they are there.

    Raises:
        UserError: one sentence, if there are none, one is damaged or there twice, or seeds of a row
            differ in more than their seed.
    """
    if place.is_dir() and (place / FILE).exists():
        place = place / FILE
    if not place.exists():
        raise UserError(
            f"There is no {place}; expected the folder of a submission, or one with runs."
        )
    if place.is_dir():
        found, problems = results.load([place])
        if problems:
            raise UserError(problems[0])
        return [each.with_examples() for each in found]
    if place.suffix != ".jsonl":
        raise UserError(f"{place} is not a .jsonl file; expected {FILE}, or a folder with runs.")
    return _read_lines(place)


def _read_lines(file: pathlib.Path) -> list[Result]:
    """Returns the results in a file. Raises UserError if they do not go together."""
    found = results.read_lines(file)
    firsts: dict[tuple[str, str, str], Result] = {}
    known: set[str] = set()
    for result in found:
        first = firsts.setdefault(result.row, result)
        if result.id in known:
            raise UserError(f"{file} has {result.id} twice; expected each run once.")
        known.add(result.id)
        for name in ("settings", "parameters"):
            if getattr(first, name) != getattr(result, name):
                raise UserError(
                    f"{file}: {result.id} differs in {name} from seed {first.seed}; "
                    "expected the same, or another name of the recipe."
                )
    if not found:
        raise UserError(f"{file} has no results; expected a record per line.")
    return found


@contextlib.contextmanager
def _importable(folder: pathlib.Path) -> Iterator[None]:
    """Lets modules of a folder be imported, after installed ones, and forgets them at the end."""
    folder = folder.resolve()
    known = set(sys.modules)
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file and pathlib.Path(file).resolve().is_relative_to(folder):
                del sys.modules[name]


def _chosen(
    row: Sequence[Result], seed: int | None, every: bool, runs: str | pathlib.Path | None
) -> list[tuple[Result, pathlib.Path | None]]:
    """Returns the results of a row to measure again, and the weights of each, None to train it.

    Without `every`, and unless the row has `seed`, one of those without weights is drawn, so that
    nobody can know which; one that an earlier call has begun in `runs` is continued.
    """
    weights = {result.seed: _weights(result) for result in row}
    again = [result for result in row if every or result.seed == seed]
    without = [result for result in row if weights[result.seed] is None]
    if without and not again:
        begun = [] if runs is None else [each for each in without if _is_begun(each, runs)]
        again = [secrets.choice(begun or without)]
    measured = [(each, weights[each.seed]) for each in row if weights[each.seed] is not None]
    return [*measured, *((each, None) for each in again)]


def _is_begun(result: Result, runs: str | pathlib.Path) -> bool:
    """Returns whether a folder of runs has the run of a result, complete or not."""
    folder = run_folder.RunFolder(runs, result.id)
    return folder.final.exists() or folder.partial.exists()


def _weights(result: Result) -> pathlib.Path | None:
    """Returns the file with the weights of a result; None if there is none."""
    assert result.folder is not None
    file = result.folder / results.WEIGHTS
    if result.folder.is_file():
        file = result.folder.with_name(weights_name(result))
    return file if os.path.exists(file) else None  # Its name may be too long for a file.


def weights_name(result: Result) -> str:
    """Returns the name of the file with the weights of a result of a submission."""
    return f"{result.id.replace('/', '.')}.weights.h5"


def _numbers(result: Result) -> Iterator[Check]:
    """Yields whether the numbers of a result agree with each other."""
    try:
        wrong: list[tuple[str, float | None, str]] = list(results.contradictions(result))
    except UserError as error:
        wrong = [("config", None, str(error))]
    for what, value, reason in wrong:
        yield Check(result.id, NUMBERS, what, value, None, DIFFERENT, reason)
    if not wrong:
        yield Check(result.id, NUMBERS, "all")
    assert result.folder is not None
    errors = result.folder / results.ERRORS
    if errors.exists() and not result.examples:
        note = f"{errors} is damaged, or of another run; move it away to compare the rest."
        yield Check(result.id, NUMBERS, "each example", verdict=FAILED, note=note)


def _seeds(row: Sequence[Result]) -> Iterator[Check]:
    """Yields that a row has too few seeds, or has left some out, if so."""
    missing = set(range(max(results.ENOUGH, len(row)))) - {result.seed for result in row}
    if missing:
        name = row[0].id.rpartition("/")[0]
        note = f"expected {results.ENOUGH} or more, numbered from 0; seed {min(missing)} is missing"
        yield Check(name, RULES, "seeds", len(row), None, DIFFERENT, note)


def _again(
    record: Result, weights: pathlib.Path | None, row: Sequence[Result], options: RunOptions
) -> Iterator[Check]:
    """Yields the comparison of a result with what it is when measured again."""
    how = TRAINING if weights is None else WEIGHTS
    try:
        with environment.restored():
            environment.make_deterministic()
            run, trained = _run(record), None
            if weights is None:
                network, trained = _train(run, record, options)
            else:
                network = networks.build(run)
                run_folder.load_weights(network, weights)
            measured = _measure(network, run, record, options)
    except UserError as error:
        verdict = DIFFERENT if isinstance(error, answers.Unstable) else FAILED
        yield Check(record.id, how, "answers", None, None, verdict, str(error))
        return
    except (Exception, SystemExit) as error:
        if not tracebacks.own_frames(error):  # A bug of this package
            raise
        note = tracebacks.explain(f"{record.model} cannot be measured again", error)
        yield Check(record.id, how, "answers", verdict=FAILED, note=note)
        return

    alike = trained is None or environment.is_same(record.environment, trained.environment)
    yield from _compare(record, measured, [] if alike else row, how)
    if alike:
        yield from _compare_examples(record, measured, how)
    if trained is not None:
        yield from _compare_training(record, trained, row, alike)


def _run(record: Result) -> Run:
    """Returns the run that a result records. Raises UserError, one sentence, if it is none."""
    settings = {name: value for name, value in record.settings.items() if value is not None}
    if "model" not in settings:
        raise UserError(
            f"{record.id} has no recipe, as it was not trained here; only what not-so-clevr train "
            "makes can be measured again."
        )
    try:
        recipe = Recipe(**settings)
        config, *_ = [as_config(name) for name in (record.config, *record.also)]
        task = as_task(record.task, config.canvas_size)
    except TypeError as error:
        raise UserError(f"{record.id} has settings that are not those of a recipe: {error}.") from (
            error
        )
    except UserError as error:
        raise UserError(f"{record.id} cannot be measured again: {error}") from error
    return Run(
        registry.find(record.model),
        task,
        config,
        recipe,
        chosen=record.recipe,
        settings={},
        seed=record.seed,
    )


class _Network(keras.callbacks.Callback):
    """Holds the network that is trained, as its `model`."""


def _train(run: Run, record: Result, options: RunOptions) -> tuple[keras.Model, Result]:
    """Trains a run; returns its network and its result. Raises UserError if it fails."""
    held = _Network()
    options = dataclasses.replace(options, callbacks=[held])
    made, failures = collected(runner.make([run], options, wait=True))
    if failures:
        raise UserError(failures[run.id])
    (result,) = made
    if result.seconds == record.seconds:
        raise UserError(
            f"{options.runs} holds the run to verify, {run.id}; give another folder to train in."
        )
    network = held.model
    if network is None:  # The run was complete.
        assert options.runs is not None
        network = networks.build(run)
        run_folder.RunFolder(options.runs, run.id).load_weights(network)
    return network, result


def _measure(network: keras.Model, run: Run, record: Result, options: RunOptions) -> Result:
    """Returns a record with what a network gets now, also on its other data sets."""
    arrays = loading.load(run.config, run.task, "memory")
    splits = {split: Examples(each, run.task) for split, each in arrays.items()}
    also = {}
    with progress.examples(options.verbose) as on_progress:
        predict = transfer.counted(
            distribution.predictor(network, 1), run.id, run.config.num_examples, on_progress
        )
        examples = evaluation.measure(predict, splits, run.model.name, again=True)
        for name in record.also:
            there = as_config(name)
            also[name] = transfer.outcome(network, run, there, 1, on_progress, again=True)
    return dataclasses.replace(
        record,
        metrics=evaluation.summary(examples, run.task),
        parameters=registry.parameters(network),
        also=also,
        examples=examples,
    )


def _compare(
    record: Result, measured: Result, seeds: Sequence[Result], how: str
) -> Iterator[Check]:
    """Yields the comparison of all metrics, and of the number of parameters.

    Args:
        record: the recorded result.
        measured: the same, measured again.
        seeds: those of its row, if another seed may be as far off; otherwise rounding alone counts.
        how: see `Check`.
    """
    if record.parameters is not None and measured.parameters is not None:
        verdict = EQUAL if record.parameters == measured.parameters else DIFFERENT
        yield Check(record.id, how, "parameters", record.parameters, measured.parameters, verdict)
    for name, there in record.also.items():
        if isinstance(there, str) and not isinstance(measured.also[name], str):
            yield Check(record.id, how, name, None, None, DIFFERENT, "it does fit")
    now = _metrics(measured)
    for key, value in _metrics(record).items():
        config, split, metric = key
        what = f"{split} {metric}" if config == record.config else f"{config} {split} {metric}"
        if key not in now:
            yield Check(record.id, how, what, value, None, DIFFERENT, "it does not fit")
            continue
        unit = METRICS[metric].unit
        if seeds:
            allowed = _LEAST[unit]
        elif unit == "%" and metric != "pixel_accuracy":
            count = len(as_config(config).split_centres()[split])
            allowed = int(_FLIPPED * count) / count
        else:
            allowed = _ROUNDING * (1 + value)
        others = [found[key] for found in map(_metrics, seeds) if key in found]
        verdict, note = _verdict(value, now[key], allowed, others)
        yield Check(record.id, how, what, value, now[key], verdict, note)


def _compare_training(
    record: Result, trained: Result, row: Sequence[Result], alike: bool
) -> Iterator[Check]:
    """Yields the comparison of what only a training has: settings, steps, and epoch of `solved`.

    Args:
        record: the recorded result.
        trained: the same, trained again.
        row: all seeds of its row.
        alike: whether it was recorded in this environment, where the same seed gives the same.
    """
    verdict = EQUAL if record.settings == trained.settings else DIFFERENT
    yield Check(record.id, TRAINING, "settings", verdict=verdict)
    if record.steps is not None:
        verdict = EQUAL if record.steps == trained.steps else DIFFERENT
        yield Check(record.id, TRAINING, "steps", record.steps, trained.steps, verdict)

    before, now = map(_epoch_of_solved, (record, trained))
    if before is None and now is None:
        return
    note = ""
    if before is None or now is None:  # As far off as another seed, if one is so.
        others = [each.solved is None for each in row if each.seed != record.seed]
        verdict = CLOSE if not alike and (now is None) in others else DIFFERENT
    else:
        epochs = [] if alike else [each.solved["epoch"] for each in row if each.solved]
        verdict, note = _verdict(before, now, 0 if alike else max(1, before / 4), epochs)
    yield Check(record.id, TRAINING, "epoch of solved", before, now, verdict, note)


def _epoch_of_solved(result: Result) -> float | None:
    return result.solved["epoch"] if result.solved else None


def _metrics(result: Result) -> dict[tuple[str, str, str], float]:
    """Returns config, split and name -> value of all metrics."""
    return {
        (config, split, metric): value
        for config, splits in {result.config: result.metrics, **result.also}.items()
        if isinstance(splits, Mapping)
        for split, values in splits.items()
        for metric, value in values.items()
    }


def _verdict(
    recorded: float, measured: float, allowed: float, seeds: Sequence[float]
) -> tuple[str, str]:
    """Returns a verdict and a note, given the allowed difference, or the values of more seeds."""
    if recorded == measured:
        return EQUAL, ""
    half = results.prediction_interval(seeds)
    note = f"{allowed:.2g} is close"
    if half is not None:
        mean = float(np.mean(seeds))
        note += f", and {mean - half:.4g} to {mean + half:.4g} by its seeds"
    by_seeds = half is not None and abs(measured - mean) <= half
    off = abs(recorded - measured) * (1 - 1e-9)
    return (CLOSE if off <= allowed or by_seeds else DIFFERENT), note


def _compare_examples(record: Result, measured: Result, how: str) -> Iterator[Check]:
    """Yields the comparison of each split example by example, if the record has examples."""
    for split, columns in record.examples.items():
        now = measured.examples[split]
        coordinates, count = columns["coordinates"], len(columns["coordinates"])
        if not np.array_equal(coordinates, now["coordinates"]):
            note = "it has other examples"
            yield Check(record.id, how, f"each of {split}", None, None, DIFFERENT, note)
            continue
        names = columns.keys() & now.keys() & {*METRICS, results.PREDICTED}
        off = np.zeros(count)
        for name in names:
            before, after = columns[name].reshape(count, -1), now[name].reshape(count, -1)
            off = np.maximum(off, (np.abs(after - before) / (1 + np.abs(before))).max(axis=1))
        verdict, note = EQUAL if not off.any() else CLOSE, ""
        if (wrong := off > _ROUNDING).any():
            i, j = coordinates[wrong][0].tolist()
            note = f"{wrong.sum()} of {count} examples, e.g. ({i}, {j})"
            verdict = CLOSE if wrong.sum() <= _FLIPPED * count else DIFFERENT
        yield Check(record.id, how, f"each of {split}", None, None, verdict, note)
