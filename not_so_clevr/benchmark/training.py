"""Training one run, and measuring it on every example.

Training runs on whatever backend Keras has; the same seed on the same machine gives the same weights, bit for bit. For JAX on
GPUs this has to be asked for from outside: `XLA_FLAGS=--xla_gpu_deterministic_ops=true` in the environment. For TensorFlow on
CPUs without AVX-512 the command sets `TF_ENABLE_ONEDNN_OPTS=1`; a script that is to give the same bits sets it, too.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from not_so_clevr.benchmark import (
    distribution,
    environment,
    evaluation,
    loading,
    networks,
    progress,
    registry,
)
from not_so_clevr.benchmark.experiment import Build, Run, as_model, plan
from not_so_clevr.benchmark.log import Log
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.run_folder import RunFolder, claimed
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Batches, Examples
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.tasks import Task
from not_so_clevr.results import Result


def run(
    build: str | registry.Model | Build,
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    name: str | None = None,
    data: str = "tfds",
    data_dir: str | pathlib.Path | None = None,
    runs: str | pathlib.Path | None = None,
    resume: bool = False,
    replace: bool = False,
    tensorboard: bool = False,
    distribute: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> Result:
    """Trains a model and measures it on every example of train and test. Nothing is selected on the test split.

    Sets the seeds of Python, NumPy and Keras, asks the backend for operations that give the same bits every time, and the C
    library to keep freed memory for the next step (`environment.keep_memory`).

    Args:
        build: a function that takes a `Task` and returns a `keras.Model` from `task.input_shape` to `task.output_shape`; or the
            name or path of one, see `models`. A model that comes compiled keeps its optimizer and loss.
        task: "classification", "regression" or "rendering".
        config: a config of the data set or its name.
        recipe: the name of one of the model's recipes; if None, its default.
        settings: settings of the recipe to change, see `Recipe.replace`.
        seed: of the weights and of the order of the examples, 0 to 2^32 - 1.
        name: of the model; if None, that by which it is found, or the function's path.
        data: "tfds", for `tfds.load`; or "memory", for the same without disk and without TensorFlow: each batch is drawn when
            it is needed, so that the canvas may be of any size.
        data_dir: the folder of TFDS' data sets.
        runs: the folder of all runs, in which this one is written; if None, nothing is written.
        resume: continue where an interrupted run with the same id stopped; return what it gave if it is complete.
        replace: train anew, and replace the run with the same id once the new one is complete.
        tensorboard: write logs for TensorBoard into the run's folder.
        distribute: share each batch among all GPUs (all of the CPU devices where there is none), on JAX or TensorFlow.
        callbacks: of Keras, for the training. At the end of an epoch they see the metrics of test as `val_<metric>`.
        verbose: 1 shows a bar on standard error (a line every 10 s where that is no terminal), 0
            nothing; "auto" is 1 in a terminal or a notebook, else 0.

    Raises:
        UserError: one sentence about what is wrong with an argument, or with the model, before any training; or if the loss or
            a prediction is not finite.
        FileExistsError: one sentence, if there is a run with the same id and it is neither to be resumed nor replaced.
        OSError: one sentence, if the run's folder cannot be written, or is being written by another process; or if the data set
            cannot be, or is damaged.
        MissingPackageError: one sentence, if a package is missing that was asked for, or is too old.
    """
    if name is not None:
        build = as_model(build)
        build = dataclasses.replace(build, name=name, findable=build.findable and build.name == name)
    planned = plan(build, task=task, config=config, recipe=recipe, settings=settings, seed=seed)
    is_named = name is not None or planned.model.findable or isinstance(build, registry.Model)
    if runs is not None and not is_named:
        raise UserError(evaluation.SEVERAL.format(name=planned.model.name, argument="name"))
    options = RunOptions(
        data=data,
        data_dir=data_dir,
        runs=runs,
        resume=resume,
        replace=replace,
        tensorboard=tensorboard,
        distribute=distribute,
        callbacks=keras.tree.flatten(callbacks or []),
        verbose=verbose,
    )
    return execute(planned, options)


def execute(run: Run, options: RunOptions) -> Result:
    """Trains a run and measures it, or returns the result of a complete one that is resumed.

    Args:
        run: what to train.
        options: how.

    Raises:
        Exception: whatever `benchmark.run` raises.
    """
    options.check(run)
    devices = distribution.devices() if options.distribute else []
    claim = claimed(options.runs, run.id, resume=options.resume, replace=options.replace)
    with distribution.over(devices), claim as folder:
        if folder is not None and options.resume and folder.complete:
            return folder.result(run.saved_recipe).with_examples()

        with progress.training(run.id, options.verbose) as bar:
            training = _Training(run, options, devices, folder)
            training.fit(bar)
            result = training.result()
        if folder is not None:
            folder.finish(result, training.network)
        return result


class _Training:
    """A run under way: its network, its examples and its log.

    Args:
        run: what to train.
        options: how.
        devices: that share each batch; none for the one that the backend chooses.
        folder: of the run, if it is written.
    """

    def __init__(self, run: Run, options: RunOptions, devices: list[str], folder: RunFolder | None) -> None:
        self.run, self.options, self.folder = run, options, folder
        self.began = time.perf_counter()
        self.environment = environment.describe()
        keras.utils.set_random_seed(run.seed)
        environment.make_deterministic()
        environment.keep_memory()

        self.network = networks.build(run)  # Before anything takes long
        arrays = loading.load(run.config, run.task, options.data, options.data_dir)
        self.splits = {split: Examples(each, run.task) for split, each in arrays.items()}
        parts = max(1, len(devices))
        size = run.recipe.batch_size
        self.batches = Batches(self.splits["train"], size, run.seed, parts=parts)
        if devices:
            distribution.check(self.network, run.model.name, parts, self.batches.sizes)
            where = self.environment["device"]
            self.environment["device"] = f"{parts} devices: {', '.join(devices)} of {where}"

        self.predict = distribution.predictor(self.network, parts)
        self.settings = self._compile()
        self.log = Log(self.network, self.predict, run, self.splits["test"], folder)

    def _compile(self) -> dict[str, Any]:
        """Compiles the network unless it comes compiled; returns the settings that it is trained by."""
        run = self.run
        if self.network.compiled:
            networks.check_compiled(self.network, run)
            return run.saved_recipe | dict.fromkeys(networks.of_the_optimizer())
        run.recipe.compile(self.network, run.task.loss, self.batches.steps_per_epoch)
        return run.saved_recipe

    def fit(self, bar: Sequence[keras.callbacks.Callback]) -> None:
        """Trains the network, from where an interrupted run stopped if that is to be resumed."""
        boards = []
        if self.folder is not None:
            if self.options.resume:
                self.log.restore()
                self.batches.first_step = len(self.log.epochs) * self.batches.steps_per_epoch
            if self.options.replace:
                self.folder.clear()
            if self.options.tensorboard:
                boards = [keras.callbacks.TensorBoard(self.folder.partial / "tensorboard")]

        self.network.fit(
            self.batches.for_fit(),
            initial_epoch=len(self.log.epochs),
            epochs=self.run.recipe.epochs,
            steps_per_epoch=self.batches.steps_per_epoch,
            verbose=0,
            shuffle=False,  # `Batches` has an order of its own.
            callbacks=[self.log, *boards, *bar, *self.options.callbacks],
        )

    def result(self) -> Result:
        """Measures the network on every example; returns all that is to be told of the run."""
        run, epochs = self.run, self.log.epochs
        name = run.model.name
        measured = {split: evaluation.measured(self.predict, each, name) for split, each in self.splits.items()}
        evaluation.paint(self.predict, self.splits["test"], measured["test"], name)

        seen = len(self.splits["train"]) * len(epochs)
        is_whole = len(epochs) == run.recipe.epochs  # No callback stopped it.
        command = run.command(self.options.data, self.options.distribute)
        return Result(
            model=name,
            recipe=run.recipe_name,
            task=run.task.name,
            config=run.config.name,
            seed=run.seed,
            metrics=evaluation.means(measured, run.task),
            accuracy_metric=run.task.accuracy_metric,
            distance_metric=run.task.distance_metric,
            settings=self.settings,
            parameters=registry.parameters(self.network),
            history=epochs,
            seconds=self.log.seconds_before + time.perf_counter() - self.began,
            examples_per_second=seen / sum(epoch["seconds"] for epoch in epochs),
            environment=self.environment,
            command=command if is_whole else None,
            examples=measured,
        )
