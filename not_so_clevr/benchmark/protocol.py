"""The suite: the runs that make a model's profile, on every task that it fits.

The data sets are those of `results.CAPABILITIES`, the number of seeds is below. All runs with one
seed come before those with the next, and the runs of a quick suite are some of the full one's.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from not_so_clevr.benchmark import (
    environment,
    experiment,
    networks,
    recipe_file,
    registry,
    runner,
    searches,
    tuning,
)
from not_so_clevr.benchmark.events import Event, collected
from not_so_clevr.benchmark.experiment import Build, Run
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.run_folder import RunFolder
from not_so_clevr.checks import UserError, as_list, boolean
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results import CAPABILITIES, Profile, Result, naming

SEEDS = 3
QUICK = ("interpolation", "recombination")  # With seed 0

_BUGS = (ImportError, NameError, SyntaxError)  # What no task is the reason for


@dataclasses.dataclass(frozen=True)
class Suite:
    """The runs of a suite.

    Attributes:
        runs: on each data set, each task, with seed 0.
        seeds: the number of runs of each, with seeds 0, 1, ...
        gaps: name of a task -> one sentence on why the model does not fit it.
        also: name of a data set to train on -> those to measure the weights on.
        label: the model with the user's recipes and settings, as the name of a folder.
        command: what repeats the suite; None if the model cannot be found by name.
    """

    runs: Sequence[Run]
    seeds: int
    gaps: Mapping[str, str]
    also: Mapping[str, Sequence[str]]
    label: str
    command: str | None

    def profile(self, made: Iterable[Result], failures: Mapping[str, str]) -> Profile:
        """Returns the profile that some results make."""
        return Profile(self.runs[0].model.name, list(made), self.gaps, failures)


def plan(
    build: str | registry.Model | Build,
    *,
    recipes: Sequence[str | os.PathLike[str]] = (),
    settings: Mapping[str, Any] | None = None,
    quick: bool = False,
    name: str | None = None,
) -> Suite:
    """Returns the runs of a suite, after building each network. Arguments and errors as `suite`."""
    quick = boolean("quick", quick)
    settings = experiment.as_settings(settings)
    model = experiment.as_model(build, name)
    given = [recipe_file.as_text(each) for each in as_list("recipes", recipes)]
    _check_recipes(model, given)

    chosen = {each: CAPABILITIES[each] for each in (QUICK if quick else CAPABILITIES)}
    configs = list(dict.fromkeys(each.config for each in chosen.values()))
    ways, gaps = _ways(model, configs[0], given, settings)
    runs = [
        experiment.plan(model, task=task, config=config, recipe=recipe, settings=changes)
        for config in configs
        for task, (recipe, changes) in ways.items()
    ]
    also: dict[str, list[str]] = {}
    for each in chosen.values():
        also.setdefault(each.config, []).extend([each.also] if each.also else [])

    words = [pathlib.PurePath(each).stem for each in given]
    label = naming.label(model.name, naming.changed("-".join(words), settings))
    label += "-quick" if quick else ""
    command = _command(model, given, settings, quick)
    return Suite(runs, 1 if quick else SEEDS, gaps, also, naming.shortened(label), command)


def make(planned: Suite, options: RunOptions, without: Collection[str] = ()) -> Iterator[Event]:
    """Makes the runs of a suite, one after the other, and measures their weights elsewhere.

    Args:
        planned: of `plan`.
        options: the options of each run, without `also`.
        without: the ids of runs to leave out.

    Yields:
        as `runner.make`.
    """
    every = tuning.every_seed(planned.runs, planned.seeds)
    runs = [run for run in every if run.id not in without]
    for run in runs:
        options.check(run)
    if options.runs is not None:
        done = [run for run in runs if RunFolder(options.runs, run.id).complete]
        networks.check_models(done, resumed=options.runs)

    groups = itertools.groupby(runs, lambda run: (run.seed, planned.also[run.config.name]))
    for (_, also), group in groups:
        how = dataclasses.replace(options, also=also)
        yield from runner.make(list(group), how, wait=True)


def suite(
    build: str | registry.Model | Build,
    *,
    recipes: Sequence[str | os.PathLike[str]] = (),
    settings: Mapping[str, Any] | None = None,
    quick: bool = False,
    name: str | None = None,
    data: str = "tfds",
    data_dir: str | pathlib.Path | None = None,
    runs: str | pathlib.Path | None = None,
    verbose: str | int = "auto",
) -> Profile:
    """Measures the profile of a model: interpolation, recombination, extrapolation and so on.

    Every task that the model fits is trained on four data sets of 32x32 pixels with three seeds,
    and the weights of one of them are measured on 64x64 pixels, too. A model fits the tasks that it
    has recipes for; one without recipes, those for which its network has the right shapes.

    A task has the recipe that is given; otherwise the one that the rule of `tune` found, if the
    model is bundled; otherwise the model's default recipe with the steps, batches and schedule of
    the rule (`tuning.SETTINGS`).

    With `runs`, the suite can be interrupted; the same call goes on. A run that another process is
    making is waited for.

    Args:
        build: as for `run`.
        recipes: names of the model's recipes, or files of `tune`; each task has the first that is
            for it, and a task without one is left out.
        settings: changes to the recipe or the model.
        quick: only interpolation and recombination, with one seed; the full suite goes on from it.
        name: as for `run`.
        data: as for `run`.
        data_dir: as for `run`.
        runs: as for `run`.
        verbose: as for `run`.

    Returns:
        The profile; runs that failed are in its `failures`.

    Raises:
        UserError: one sentence, if an argument is wrong, the model fits no task, or every run
            failed.
        OSError: as for `run`.
    """
    planned = plan(build, recipes=recipes, settings=settings, quick=quick, name=name)
    options = RunOptions(data, data_dir, runs, resume=runs is not None, verbose=verbose)
    made, failures = collected(make(planned, options))
    if not made:
        raise UserError(f"Every run failed; the first: {next(iter(failures.values()))}")
    return planned.profile(made, failures)


def _check_recipes(model: registry.Model, recipes: Sequence[str]) -> None:
    """Raises UserError, one sentence, if a recipe is unknown, or a file not for the model."""
    for each in recipes:
        if each.endswith(recipe_file.SUFFIX):
            task = recipe_file.task(each)
            recipe_file.read(each, model.name, task)
            if task not in model.tasks:
                model.recipe(None, task)
        elif each not in model.recipes:
            model.recipe(each, model.tasks[0])


def _ways(
    model: registry.Model, config: str, recipes: Sequence[str], settings: Mapping[str, Any]
) -> tuple[dict[str, tuple[str | None, Mapping[str, Any]]], dict[str, str]]:
    """Returns the recipe and the settings of each task that a model fits, and the other tasks.

    Its networks are built for one config; all have canvases of the same size.

    Raises:
        UserError: one sentence, if the model fits none, a setting is wrong, the network of a task
            that it has a recipe for cannot be built, or its function has a bug.
    """
    ways: dict[str, tuple[str | None, Mapping[str, Any]]] = {}
    gaps: dict[str, str] = {}
    has_recipes = hasattr(model.build, "recipes")
    for task in TASKS:
        recipe = _recipe(model, task, recipes)
        if task not in model.tasks or (recipes and recipe is None):
            gaps[task] = f"{model.name} has no recipe for {task}."
            continue
        run = experiment.plan(model, task=task, config=config, recipe=recipe, settings=settings)
        try:
            with environment.restored():
                is_compiled = networks.build(run).compiled
        except UserError as error:
            if has_recipes or isinstance(error.__cause__, _BUGS):
                raise
            gaps[task] = str(error)
            continue
        ways[task] = recipe, settings if recipe else _usual(settings, is_compiled)
    if not ways:
        task, reason = next(iter(gaps.items()))
        raise UserError(f"{model.name} fits no task of {', '.join(gaps)}; {task}: {reason}")
    return ways, gaps


def _recipe(model: registry.Model, task: str, recipes: Sequence[str]) -> str | None:
    """Returns the recipe of a task; None for the settings of the rule on the default recipe."""
    if not recipes:
        return searches.NAME if (searches.NAME, task) in model.searches else None
    for each in recipes:
        is_file = each.endswith(recipe_file.SUFFIX)
        if task == recipe_file.task(each) if is_file else task in model.recipes[each]:
            return each
    return None


def _usual(settings: Mapping[str, Any], is_compiled: bool) -> dict[str, Any]:
    """Returns the settings of the rule, with the user's changes."""
    left_out = networks.OF_THE_OPTIMIZER if is_compiled else ()  # It has its own optimizer.
    return {
        name: value
        for name, value in tuning.changed(settings).items()
        if name in settings or name not in left_out
    }


def _command(
    model: registry.Model, recipes: Sequence[str], settings: Mapping[str, Any], quick: bool
) -> str | None:
    if not model.findable:
        return None
    words = ["not-so-clevr", "suite", model.name]
    for each in recipes:
        words += ["--recipe", each]
    words += naming.as_options(settings)
    return shlex.join([*words, *["--quick"] * quick])
