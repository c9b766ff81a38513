"""The harness: trains a model on a task, or asks any function for predictions, and measures on every example.

Training runs on whatever backend Keras has; the same seed on the same machine gives the same weights, bit for bit. For JAX on
GPUs this has to be asked for from outside: `XLA_FLAGS=--xla_gpu_deterministic_ops=true` in the environment. For TensorFlow on
CPUs without AVX-512 the command sets `TF_ENABLE_ONEDNN_OPTS=1`; a script that is to give the same bits sets it, too.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import math
import numbers
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr.benchmark import (
    distribution,
    environment,
    evaluation,
    registry,
    tracebacks,
)
from not_so_clevr.benchmark.experiment import Build, Plan, as_model, plan
from not_so_clevr.benchmark.recipe import Recipe
from not_so_clevr.benchmark.run_folder import RunFolder, claimed
from not_so_clevr.checks import MissingPackageError, UserError, integer
from not_so_clevr.dataset import devices
from not_so_clevr.dataset.batches import Arrays, Batches, Examples
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.examples import Drawn
from not_so_clevr.dataset.tasks import Task, as_task
from not_so_clevr.results import Result, naming

DATA = ("tfds", "memory")

_SEVERAL = "{name} may be one of several; give it a name with {argument}=, to tell its runs apart."


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
        raise UserError(_SEVERAL.format(name=job.model.name, argument="name"))
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
        network = _built(job)  # Before anything takes long
        splits = {split: Examples(arrays, job.task) for split, arrays in load(job.config, job.task, data, data_dir).items()}
        batches = Batches(splits["train"], job.recipe.batch_size, seed, parts=parts)
        if names:
            distribution.check(network, job.model.name, parts, batches.sizes)
            about["device"] = f"{parts} devices: {', '.join(names)} of {about['device']}"
        predict = distribution.predictor(network, parts)
        settings = job.saved_recipe
        if network.compiled:
            _check_compiled(network, job)
            settings = settings | dict.fromkeys(_of_the_optimizer())
        else:
            job.recipe.compile(network, job.task.loss, batches.steps_per_epoch)
        log = _Log(network, predict, job, splits["test"], folder)
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


def evaluate(
    predict: Callable[[npt.NDArray[np.float32]], Any],
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    model: str | None = None,
    seed: int = 0,
    parameters: int | None = None,
    seconds: float | None = None,
    runs: str | pathlib.Path | None = None,
    replace: bool = False,
) -> Result:
    """Measures a function from array to array, whatever framework made it, on every example of train and test.

    Args:
        predict: from x, float32 `[B, *task.input_shape]`, to predictions, `[B, *task.output_shape]`: logits for classification
            and rendering, coordinates from -1 to 1 for regression; see `tasks`. B is 64, less for the last batch, and once
            more 8 for rendering, for the canvases that are kept.
        task: "classification", "regression" or "rendering".
        config: a config of the data set or its name.
        model: its name; if None, that of the function. What has none of its own (a method, a lambda) needs one to be written.
        seed: with which the model was trained, to tell several apart.
        parameters: the number of trainable weights, if it is to be shown.
        seconds: of training, if they are to be shown.
        runs: the folder of all runs, in which this one is written; if None, nothing is written.
        replace: replace the run with the same id.

    Raises:
        UserError: one sentence, if an argument or a prediction is not as above.
        FileExistsError: one sentence, if there is a run with the same id and it is not to be replaced.
        OSError: one sentence, if the run's folder cannot be written.
    """
    config = as_config(config)
    task = as_task(task, config.canvas_size)
    seed = integer("seed", seed, 0, 2**32 - 1)
    parameters = None if parameters is None else integer("parameters", parameters, 0, 2**63)
    if seconds is not None and not (isinstance(seconds, numbers.Real) and 0 <= seconds < math.inf):
        raise UserError(f"seconds={seconds!r} is no time; expected a number of 0 or more, or None.")
    if not callable(predict):
        raise UserError(f"predict={predict!r} is no function; expected one from x to predictions, such as model.predict.")
    name = str(model or getattr(predict, "__name__", type(predict).__name__))
    if runs is not None and not model and (not inspect.isfunction(predict) or name == "<lambda>"):
        raise UserError(_SEVERAL.format(name=name, argument="model"))
    run_id = naming.run_id(task.name, config.name, naming.label(name, ""), seed)
    with claimed(runs, run_id, replace=replace, trained=False) as folder:
        splits = {split: Examples(arrays, task) for split, arrays in load(config, task, "memory").items()}
        measured = {split: evaluation.measured(predict, each, name) for split, each in splits.items()}
        if task.name == "rendering" and all(evaluation.all_white(columns) for columns in measured.values()):
            raise UserError(f"{name} paints every pixel white; expected logits, below 0 for black, and not probabilities.")
        evaluation.paint(predict, splits["test"], measured["test"], name)
        result = Result(
            model=name,
            recipe="",
            task=task.name,
            config=config.name,
            seed=seed,
            metrics=evaluation.means(measured, task),
            right=task.right,
            closeness=task.closeness,
            parameters=parameters,
            seconds=None if seconds is None else float(seconds),
            environment={key: value for key, value in environment.describe().items() if key != "backend"},
            examples=measured,
        )
        if folder is not None:
            folder.clear()
            folder.finish(result)
        return result


def load(
    config: NotSoClevrConfig, task: Task, data: str = "tfds", data_dir: str | pathlib.Path | None = None
) -> Mapping[str, Arrays | Drawn]:
    """Returns what a task needs of what `load_arrays` returns, row-major: read with TFDS, or drawn when it is asked for.

    Raises:
        OSError: one sentence, if the data set on disk is not whole.
    """
    centres = config.split_centres()
    if data == "memory":
        return {split: Drawn(some, config) for split, some in centres.items()}
    import tensorflow_datasets as tfds

    devices.leave_gpus()
    only = tfds.decode.PartialDecoding(dict.fromkeys(("label", *task.features), True))
    loaded = tfds.load(f"not_so_clevr/{config.name}", batch_size=-1, data_dir=data_dir, decoders=only)
    splits: dict[str, Arrays | Drawn] = {}
    for split in ("train", "test"):
        arrays = tfds.as_numpy(loaded[split])
        order = np.argsort(arrays["label"])
        if len(order) != len(centres[split]):
            raise OSError(
                f"{config.name} on disk has {len(order)} of {len(centres[split])} {split} examples, as max_examples_per_split "
                "leaves them; delete it, and it is generated anew."
            )
        splits[split] = {name: values[order] for name, values in arrays.items()}
    return splits


class OutOfTime(Exception):  # noqa: N818 - no error: the run is saved, and goes on when it is resumed.
    """The time that was given to a run is over."""


class StopAt(keras.callbacks.Callback):
    """Raises `OutOfTime` at the end of the first epoch that ends after a time of `time.monotonic`, unless it is the last."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if time.monotonic() > self.until and epoch + 1 < self.params["epochs"]:
            raise OutOfTime


class _Log(keras.callbacks.Callback):
    """Records each epoch: its loss, the metrics of test, the seconds of training. Saves it, if there is a folder."""

    def __init__(
        self,
        network: keras.Model,
        predict: Callable[..., Any],
        job: Plan,
        test: Examples,
        folder: RunFolder | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.predict = predict
        self.job = job
        self.test = test
        self.folder = folder
        self.epochs: list[dict[str, Any]] = []
        self.seconds_before = 0.0
        self.started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.epoch_started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = time.perf_counter() - self.epoch_started
        logs = {} if logs is None else logs
        if "loss" not in logs:
            there = f"only {', '.join(logs)}" if logs else "nothing"
            raise UserError(f"The train_step of {self.job.model.name} returns no loss, {there}; return it as 'loss'.")
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"The loss of {self.job.model.name} became {loss} in epoch {epoch + 1}; "
                "lower the learning rate, or look for a division by 0 or a logarithm of 0."
            )
        measured = evaluation.measured(self.predict, self.test, self.job.model.name)
        test = evaluation.means({"test": measured}, self.job.task)["test"]
        logs.update({f"val_{metric}": value for metric, value in test.items()})
        self.epochs.append({"epoch": epoch + 1, "loss": loss, "test": test, "seconds": seconds})
        if self.folder is not None:
            total = self.seconds_before + time.perf_counter() - self.started
            self.folder.save(self.network, {"recipe": self.job.saved_recipe, "seconds": total, "epochs": self.epochs})

    def restore(self) -> None:
        """Continues where the last run stopped, if it came far enough to save anything."""
        assert self.folder is not None
        self.network.optimizer.build(self.network.trainable_variables)
        log = self.folder.restore(self.network, self.job.saved_recipe)
        if log:
            self.epochs = log["epochs"]
            self.seconds_before = log["seconds"]


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
    check_data(data, job.config)
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


def check_data(data: str, config: NotSoClevrConfig | None = None) -> None:
    """Raises UserError, one sentence, unless `data` is one of `DATA`, and has room in memory for a data set that is read."""
    if data not in DATA:
        raise UserError(f"data={data!r} is unknown; expected one of {', '.join(DATA)}.")
    if data == "tfds" and config is not None:
        pixels = config.num_examples * config.canvas_size**2
        needed, there = 2 * pixels, environment.memory()  # Canvases or one-hot targets, twice while they are sorted
        if there is not None and needed > there:
            raise UserError(
                f"{config.name} takes {needed / 1e9:.0f} GB of memory when it is read, and this machine has {there / 1e9:.0f} "
                "GB; use data='memory' (--data memory), which draws each batch when it is needed."
            )


def check_model(job: Plan) -> None:
    """Raises UserError, one sentence, unless the model can be built, and gives finite numbers of the right shape."""
    network = _built(job)
    if network.compiled:
        _check_compiled(network, job)


def _of_the_optimizer() -> set[str]:
    """Returns the settings of a recipe that a model ignores if it comes compiled."""
    return set(Recipe.names()) - {"epochs", "batch_size"}


def _check_compiled(network: keras.Model, job: Plan) -> None:
    """Raises UserError if a network that comes compiled was trained before, or is to be trained by settings it ignores."""
    ignored = sorted(_of_the_optimizer() & set(job.settings))
    if ignored:
        raise UserError(f"{job.model.name} comes compiled, so {', '.join(ignored)} would change nothing; leave it out.")
    if int(network.optimizer.iterations) > 0:
        raise UserError(f"{job.model.name} has been trained already; expected a new network at each call of the function.")


def _built(job: Plan) -> keras.Model:
    """Returns the network, once it was seen to give finite numbers of the right shape for two examples of train.

    Raises:
        UserError: one sentence, if it does not.
    """
    if keras.config.image_data_format() != "channels_last":
        raise UserError(
            "Keras' image_data_format is channels_first, and the tasks have channels last; change it in ~/.keras/keras.json, "
            "or call keras.config.set_image_data_format('channels_last')."
        )
    examples = Examples(Drawn(job.config.split_centres()["train"][:2], job.config), job.task)
    x, _ = examples.xy(slice(2))
    try:
        network = job.model.build(job.task, **job.recipe.model)
        predictions = network(x) if isinstance(network, keras.Model) else None
    except (Exception, SystemExit) as error:
        within = error.__traceback__ and error.__traceback__.tb_next  # The function's body, if it was entered
        takes_no_task = isinstance(error, TypeError) and not within
        hint = " (A function from array to array is measured by benchmark.evaluate.)" if takes_no_task else ""
        text = f"{job.model.name} cannot be built for {job.task.name}: {tracebacks.sentence(error)}.{hint}"
        raise UserError(tracebacks.with_frames(text, error)) from error
    if not isinstance(network, keras.Model):
        raise UserError(f"{job.model.name} returns {type(network).__name__}; expected a keras.Model.")
    _check_logits(network, evaluation.checked(predictions, examples, slice(2), job.model.name), job)
    if not network.compiled:
        job.recipe.check(network)
    return network


def _check_logits(network: keras.Model, predictions: npt.NDArray[np.float32], job: Plan) -> None:
    """Raises UserError, one sentence, if a network gives probabilities, as one does that ends in a softmax or a sigmoid."""
    flat = predictions.reshape(len(predictions), -1)
    squashed = any(getattr(layer, "activation", None) is keras.activations.sigmoid for layer in network.layers)
    are_shares = (flat >= 0).all() and np.allclose(flat.sum(axis=1), 1, atol=1e-3)
    are_probabilities = squashed and ((flat > 0) & (flat < 1)).all()
    if (job.task.name == "classification" and are_shares) or (job.task.name == "rendering" and are_probabilities):
        last = "softmax" if are_shares else "sigmoid"
        raise UserError(f"{job.model.name} returns probabilities; expected logits: leave out the {last} at the end.")
