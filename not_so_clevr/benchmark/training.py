"""Training one run, and measuring it on every example.

On any backend of Keras, the same seed on the same machine gives the same weights, bit for bit. JAX
on GPUs needs `XLA_FLAGS=--xla_gpu_deterministic_ops=true` in the environment for that, TensorFlow
on CPUs without AVX-512 `TF_ENABLE_ONEDNN_OPTS=1`, which the command sets.
"""

from __future__ import annotations

import math
import os
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
    transfer,
)
from not_so_clevr.benchmark.experiment import Build, Run, plan
from not_so_clevr.benchmark.log import Log, Watch
from not_so_clevr.benchmark.options import RunOptions
from not_so_clevr.benchmark.recipe import separate
from not_so_clevr.benchmark.run_folder import RunFolder, claim
from not_so_clevr.dataset.batches import Batches, Examples
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.tasks import Task
from not_so_clevr.results import Result


def run(
    build: str | registry.Model | Build,
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    recipe: str | os.PathLike[str] | None = None,
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
    also: Sequence[str | NotSoClevrConfig] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> Result:
    """Trains a model and measures it on every example. Nothing is selected on the test split.

    Sets the seeds of Python, NumPy and Keras, makes the backend deterministic during the run, and
    makes the C library keep freed memory until the process ends (`environment.keep_memory`).

    Args:
        build: a function that takes a `Task` and returns a `keras.Model` from `task.input_shape` to
            `task.output_shape`, or the name or path of one. If it has an argument `steps`, it gets
            the number of steps of the training. A compiled model keeps its optimizer and loss.
        task: the name of one of the six `tasks`, or a task.
        config: a config of the data set, or its name.
        recipe: the name of one of the model's recipes, or a file of `tune`; its default recipe if
            None.
        settings: settings of the recipe to change, see `Recipe.replace`.
        seed: the seed of the weights and of the order of the examples, 0 to 2^32 - 1.
        name: the name of the model; the name or path of the function if None.
        data: "tfds" for `tfds.load`; or "memory" for the same without disk or TensorFlow: each
            batch is drawn when it is needed, so the canvas may have any size.
        data_dir: the folder of TFDS' data sets.
        runs: the folder of all runs, to which this one is written; nothing is written if None.
        resume: continue an interrupted run with the same id, or return the result of a complete
            one.
        replace: train again, and replace the run with the same id once the new one is complete.
        tensorboard: write logs for TensorBoard into the folder of the run.
        distribute: split each batch among all GPUs (all CPU devices if there are none), on JAX or
            TensorFlow.
        also: other configs to measure the trained weights on, e.g. `("quadrant_128",)`: they are
            put into the network that the same function builds for that canvas, and the result has
            its metrics, or why it does not fit, in `also`. With `resume` a complete run that lacks
            some is measured from its saved weights.
        callbacks: Keras callbacks. At the end of an epoch they see the test metrics as
            `val_<metric>`; where train has fewer examples than test, only after as many epochs as
            together have seen as many examples as test has, and after the last. One that monitors
            a metric needs `mode="min"` or `"max"`: Keras knows only those of its own.
        verbose: 1 shows a bar on stderr (a line every 10 s outside a terminal), 0 nothing; "auto"
            is 1 in a terminal or a notebook, otherwise 0.

    Raises:
        UserError: one sentence, before any training, if an argument or the model is wrong; or if
            the loss or a prediction is not finite.
        FileExistsError: one sentence, if the run exists, unless `resume` or `replace`.
        OSError: one sentence, if the folder of the run cannot be written, or another process writes
            it; or if the data set cannot be written, or is damaged.
        MissingPackageError: one sentence, if a package is missing or too old.
    """
    planned = plan(
        build, task=task, config=config, recipe=recipe, settings=settings, seed=seed, name=name
    )
    options = RunOptions(
        data=data,
        data_dir=data_dir,
        runs=runs,
        resume=resume,
        replace=replace,
        tensorboard=tensorboard,
        distribute=distribute,
        also=also,
        callbacks=keras.tree.flatten(callbacks or []),
        verbose=verbose,
    )
    if options.runs is not None:  # A model that cannot be built leaves no lock there.
        options.check(planned)
        devices = distribution.devices() if options.distribute else []
        networks.check_models([planned], len(devices), options.runs if options.resume else None)
    return execute(planned, options)


def execute(run: Run, options: RunOptions) -> Result:
    """Executes a run, or returns the result of a complete one to resume. Errors as for `run`."""
    devices = distribution.devices() if options.distribute else []
    with (
        environment.restored(),
        distribution.scope(devices),
        claim(options.runs, run.id) as folder,
    ):
        options.check(run)
        if folder is not None and options.resume and folder.complete:
            network = None
            result = folder.result(run.saved_recipe).with_examples()
        else:
            network, result = _train(run, options, devices, folder)
        return transfer.complete(result, run, options, network, max(1, len(devices)), folder)


def _train(
    run: Run, options: RunOptions, devices: list[str], folder: RunFolder | None
) -> tuple[keras.Model, Result]:
    """Trains and measures a run, and completes its folder; returns its network and result."""
    with progress.training(run.id, options.verbose) as bar:
        training = _Training(run, options, devices, folder)
        training.fit(bar)
        result = training.result()
    if folder is not None:
        folder.finish(result, training.network)
    return training.network, result


class _Training:
    """The training of a run: its network, its examples and its log."""

    def __init__(
        self, run: Run, options: RunOptions, devices: list[str], folder: RunFolder | None
    ) -> None:
        self.run, self.options, self.folder = run, options, folder
        self.began = time.perf_counter()
        self.environment = environment.describe()
        self.policy = keras.config.dtype_policy().name  # The model's function may change it.
        keras.utils.set_random_seed(run.seed)
        environment.make_deterministic()
        environment.keep_memory()

        self.network = networks.build(run)  # Fails early, before the data are loaded.
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
        steps = self.batches.steps_per_epoch
        self.watch, self.resumed = Watch(self.network), False
        test, train = self.splits["test"], len(self.splits["train"])
        about = self.environment
        self.log = Log(self.network, self.predict, run, test, train, steps, folder, about)

    def _compile(self) -> dict[str, Any]:
        """Compiles the network if necessary; returns the settings that it is trained with."""
        recipe, settings = self.run.recipe, self.run.saved_recipe
        if self.network.compiled:
            settings = settings | dict.fromkeys(networks.OF_THE_OPTIMIZER)
            # Keras would make more steps in an epoch to fill the last execution.
            together = math.gcd(self.network.steps_per_execution, self.batches.steps_per_epoch)
            self.network.steps_per_execution = together
        else:
            recipe.compile(self.network, self.run.task.loss, self.batches.steps_per_epoch)
        self.environment["training"] = environment.training(self.network)
        return settings

    def fit(self, bar: Sequence[keras.callbacks.Callback]) -> None:
        """Trains the network, from the last checkpoint if an interrupted run is resumed."""
        boards = []
        if self.folder is not None:
            if self.options.resume:
                self.log.restore()
                self.resumed = bool(self.log.epochs)
                self.batches.first_step = self.log.done * self.batches.steps_per_epoch
            if self.options.replace:
                self.folder.clear()
            if self.options.tensorboard:
                boards = [keras.callbacks.TensorBoard(self.folder.partial / "tensorboard")]

        self.network.fit(
            self.batches.for_fit(),
            initial_epoch=self.log.done,
            epochs=self.run.recipe.epochs,
            steps_per_epoch=self.batches.steps_per_epoch,
            verbose=0,
            shuffle=False,  # `Batches` shuffles.
            callbacks=[self.log, *boards, *bar, *self._callbacks(), self.log.rates],
        )
        separate(self.network)  # `fit` ends with the averages in the place of the weights.

    def _callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns the callbacks of the user, watched if there are any."""
        own = list(self.options.callbacks)
        return [self.watch.first, *own, self.watch.last] if self._foreign() else own

    def _foreign(self) -> list[keras.callbacks.Callback]:
        return [each for each in self.options.callbacks if not _is_ours(each)]

    def result(self) -> Result:
        """Measures the network on every example; returns the result of the run."""
        run, done, count = self.run, self.log.done, len(self.splits["train"])
        in_last = min(self.log.steps * run.recipe.batch_size or count, count)
        seen = count * (done - 1) + in_last
        stopped = done < run.recipe.epochs or in_last < count
        by_callback = self._describe_training() or stopped
        command = run.command(self.options.data, self.options.distribute)
        backend = self.environment["backend"]
        if command and backend != "tensorflow":  # The default of Keras
            command = f"KERAS_BACKEND={backend} {command}"
        examples = evaluation.measure(self.predict, self.splits, run.model.name)
        return Result(
            model=run.model.name,
            recipe=run.recipe_name,
            task=run.task.name,
            config=run.config.name,
            seed=run.seed,
            metrics=evaluation.summary(examples, run.task),
            accuracy_metric=run.task.accuracy_metric,
            distance_metric=run.task.distance_metric,
            examples=examples,
            settings=self.settings,
            parameters=registry.parameters(self.network),
            history=self.log.epochs,
            examples_per_second=seen / sum(epoch["seconds"] for epoch in self.log.epochs),
            environment=self.environment,
            command=None if by_callback else command,
            search=run.search,
            seconds=self.log.seconds_before + time.perf_counter() - self.began,
        )

    def _describe_training(self) -> bool:
        """Completes the environment; returns whether no command repeats the training.

        Callbacks may have changed it; in a resumed run, they have lost what they remembered.
        """
        about, optimizer = self.environment["training"], self.network.optimizer
        steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
        about |= {"steps": steps, "learning_rate": self.log.rates.seen}
        if foreign := self._foreign():
            about["callbacks"] = [type(each).__name__ for each in foreign]
        if self.watch.changed or (foreign and self.resumed):
            return True
        if self.policy != keras.config.floatx():  # A command begins with the usual one.
            return True
        rate = about["optimizer"].get("learning_rate")  # A dict for a schedule, which is fixed
        return isinstance(rate, float) and self.log.rates.changed(rate)


def _is_ours(callback: keras.callbacks.Callback) -> bool:
    return type(callback).__module__.startswith("not_so_clevr.")
