"""The rule by which a recipe is found: the same small search for every model.

It is data, below. Everything else of a recipe is that of the model's default recipe: its learning
rate, around which the grid lies, its optimizer, and the arguments of its function.

`TUNE_CONFIG` asks the question of `quadrant`, centres whose row and column occur in training, but
about the opposite quadrant: it holds out no centre that `quadrant_32` holds out, and no result on
it is reported. A split that interpolates (`checkerboard`, `uniform`) could not tell recipes apart
that matter here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import pathlib
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from not_so_clevr import files, results
from not_so_clevr.benchmark import experiment, recipe_file, registry, runner, searches
from not_so_clevr.benchmark.events import collected
from not_so_clevr.benchmark.experiment import Build, Run
from not_so_clevr.benchmark.options import TUNE_CONFIG, RunOptions
from not_so_clevr.checks import UserError, integer
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.dataset.tasks import Task
from not_so_clevr.results import Result, naming

RATES = (1 / 3, 1, 3)  # Times the learning rate of the model's default recipe
DECAYS = (0.0, 0.1, 1.0)
SETTINGS: Mapping[str, Any] = {
    "steps": 1000,
    "batch_size": 16,
    "schedule": "cosine",
    "warmup": 0.05,
}

_DIGITS = 3  # Of a learning rate


@dataclasses.dataclass(frozen=True)
class Point:
    """A point of the grid.

    Attributes:
        run: the run with the first seed.
        results: of the runs that are complete, one for each seed.
        failures: one sentence for each seed whose run failed, e.g. because it diverged.
    """

    run: Run
    results: Sequence[Result]
    failures: Sequence[str] = ()

    @property
    def is_complete(self) -> bool:
        return bool(self.results) and not self.failures

    @property
    def is_perfect(self) -> bool:
        """Whether every example of train and test is right, with every seed."""
        return self.is_complete and all(result.perfect for result in self.results)

    @property
    def seconds(self) -> float:
        return sum(result.seconds or 0.0 for result in self.results)

    def test(self) -> float:
        """Returns the share of test that is right, averaged over seeds."""
        return statistics.fmean(result.accuracy("test") for result in self.results)

    def train(self) -> float:
        """Returns the share of train that is right, averaged over seeds."""
        return statistics.fmean(result.accuracy("train") for result in self.results)

    def distance(self) -> float:
        """Returns the distance metric of test, averaged over seeds."""
        return statistics.fmean(result.distance("test") for result in self.results)

    def rank(self) -> tuple[float, ...]:
        """Returns what is lowest for the best point."""
        recipe, metric = self.run.recipe, METRICS[self.run.task.distance_metric]
        distance = metric.shortfall(self.distance())
        rates = recipe.learning_rate, recipe.weight_decay
        return -self.test(), -self.train(), distance, *rates

    def values(self) -> dict[str, Any]:
        """Returns the point for JSON."""
        return {
            "learning_rate": self.run.recipe.learning_rate,
            "weight_decay": self.run.recipe.weight_decay,
            "perfect": self.is_perfect,
            "seconds": self.seconds,
            "runs": [_run_values(result) for result in self.results],
            "failures": list(self.failures),
        }


def _run_values(result: Result) -> dict[str, Any]:
    names = ("id", "seed", "metrics", "solved", "steps", "parameters", "seconds", "command")
    return {name: getattr(result, name) for name in names} | {"hardware": result.hardware}


@dataclasses.dataclass(frozen=True)
class Search:
    """A search by the rule.

    Attributes:
        points: of the grid, learning rates in ascending order, and for each the weight decays.
        seeds: the number of runs of each point.
        settings: the user's changes to the rule or the model.
    """

    points: Sequence[Point]
    seeds: int
    settings: Mapping[str, Any]

    @property
    def best(self) -> Point:
        """The most of test right; of several, the most of train, the closest, the lowest rates.

        Train comes before distance: where no point generalises, the closest answers are those of
        a network that has hardly learned, the same for every example.

        Raises:
            UserError: one sentence, if every point has failed.
        """
        complete = [point for point in self.points if point.is_complete]
        if not complete:
            first = next((each for point in self.points for each in point.failures), "none was run")
            raise UserError(f"Every point of the search failed; the first: {first}")
        return min(complete, key=Point.rank)

    @property
    def summary(self) -> dict[str, Any]:
        """What the results of its recipe say about it, see `Result.search`."""
        return {
            "config": self.points[0].run.config.name,
            "points": len(self.points),
            "perfect": sum(point.is_perfect for point in self.points),
            "seeds": self.seeds,
            "seconds": float(sum(point.seconds for point in self.points)),
        }

    @property
    def name(self) -> str:
        """The name of the recipe: `rule`, with the user's settings."""
        return naming.changed(searches.NAME, self.settings)

    def values(self) -> dict[str, Any]:
        """Returns the search for JSON: every point with its metrics, seeds and time."""
        run, best = self.points[0].run, self.best
        return {
            "name": self.name,
            "model": run.model.name,
            "task": run.task.name,
            **self.summary,
            "settings": dict(self.settings),
            "recipe": best.run.saved_recipe,
            "best": self.points.index(best),
            "grid": [point.values() for point in self.points],
        }

    def check_replaces(self, file: pathlib.Path) -> None:
        """Raises UserError, one sentence, if a file holds anything but a recipe of this search.

        It does so, too, if the .json file beside it holds anything but this search.
        """
        self._check_recipe(file)
        self._check_search(file.with_suffix(".json"))

    def _check_recipe(self, file: pathlib.Path) -> None:
        """Raises UserError, one sentence, if a file holds anything but a recipe of this search."""
        if not file.exists():
            return
        run, advice = self.points[0].run, "give another file"
        try:
            name, _, found = recipe_file.read(file, run.model.name, run.task.name)
        except UserError as error:
            raise UserError(f"{str(error).removesuffix('.')}; {advice}.") from error
        if found is None:
            raise UserError(f"{file} holds a recipe that no search has found; {advice}.")
        held = {**found, "name": name}
        own = {**self.summary, "name": self.name}
        for key in ("name", "config", "seeds"):
            if held[key] != own[key]:
                raise UserError(
                    f"{file} holds the recipe of another search, with {key} {held[key]} instead of "
                    f"{own[key]}; {advice}."
                )

    def _check_search(self, file: pathlib.Path) -> None:
        """Raises UserError, one sentence, if a file holds anything but this search."""
        if not file.exists():
            return
        run, held = self.points[0].run, None
        own = [run.model.name, run.task.name, self.name, run.config.name, self.seeds]
        with contextlib.suppress(OSError, ValueError, RecursionError):
            held = json.loads(files.read(file))
        names = ("model", "task", "name", "config", "seeds")
        if not isinstance(held, dict) or [held.get(name) for name in names] != own:
            raise UserError(
                f"{file}, where the search goes, holds something else; move it away, or give "
                "another file."
            )

    def write(self, file: str | pathlib.Path) -> pathlib.Path:
        """Writes the recipe to a .toml file, and the search to the .json file beside it.

        Raises:
            UserError: one sentence, if every point has failed, the file has another extension, or
                it or the .json file holds anything but a recipe of this search.
            OSError: one sentence, if a file cannot be written.
        """
        file = check_file(file)
        self.check_replaces(file)
        run = self.best.run
        recipe_file.write(
            file,
            run.recipe,
            name=self.name,
            model=run.model.name,
            task=run.task.name,
            search=self.summary,
            comment=self._commands(file) if run.model.findable else (),
        )
        with files.replacing(file.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(self.values(), indent=1) + "\n")
        return file

    def _commands(self, file: pathlib.Path) -> list[str]:
        """Returns lines with the command that makes the search, and one that uses its recipe."""
        run = self.points[0].run
        what = [run.model.name, "--task", run.task.name]
        where = ["--config", run.config.name, "--seeds", str(self.seeds)]
        tune = ["not-so-clevr", "tune", *what, *where, *naming.as_options(self.settings)]
        train = ["not-so-clevr", "train", *what, "--config", "quadrant", "--recipe", str(file)]
        return [f"Found by: {shlex.join(tune)}", f"To use it: {shlex.join(train)}"]


def check_file(file: str | pathlib.Path) -> pathlib.Path:
    """Returns a file to write a recipe to. Raises as `Search.write`, but before any work."""
    file = files.expanded(file)
    if file.suffix != recipe_file.SUFFIX:
        raise UserError(f"{file} is not a name for a recipe; expected one that ends in .toml.")
    files.check_replaceable(file)
    return file


def changed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of the rule with a user's changes; `epochs` replaces its `steps`."""
    rule = dict(SETTINGS)
    if "epochs" in settings:
        del rule["steps"]
    return {**rule, **settings}


def points(
    build: str | registry.Model | Build,
    *,
    task: str | Task,
    config: str | NotSoClevrConfig = TUNE_CONFIG,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> list[Run]:
    """Returns the run of each point, with seed 0. Arguments and errors as for `tune`."""
    settings = experiment.as_settings(settings)
    if "weight_decay" in settings:
        raise UserError("weight_decay is what the search is over; omit it.")
    usual = experiment.plan(build, task=task, config=config, settings=changed(settings), name=name)
    recipe_file.check(usual.recipe)
    middle = usual.recipe.learning_rate
    rates = [float(f"{factor * middle:.{_DIGITS}g}") for factor in RATES]
    if len(set(rates)) < len(rates):
        raise UserError(
            f"learning_rate={middle:g} leaves nothing to search, as three times it is the same; "
            "give a larger one."
        )
    return [
        experiment.plan(
            build,
            task=task,
            config=config,
            settings={**changed(settings), "learning_rate": rate, "weight_decay": decay},
            name=name,
        )
        for rate, decay in itertools.product(rates, DECAYS)
    ]


def tune(
    build: str | registry.Model | Build,
    *,
    task: str | Task,
    config: str | NotSoClevrConfig = TUNE_CONFIG,
    settings: Mapping[str, Any] | None = None,
    seeds: int = 1,
    name: str | None = None,
    data: str = "tfds",
    data_dir: str | pathlib.Path | None = None,
    runs: str | pathlib.Path | None = None,
    verbose: str | int = "auto",
) -> Search:
    """Finds the recipe of a model by the rule: three learning rates x three weight decays.

    Every point has the same number of steps. The best has the most test examples right on `config`,
    on which no result is reported; of several, the most train examples; then the one whose answers
    are closest, and then the one with the lowest learning rate and weight decay. A point whose run
    fails is never the best.

    With `runs`, the search can be interrupted; the same call goes on. A run that another process is
    making is waited for.

    Args:
        build: as for `run`.
        task: as for `run`.
        config: the data set to choose on.
        settings: changes to the rule or the model; `learning_rate` moves the middle of the grid.
        seeds: the number of runs of each point, with seeds 0, 1, ...
        name: as for `run`.
        data: as for `run`.
        data_dir: as for `run`.
        runs: as for `run`.
        verbose: as for `run`.

    Returns:
        The search; its `write` saves the recipe for `run` and `not-so-clevr train --recipe`.

    Raises:
        UserError: one sentence, if an argument or the model is wrong, or every point failed.
        OSError: as for `run`.
    """
    seeds = integer("seeds", seeds, 1, 10_000)
    todo = points(build, task=task, config=config, settings=settings, name=name)
    options = RunOptions(data, data_dir, runs, resume=runs is not None, verbose=verbose)
    made, failures = collected(runner.train(every_seed(todo, seeds), options, wait=True))
    found = search(todo, seeds, settings, made, failures)
    _ = found.best  # Raises if there is none.
    return found


def every_seed(runs: Iterable[Run], seeds: int) -> list[Run]:
    """Returns the runs with every seed; all runs with one seed come before those with the next."""
    runs = list(runs)
    return [run.with_seed(seed) for seed in range(seeds) for run in runs]


def search(
    runs: Sequence[Run],
    seeds: int,
    settings: Mapping[str, Any] | None,
    made: Iterable[Result],
    failures: Mapping[str, str],
) -> Search:
    """Returns the search that some runs make.

    Args:
        runs: of `points`.
        seeds: the number of runs of each.
        settings: the user's.
        made: the results.
        failures: run id -> why it failed.
    """
    by_id = results.grouped(made, lambda result: result.id)
    found = []
    for run in runs:
        ids = [run.with_seed(seed).id for seed in range(seeds)]
        own = [by_id[each][0] for each in ids if each in by_id]
        found.append(Point(run, own, [failures[each] for each in ids if each in failures]))
    return Search(found, seeds, experiment.as_settings(settings))
