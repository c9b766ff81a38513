"""The harness: trains a model on a task, or asks any function for predictions, and measures on every example.

Training runs on whatever backend Keras has; the same seed on the same machine gives the same weights, bit for bit. For JAX on
GPUs this has to be asked for from outside: `XLA_FLAGS=--xla_gpu_deterministic_ops=true` in the environment. For TensorFlow on
CPUs without AVX-512 the command sets `TF_ENABLE_ONEDNN_OPTS=1`; a script that is to give the same bits sets it, too.
"""

from __future__ import annotations

import dataclasses
import importlib.util
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
    registry,
)
from not_so_clevr.benchmark.experiment import Build, Plan, as_model, plan
from not_so_clevr.benchmark.log import Log
from not_so_clevr.benchmark.run_folder import RunFolder, claimed
from not_so_clevr.checks import MissingPackageError, UserError, integer
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
    job = plan(build, task=task, config=config, recipe=recipe, settings=settings)
    if runs is not None and name is None and not (job.model.findable or isinstance(build, registry.Model)):
        raise UserError(evaluation.SEVERAL.format(name=job.model.name, argument="name"))
    return execute(
        job,
        seed=seed,
        data=data,
        data_dir=data_dir,
        runs=runs,
        resume=resume,
        replace=replace,
        tensorboard=tensorboard,
        distribute=distribute,
        callbacks=callbacks,
    )


def execute(
    job: Plan,
    *,
    seed: int = 0,
    data: str = "tfds",
    data_dir: str | pathlib.Path | None = None,
    runs: str | pathlib.Path | None = None,
    resume: bool = False,
    replace: bool = False,
    tensorboard: bool = False,
    distribute: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Result:
    """Does what was planned; `run` tells the arguments and the errors."""
    seed = check_arguments(job, seed=seed, data=data, runs=runs, resume=resume, replace=replace, tensorboard=tensorboard)
    names = distribution.devices() if distribute else []
    parts = max(1, len(names))
    with distribution.over(names), claimed(runs, job.id(seed), resume=resume, replace=replace) as folder:
        if folder is not None and resume and folder.complete:
            return folder.result(job.saved_recipe).with_examples()
        began = time.perf_counter()
        about = environment.describe()
        keras.utils.set_random_seed(seed)
        environment.make_deterministic()
        environment.keep_memory()
        network = networks.built(job)  # Before anything takes long
        splits = {
            split: Examples(arrays, job.task) for split, arrays in loading.load(job.config, job.task, data, data_dir).items()
        }
        batches = Batches(splits["train"], job.recipe.batch_size, seed, parts=parts)
        if names:
            distribution.check(network, job.model.name, parts, batches.sizes)
            about["device"] = f"{parts} devices: {', '.join(names)} of {about['device']}"
        predict = distribution.predictor(network, parts)
        settings = job.saved_recipe
        if network.compiled:
            networks.check_compiled(network, job)
            settings = settings | dict.fromkeys(networks.of_the_optimizer())
        else:
            job.recipe.compile(network, job.task.loss, batches.steps_per_epoch)
        log = Log(network, predict, job, splits["test"], folder)
        if folder is not None and resume:
            log.restore()
            batches.first_step = len(log.epochs) * batches.steps_per_epoch
        if folder is not None and replace:
            folder.clear()
        boards = [keras.callbacks.TensorBoard(folder.partial / "tensorboard")] if folder is not None and tensorboard else []
        network.fit(
            batches.for_fit(),
            initial_epoch=len(log.epochs),
            epochs=job.recipe.epochs,
            steps_per_epoch=batches.steps_per_epoch,
            verbose=0,
            shuffle=False,  # `Batches` has an order of its own.
            callbacks=[log, *boards, *keras.tree.flatten(callbacks or [])],
        )
        measured = {split: evaluation.measured(predict, each, job.model.name) for split, each in splits.items()}
        evaluation.paint(predict, splits["test"], measured["test"], job.model.name)
        result = Result(
            model=job.model.name,
            recipe=job.recipe_name,
            task=job.task.name,
            config=job.config.name,
            seed=seed,
            metrics=evaluation.means(measured, job.task),
            right=job.task.right,
            closeness=job.task.closeness,
            settings=settings,
            parameters=registry.parameters(network),
            history=log.epochs,
            seconds=log.seconds_before + time.perf_counter() - began,
            examples_per_second=len(splits["train"]) * len(log.epochs) / sum(epoch["seconds"] for epoch in log.epochs),
            environment=about,
            # If no callback stopped it
            command=None if len(log.epochs) < job.recipe.epochs else job.command(seed, data, distribute),
            examples=measured,
        )
        if folder is not None:
            folder.finish(result, network)
        return result


def check_arguments(
    job: Plan,
    *,
    seed: int,
    data: str,
    runs: str | pathlib.Path | None,
    resume: bool,
    replace: bool,
    tensorboard: bool,
) -> int:
    """Returns the seed. Raises what `run` raises for its arguments, and if there is a run that is not to be touched."""
    seed = integer("seed", seed, 0, 2**32 - 1)
    loading.check_data(data, job.config)
    if resume and replace:
        raise UserError("resume and replace were both asked for; a run can be continued or replaced, not both.")
    if tensorboard and runs is None:
        raise UserError("tensorboard needs a folder to write to; give runs=, such as runs='runs'.")
    if tensorboard and not importlib.util.find_spec("tensorboard"):
        raise MissingPackageError("TensorBoard is not installed; run: pip install 'not-so-clevr[tensorboard]'")
    if runs is not None:
        folder = RunFolder(runs, job.id(seed))
        folder.check_free(resume=resume, replace=replace)
        if resume:
            folder.check_resumable(job.saved_recipe)
    return seed
