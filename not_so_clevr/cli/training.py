"""`train` and `list`: models."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

from not_so_clevr import results
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.checks import UserError, integer
from not_so_clevr.cli import events, options, terminal
from not_so_clevr.dataset import geometry
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import Result, naming

_MODEL = "A name that `list` shows, or a path: my_pkg.my_module:build."
_SET = "Change a setting of the recipe, or of the model. Can be repeated."
_RESUME = "Continue runs that were interrupted, skip complete ones."


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)],
    task: Annotated[str, typer.Option(help="classification, regression or rendering.")],
    config: Annotated[str, typer.Option(help=options.CONFIG)],
    recipe: Annotated[
        str | None,
        typer.Option(help="One of the model's recipes; if not given, its default."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=_SET),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Train with N seeds, 0 to N - 1, one after the other."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Train with this seed; 0 if neither is given."),
    ] = None,
    runs: Annotated[
        pathlib.Path,
        options.folder(help="The folder of all runs."),
    ] = pathlib.Path("runs"),
    resume: Annotated[bool, typer.Option("--resume", help=_RESUME)] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Train anew, and replace runs that are there."),
    ] = False,
    data: options.Data = "tfds",
    data_dir: options.DataDir = None,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Write logs for TensorBoard into the run's folder."),
    ] = False,
    distribute: Annotated[
        bool,
        typer.Option(
            "--distribute",
            help="Share each batch among all GPUs, with TensorFlow or JAX.",
        ),
    ] = False,
) -> None:
    """Train a model, measure it on every example, and set it beside the reference results."""
    chosen = _seeds(seed, seeds)
    changed = naming.read_all(settings or [])
    checked = as_config(config)
    from not_so_clevr.benchmark import experiment, registry, runner

    first = experiment.plan(registry.find(model), task=task, config=checked, recipe=recipe, settings=changed)
    todo = [first.with_seed(each) for each in chosen]
    how = RunOptions(data, data_dir, runs, resume, replace, tensorboard, distribute, verbose=1)
    again = "the same command with --resume" + " instead of --replace" * replace
    made, failures = events.follow(runner.train(todo, how), again, todo if replace else [], how)
    if made:
        _print_beside_reference(made)
        print(f"The runs are in {runs.resolve()}")
    terminal.tell([], failures)


def _seeds(seed: int | None, seeds: int | None) -> list[int]:
    """Returns the seeds to train with."""
    if seed is not None and seeds is not None:
        raise UserError(f"--seed {seed} and --seeds {seeds} were both given; give one.")
    return [seed or 0] if seeds is None else list(range(integer("--seeds", seeds, 1, 10_000)))


def _print_beside_reference(made: list[Result]) -> None:
    """Prints the leaderboard of some runs with the same label, and of the reference results."""
    own = made[0]
    rivals = [run for run in results.reference() if (run.task, run.config) == (own.task, own.config) and run.label != own.label]
    terminal.print_leaderboard(made + rivals)


def list_models() -> None:
    """List the models: name, tasks and recipes, parameters on a canvas of 64 x 64, source."""
    from not_so_clevr.benchmark import registry, tracebacks

    rows = []
    for name in registry.names():
        try:
            rows += _model_rows(name)
        except Exception as error:  # One package must not hide the models of the others.
            rows.append([name, "", "", "", tracebacks.sentence(error)])
    columns = ["model", "task", "recipes", "parameters", "source"]
    terminal.print_table(columns, rows, wide=["recipes", "source"])


def _model_rows(name: str) -> list[list[str]]:
    """Returns a row for each task of a model."""
    from not_so_clevr.benchmark import registry
    from not_so_clevr.dataset import tasks

    model, rows = registry.find(name), []
    for task in model.tasks:
        recipes = {key: of[task] for key, of in model.recipes.items() if task in of}
        default = next(iter(recipes.values()))
        network = model.build(tasks.as_task(task, geometry.CANVAS_SIZE), **default.model)
        parameters = f"{registry.parameters(network):,}"
        rows.append([name, task, ", ".join(recipes), parameters, model.source])
    return rows
