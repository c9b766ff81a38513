"""The `not-so-clevr` command. Bad input prints one sentence and exits with status 2."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import logging
import os
import pathlib
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import tensorflow_datasets as tfds
import typer

import not_so_clevr
from not_so_clevr import files, reproduce, results
from not_so_clevr.benchmark import progress
from not_so_clevr.checks import MissingPackageError, UserError, integer
from not_so_clevr.cli import terminal
from not_so_clevr.dataset import devices, geometry
from not_so_clevr.dataset.config import CONFIGS, as_config
from not_so_clevr.dataset.not_so_clevr_dataset_builder import BEAM_CANVAS_SIZE, Builder, import_beam
from not_so_clevr.reproduce import cluster, grids, sweep, worker
from not_so_clevr.results import naming, tables
from not_so_clevr.results.published import SUITES

if TYPE_CHECKING:
    from not_so_clevr.benchmark.experiment import Plan

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_FORMATS = (".png", ".pdf", ".svg")
_CONFIG = f"One of {', '.join(config.name for config in CONFIGS)}, or any other, such as quadrant_48."
_BEAM = (
    "Options of Apache Beam, as `tfds build` takes them; docs/large.md has some. "
    f"Canvases from {BEAM_CANVAS_SIZE} pixels on are generated with Beam, smaller ones only if options are given."
)

_DEVICE = "What draws the canvases: auto is the GPU if Keras' backend or TensorFlow has one."


def _path(text: str) -> pathlib.Path:
    try:
        return files.expanded(text)
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


def _path_of_data(text: str) -> pathlib.Path | str:
    """Returns a folder of data sets, of which TFDS takes a remote one as well, such as gs://bucket/data."""
    return text if "://" in text else _path(text)


_folder = functools.partial(typer.Option, parser=_path, metavar="DIR")
_output = functools.partial(typer.Option, "--output", "-o", parser=_path, metavar="FILE")

# Options that several commands have
_Data = Annotated[str, typer.Option(help="tfds, or memory: the same without disk and without TensorFlow.")]
_DataDir = Annotated[
    pathlib.Path | None,
    typer.Option(
        parser=_path_of_data,
        metavar="DIR",
        help="The folder of TFDS' data sets; if not given, TFDS_DATA_DIR or ~/tensorflow_datasets.",
    ),
]
_Rows = Annotated[
    list[str] | None,
    typer.Option("--row", metavar="ID", help="Only these rows: an id, or a pattern with *. Can be repeated."),
]
_Runs = Annotated[pathlib.Path, _folder(help="The folder of all runs. Those that are complete are not run again.")]
_Folders = Annotated[list[pathlib.Path], typer.Argument(parser=_path, metavar="DIR...", help="Folders with runs.")]


def main() -> None:
    """Runs the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's log messages would break into the bars.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # As it is with AVX-512; CPUs without gain more.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A terminal may lack letters of a name.
    try:
        app()
    except (UserError, OSError) as error:
        worded = str(error)
        if isinstance(error, OSError) and error.strerror:
            worded = f"{error.filename}: {error.strerror}."
        print(f"not-so-clevr: {worded}", file=sys.stderr)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Can a network turn a coordinate into a pixel, and a pixel into a coordinate?"""
    if version:
        print(f"not-so-clevr {not_so_clevr.__version__}")
        raise typer.Exit


@app.command()
def generate(
    configs: Annotated[list[str], typer.Argument(metavar="CONFIG...", help=_CONFIG)],
    data_dir: _DataDir = None,
    beam_pipeline_options: Annotated[str | None, typer.Option(metavar="OPTION=VALUE,...", help=_BEAM)] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|gpu", help=_DEVICE)] = "auto",
) -> None:
    """Generate data sets on disk, for tfds.load to read. What is there already stays as it is."""
    builders = [Builder(config=config, data_dir=data_dir, device=device) for config in configs]
    _generate(*builders, beam_pipeline_options=beam_pipeline_options)
    for builder in builders:
        counts = " and ".join(f"{split.num_examples} {name}" for name, split in builder.info.splits.items())
        print(f"{builder.info.full_name}: {counts} examples in {builder.data_dir}")


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name that `list` shows, or a path: my_pkg.my_module:build.")],
    task: Annotated[str, typer.Option(help="classification, regression or rendering.")],
    config: Annotated[str, typer.Option(help=_CONFIG)],
    recipe: Annotated[str | None, typer.Option(help="One of the model's recipes; if not given, its default.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the recipe, or of the model. Can be repeated."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Train with N seeds, 0 to N - 1, one after the other.")] = None,
    seed: Annotated[int | None, typer.Option(help="Train with this seed; 0 if neither is given.")] = None,
    runs: Annotated[pathlib.Path, _folder(help="The folder of all runs.")] = pathlib.Path("runs"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue runs that were interrupted, skip complete ones.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Train anew, and replace runs that are there.")] = False,
    data: _Data = "tfds",
    data_dir: _DataDir = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard into the run's folder.")
    ] = False,
    distribute: Annotated[
        bool, typer.Option("--distribute", help="Share each batch among all GPUs, with TensorFlow or JAX.")
    ] = False,
) -> None:
    """Train a model, measure it on every example, and set it beside the reference results."""
    if seed is not None and seeds is not None:
        raise UserError(f"--seed {seed} and --seeds {seeds} were both given; give one.")
    chosen = [seed or 0] if seeds is None else list(range(integer("--seeds", seeds, 1, 10_000)))
    changed = naming.read_all(settings or [])
    checked = as_config(config)
    from not_so_clevr.benchmark import distribution, experiment, networks, registry, training
    from not_so_clevr.benchmark.run_folder import Busy

    if distribute:
        distribution.devices()
    job = experiment.plan(registry.find(model), task=task, config=checked, recipe=recipe, settings=changed)
    options: dict[str, Any] = {"data": data, "runs": runs, "resume": resume, "replace": replace, "tensorboard": tensorboard}
    for each in chosen:
        training.check_arguments(job, seed=each, **options)
    if data == "tfds":
        networks.check_model(job)
        devices.leave_gpus()
        _generate(Builder(config=checked, data_dir=data_dir))
    options |= {"data_dir": data_dir, "distribute": distribute}
    again = "the same command with --resume instead of --replace" if replace else "the same command with --resume"
    trained, problems = [], []
    for k, each in enumerate(chosen):
        try:
            trained.append(_trained(job, each, again, replaced=chosen[k:] if replace else [], **options))
        except (UserError, Busy) as error:  # One that diverges, or runs elsewhere, must not keep the others back.
            problems.append(str(error))
    made = [run for run in trained if run is not None]
    if made:
        rivals = [run for run in _reference() if (run.task, run.config) == (task, checked.name)]
        terminal.print_leaderboard(made + [run for run in rivals if run.label != made[0].label])
        print(f"The runs are in {runs.resolve()}")
    _tell(problems)


@app.command("reproduce")
def reproduce_published(
    suites: Annotated[list[str], typer.Argument(metavar="SUITE...", help=f"Any of {', '.join(SUITES)}.")],
    rows: _Rows = None,
    seeds: Annotated[
        int, typer.Option(help="How many runs of each row, with seeds 0, 1, ... The table has those of other seeds, too.")
    ] = 3,
    budget: Annotated[str | None, typer.Option(help="Stop after this time, such as 30m or 1h30m; run again to go on.")] = None,
    only_print: Annotated[
        bool, typer.Option("--only-print", help="Run nothing: list what would run and how long it takes, and what there is.")
    ] = False,
    runs: _Runs = pathlib.Path("runs"),
    output: Annotated[
        list[pathlib.Path] | None, _output(help="Write the table too: .md, .csv or .json. Can be repeated.")
    ] = None,
    data: _Data = "tfds",
    data_dir: _DataDir = None,
) -> None:
    """Run what was published, seed by seed, and set what comes out beside it. Goes on where it was interrupted."""
    for file in output or []:
        tables.check_file(file)
    experiments = reproduce.select(suites, rows or [])
    seeds = integer("--seeds", seeds, 1, 10_000)
    given = None if budget is None else reproduce.seconds(budget)
    found, problems = results.load([runs], none=True) if runs.exists() else ([], [])
    from not_so_clevr.benchmark import loading
    from not_so_clevr.benchmark.run_folder import Busy

    loading.check_data(data)
    planned = reproduce.plan(experiments)
    left = reproduce.left(planned, range(seeds), found)
    terminal.print_left(left, reproduce.estimates(planned, [*found, *_reference()]), only_print)
    if only_print:
        left = []
    if data == "tfds":
        _generate_for(left, data_dir)
    limit = None if given is None else time.monotonic() + given
    for row, seed in left:
        if limit is not None and time.monotonic() > limit:
            break
        try:
            result = _trained(row.job, seed, "this command", runs=runs, data=data, data_dir=data_dir, resume=True, until=limit)
        except (UserError, Busy) as error:  # One that diverges, or runs elsewhere, must not keep the others back.
            problems.append(str(error))
            continue
        if result is None:
            break
        found.append(result)
    measured = reproduce.table(planned, found)
    terminal.print_reproduction(measured)
    for file in output or []:
        tables.write(file, measured, reproduce.to_markdown)
        print(f"The table is in {file.resolve()}")
    _tell(problems)


@app.command("sweep")
def sweep_grid(
    grid: Annotated[str, typer.Argument(metavar="GRID", help=f"One of {', '.join(SUITES)}; or a file such as grid.toml.")],
    rows: _Rows = None,
    seeds: Annotated[
        int | None, typer.Option(help="How many runs of each row, with seeds 0, 1, ...; if not given, as the file says, or 3.")
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--only-print", help="Run nothing: list what would run and how long it takes.")
    ] = False,
    runs: _Runs = pathlib.Path("runs"),
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster, such as 10.0.0.1:6379, or auto; if not given, this machine.")
    ] = None,
    cpus_per_run: Annotated[int, typer.Option(help="Cores for each run, and so threads.")] = 1,
    gpus_per_run: Annotated[float, typer.Option(help="GPUs for each run; less than 1 to share one.")] = 0,
    data: _Data = "tfds",
    data_dir: _DataDir = None,
) -> None:
    """Run a grid, many runs at once, on this machine or on a Ray cluster. Goes on where it was interrupted."""
    runs, data_dir = runs.resolve(), data_dir.resolve() if isinstance(data_dir, pathlib.Path) else data_dir
    chosen = grids.read(grid)
    if seeds is not None:
        chosen = dataclasses.replace(chosen, seeds=range(integer("--seeds", seeds, 1, 10_000)))
    cluster.check_place(cpus_per_run, gpus_per_run)
    cluster.check_address(address)
    found, problems = results.load([runs], none=True) if runs.exists() else ([], [])
    with worker.without_gpus():
        from not_so_clevr.benchmark import loading

        planned = chosen.plan(rows or [])
        for row in planned:
            loading.check_data(data, row.job.config)
        left = reproduce.left(planned, chosen.seeds or range(3), found)
        estimates = reproduce.estimates(planned, [*found, *_reference()])
        terminal.print_left(left, estimates, only_print)
        todo = [] if only_print else sweep.runs(left, runs, estimates)
        if data == "tfds" and todo:
            _generate_for(left, data_dir)
    if todo:
        _swept(todo, address, cpus_per_run, gpus_per_run, runs=runs, data=data, data_dir=data_dir)
    if not only_print:
        made = reproduce.runs(planned, [*found, *(each.result for each in todo if each.result)])
        terminal.print_leaderboard([run for own in made for run in own])
        print(f"The runs are in {runs}")
    failed = [run for run in todo if run.result is None]
    for run in failed:
        print(f"not-so-clevr: {run.id} failed {run.attempt} times: {run.failure}", file=sys.stderr)
        print(f"Its log is {run.log}, and ends so:\n{textwrap.indent(run.end(), '    ')}", file=sys.stderr)
    _tell(problems)
    if failed:
        raise typer.Exit(1)


def _swept(todo: Sequence[sweep.Run], address: str | None, cpus: int, gpus: float, **options: Any) -> None:
    """Makes runs, shows those that go on, and prints what each has come to."""
    try:
        with progress.live() as show, contextlib.ExitStack() as stack:
            show(lambda: "Ray starts")
            slots = stack.enter_context(cluster.cluster(address, cpus, gpus))
            for run in sweep.run(todo, cpus=cpus, gpus=gpus, **options):
                if run and run.result:
                    terminal.print_result(run.result)
                elif run:
                    again = "" if run.over else "; it is tried again"
                    print(f"{run.id} failed: {run.failure}{again}", flush=True)
                show(lambda: sweep.shown(todo, slots))
    except KeyboardInterrupt:
        left = sum(not run.over for run in todo)
        print(f"not-so-clevr: the sweep was interrupted; the same command goes on with {left} runs.", file=sys.stderr)
        raise typer.Exit(130) from None


def _generate_for(left: Sequence[tuple[reproduce.Row, int]], data_dir: pathlib.Path | None) -> None:
    """Generates the data sets of some runs, those that are not there yet."""
    names = dict.fromkeys(row.job.config.name for row, _ in left)
    if names:
        devices.leave_gpus()
        _generate(*(Builder(config=name, data_dir=data_dir) for name in names))


def _trained(
    job: Plan, seed: int, again: str, *, replaced: Sequence[int] = (), until: float | None = None, **options: Any
) -> results.Result | None:
    """Trains a model, shows how far it is, and prints how good it is.

    Args:
        job: what to do.
        seed: of the run.
        again: the command that goes on with it if it is interrupted.
        replaced: seeds of runs that the command is to replace from now on, this one among them.
        until: when to stop, by `time.monotonic`; None is returned then.
        **options: those of `training.execute`.
    """
    from not_so_clevr.benchmark import log, tracebacks, training

    try:
        with progress.training(job.id(seed)) as callbacks:
            if until is not None:
                callbacks.append(log.StopAt(until))
            result = training.execute(job, seed=seed, callbacks=callbacks, **options)
    except KeyboardInterrupt:
        words = _how_to_go_on(job, seed, again, replaced, options["runs"])
        print(f"not-so-clevr: {job.id(seed)} was interrupted; {words}.", file=sys.stderr)
        raise typer.Exit(130) from None
    except log.OutOfTime:
        print(f"{job.id(seed)}: the time is over; {again} continues it.", flush=True)
        return None
    except (UserError, OSError):
        raise
    except Exception as error:
        if not tracebacks.own_frames(error):  # A bug of ours, which must be seen
            raise
        text = f"{job.model.name} cannot be trained for {job.task.name}: {tracebacks.sentence(error)}."
        raise UserError(tracebacks.with_frames(text, error)) from error
    terminal.print_result(result)
    return result


def _how_to_go_on(job: Plan, seed: int, again: str, replaced: Sequence[int], runs: pathlib.Path) -> str:
    """Returns which command continues an interrupted run, and which runs it would leave as they were: not yet replaced."""
    from not_so_clevr.benchmark.run_folder import RunFolder

    old = [each for each in replaced if RunFolder(runs, job.id(each)).complete]
    words = [] if seed in old else [f"{again} continues it"]
    return "; ".join([*words, *[f"not yet replaced: seed {', '.join(map(str, old))}"] * bool(old)])


@app.command("list")
def list_models() -> None:
    """List the models: name, tasks and recipes, parameters on a canvas of 64 x 64, source."""
    from not_so_clevr.benchmark import registry, tracebacks
    from not_so_clevr.dataset import tasks

    rows = []
    for name in registry.names():
        try:
            model = registry.find(name)
            for task in model.tasks:
                recipes = {recipe: by_task[task] for recipe, by_task in model.recipes.items() if task in by_task}
                network = model.build(tasks.as_task(task, geometry.CANVAS_SIZE), **next(iter(recipes.values())).model)
                rows.append([name, task, ", ".join(recipes), f"{registry.parameters(network):,}", model.source])
        except Exception as error:  # One package must not hide the models of the others.
            rows.append([name, "", "", "", tracebacks.sentence(error)])
    terminal.print_table(["model", "task", "recipes", "parameters", "source"], rows, wide=["recipes", "source"])


@app.command()
def leaderboard(
    folders: _Folders,
    output: Annotated[list[pathlib.Path] | None, _output(help="Write it too: .md, .csv or .json. Can be repeated.")] = None,
) -> None:
    """Print the runs below some folders: models x tasks x splits, over seeds; and what others published."""
    for file in output or []:
        tables.check_file(file)
    found, problems = results.load(folders)
    terminal.print_leaderboard(found)
    terminal.print_published()
    for file in output or []:
        results.write_leaderboard(results.leaderboard(found), file)
        print(f"The leaderboard is in {file.resolve()}")
    _tell(problems)


@app.command()
def report(
    folders: _Folders,
    output: Annotated[pathlib.Path, _output(help="The page to write, .html; replaced if it is there.")],
    figures: Annotated[pathlib.Path | None, _folder(help="Write each figure into this folder, too, as PNG and as PDF.")] = None,
) -> None:
    """Write a page about the runs below some folders: leaderboard, maps of errors, learning curves, predictions."""
    try:
        from not_so_clevr import report as pages
    except ImportError:
        raise MissingPackageError("Reports need matplotlib and Jinja2; run: pip install 'not-so-clevr[figures]'") from None
    tables.check_file(output, pages.FORMATS)
    if figures is not None:
        files.check_folder(figures)
    found, problems = pages.load(folders)
    pages.write(output, found, folders)
    print(f"The report is in {output.resolve()}")
    if figures is not None:
        pages.write_figures(figures, found)
        print(f"The figures are in {figures.resolve()}")
    _tell(problems)


@app.command()
def show(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help=_CONFIG)],
    output: Annotated[
        pathlib.Path | None,
        _output(help=f"The picture to write, {', '.join(_FORMATS)}; if not given, a window opens."),
    ] = None,
) -> None:
    """Show some examples, and the map of the split: which centres are train and which are test."""
    checked = as_config(config)
    if output is not None:
        tables.check_file(output, _FORMATS)
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingPackageError("Pictures need matplotlib; run: pip install 'not-so-clevr[figures]'") from None
    from not_so_clevr.dataset.picture import figure

    picture = figure(checked)
    if output is None and picture.canvas.required_interactive_framework is None:
        raise UserError(f"There is no display to open a window on; write a file instead: --output {checked.name}.png")
    if output is None:
        plt.show()
    else:
        with files.replacing(output) as temporary:
            picture.savefig(temporary, format=output.suffix[1:], dpi=150)
        print(f"The picture is in {output.resolve()}")


def _generate(*builders: Builder, beam_pipeline_options: str | None = None) -> None:
    """Generates the data sets that are not there yet."""
    for name in ("absl", "apache_beam", "root"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    tfds.disable_progress_bar()
    download_config = tfds.download.DownloadConfig(try_download_gcs=False)
    missing = [builder for builder in builders if not builder.data_path.exists()]
    if beam_pipeline_options is not None:
        download_config.beam_options = import_beam(builders[0].builder_config.name).options(beam_pipeline_options)
    for builder in missing:
        if builder.with_beam:
            import_beam(builder.builder_config.name)
    if missing:
        importlib.import_module("tensorflow")  # Its log messages would break into the bar.
    with progress.bars("examples") as bars:
        for builder in builders:
            examples = builder.builder_config.num_examples
            bar = bars.add_task(builder.builder_config.name, total=examples, state="")
            builder.on_progress = functools.partial(bars.advance, bar)
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # TFDS tells of a download; there is none.
                    builder.download_and_prepare(download_config=download_config)
            except KeyboardInterrupt:
                name = builder.builder_config.name
                print(
                    f"not-so-clevr: {name} was interrupted; nothing of it was kept, and the same command begins it anew.",
                    file=sys.stderr,
                )
                raise typer.Exit(130) from None
            bars.update(bar, completed=examples)


def _reference() -> list[results.Result]:
    """Returns the results that come with the baselines."""
    spec = importlib.util.find_spec("not_so_clevr.baselines")
    folder = pathlib.Path(spec.origin).parent / "results" if spec and spec.origin else None
    return results.load([folder])[0] if folder and folder.is_dir() else []


def _tell(problems: Sequence[str]) -> None:
    """Raises UserError, a sentence a line, if there are problems; what could be shown has been shown by then."""
    if problems:
        raise UserError("\nnot-so-clevr: ".join(dict.fromkeys(map(tables.plain, problems))))
