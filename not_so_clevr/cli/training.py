"""`train` and `list`: models."""

from __future__ import annotations

import pathlib
from typing import Annotated

from not_so_clevr import results
from not_so_clevr.benchmark import registry, tracebacks
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError, integer
from not_so_clevr.cli import options, terminal
from not_so_clevr.dataset import geometry
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import naming

_RECIPE = "One of the model's recipes, or a file of `tune`. Default: its first."
_SET = "Change a setting of the recipe or the model. Repeatable."
_RESUME = "Continue interrupted runs, skip complete ones."
_REPLACE = "Train again, and replace existing runs."
_DISTRIBUTE = "Share each batch among all GPUs, with TensorFlow or JAX."
_ALSO = "Measure the trained weights on this config, too. Repeatable."
_TENSORBOARD = "Write logs for TensorBoard into the run's folder."


def train(
    model: options.Model,
    task: options.Task,
    config: Annotated[str, options.what(help=options.CONFIG, autocompletion=options.configs)],
    recipe: Annotated[
        str | None, options.what(help=_RECIPE, autocompletion=options.recipes)
    ] = None,
    settings: Annotated[
        list[str] | None, options.what("--set", metavar="NAME=VALUE", help=_SET)
    ] = None,
    seeds: Annotated[
        int | None, options.what(help="Train with N seeds, 0 to N - 1.", metavar="N")
    ] = None,
    seed: Annotated[int | None, options.what(help="Train with this seed. Default: 0.")] = None,
    resume: Annotated[bool, options.how("--resume", help=_RESUME)] = False,
    replace: Annotated[bool, options.how("--replace", help=_REPLACE)] = False,
    distribute: Annotated[bool, options.how("--distribute", help=_DISTRIBUTE)] = False,
    also: Annotated[
        list[str] | None,
        options.how(metavar="CONFIG", help=_ALSO, autocompletion=options.configs),
    ] = None,
    data: options.Data = "tfds",
    tensorboard: Annotated[bool, options.where("--tensorboard", help=_TENSORBOARD)] = False,
    runs: options.Runs = pathlib.Path("runs"),
    data_dir: options.DataDir = None,
) -> None:
    """Train a model, measure it on every example, and print it beside the reference results."""
    chosen = _seeds(seed, seeds)
    changed = naming.read_all(settings or [])
    checked = as_config(config)
    how = RunOptions(
        data, data_dir, runs, resume, replace, tensorboard, distribute, also or [], verbose=1
    )
    from not_so_clevr.benchmark import experiment, runner

    found = registry.find(model)
    first = experiment.plan(found, task=task, config=checked, recipe=recipe, settings=changed)
    todo = [first.with_seed(each) for each in chosen]
    again = "the same command with --resume" + " instead of --replace" * replace
    made, failures = terminal.follow(runner.train(todo, how), again, runs, todo if replace else [])
    if made:
        terminal.print_leaderboard(results.leaderboard(made, results.beside(made)))
        print(f"The runs are in {runs.resolve()}")
    terminal.raise_problems([], terminal.failed(failures))


def _seeds(seed: int | None, seeds: int | None) -> list[int]:
    if seed is not None and seeds is not None:
        raise UserError(f"--seed {seed} and --seeds {seeds} were both given; give one.")
    return [seed or 0] if seeds is None else list(range(integer("--seeds", seeds, 1, 10_000)))


def list_models() -> None:
    """List the models: tasks, recipes, parameters on a canvas of 64 x 64, source."""
    rows = []
    for name in registry.names():
        try:
            rows += _model_rows(name)
        except Exception as error:  # A broken package must not hide the models of others.
            rows.append([name, "", "", "", tracebacks.sentence(error)])
    columns = ["model", "task", "recipes", "parameters", "source"]
    terminal.print_table(columns, rows, wide=["recipes", "source"])


def _model_rows(name: str) -> list[list[str]]:
    """Returns a row for each task of a model."""
    from not_so_clevr.dataset import tasks

    model, rows = registry.find(name), []
    for task in model.tasks:
        recipes = {key: recipe[task] for key, recipe in model.recipes.items() if task in recipe}
        default = next(iter(recipes.values()))
        steps = {"steps": 1} if registry.takes_steps(model.build) else {}
        task_ = tasks.as_task(task, geometry.CANVAS_SIZE)
        network = model.build(task_, **steps, **default.model)
        parameters = f"{registry.parameters(network):,}"
        rows.append([name, task, ", ".join(recipes), parameters, model.source])
    return rows
