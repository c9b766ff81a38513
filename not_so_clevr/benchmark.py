"""The harness: trains a model on a task, or asks any function for predictions, and measures on every example.

Training runs on whatever backend Keras has; the same seed on the same machine gives the same weights, bit for bit.
"""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import filelock
import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr import canvas, disk, environment, models, results
from not_so_clevr.arrays import load_arrays
from not_so_clevr.not_so_clevr_dataset_builder import NotSoClevrConfig, as_config
from not_so_clevr.recipe import Recipe
from not_so_clevr.results import Result
from not_so_clevr.tasks import Task, as_task

Arrays = Mapping[str, npt.NDArray[np.generic]]

DATA = ("tfds", "memory")

_PROGRESS = "progress.json"
_PREDICT_BATCH = 64


def run(
    build: str | models.Model | Callable[..., keras.Model],
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    recipe: str | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    data: str = "tfds",
    data_dir: str | pathlib.Path | None = None,
    runs: str | pathlib.Path | None = None,
    resume: bool = False,
    replace: bool = False,
    tensorboard: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Result:
    """Trains a model and measures it on every example of train and test. Nothing is selected on the test split.

    Sets the seeds of Python, NumPy and Keras.

    Args:
        build: a function that takes a `Task` and returns a `keras.Model` from `task.input_shape` to `task.output_shape`; or the
            name or path of one, see `models`. A model that comes compiled keeps its optimizer and loss.
        task: "classification", "regression" or "rendering".
        config: a config of the data set or its name.
        recipe: a recipe or the name of one of the model's; if None, the model's default.
        settings: settings of the recipe to change, see `Recipe.replace`.
        seed: of the weights and the order of the examples, 0 to 2^32 - 1.
        data: "tfds", for `tfds.load`; or "memory", for the same without disk and without TensorFlow.
        data_dir: the folder of TFDS' data sets.
        runs: the folder of all runs, in which this one is written; if None, nothing is written.
        resume: continue where an interrupted run with the same id stopped; return what it gave if it is complete.
        replace: train anew and replace the run with the same id, once the new one is complete.
        tensorboard: write logs for TensorBoard into the run's folder.
        callbacks: of Keras, for the training.

    Raises:
        ValueError: one sentence about what is wrong with an argument, or with the model, before any training; or if the loss or
            a prediction is not finite.
        OSError: one sentence, if the run's folder cannot be written, or is being written by another process.
    """
    model = build if isinstance(build, models.Model) else models.find(build) if isinstance(build, str) else models.from_function(build)
    config = as_config(config)
    task = as_task(task, config.canvas_size)
    seed = canvas.integer("seed", seed, 0, 2**32 - 1)
    if data not in DATA:
        raise ValueError(f"data={data!r} is unknown; expected one of {', '.join(DATA)}.")
    if resume and replace:
        raise ValueError("resume and replace were both asked for; an interrupted run can be continued or replaced, not both.")
    if tensorboard and runs is None:
        raise ValueError("tensorboard needs a folder to write to; give runs=, such as runs='runs'.")
    recipe_name, recipe = ("custom", recipe) if isinstance(recipe, Recipe) else model.recipe(recipe, task.name)
    recipe = recipe.replace(settings or {})
    name = run_label(model, recipe_name, settings or {})
    run_id = results.run_id(task.name, config.name, results.label(model.name, name), seed)
    with _claimed(runs, run_id, resume, replace) as folder:
        if folder is not None and resume and folder.final.exists():
            return Result.read(folder.final / results.FILE)
        began = time.perf_counter()
        keras.utils.set_random_seed(seed)
        environment.make_deterministic()
        arrays = {split: Examples(examples, task) for split, examples in load(config, data, data_dir).items()}
        network = _built(model, task, recipe, arrays["train"])
        batches = Batches(arrays["train"], recipe.batch_size, seed)
        if not network.compiled:
            recipe.compile(network, task.loss, len(batches))
        log = _Log(network, model.name, arrays["test"], batches, recipe, folder)
        if folder is not None and resume:
            log.restore()
        loggers = [keras.callbacks.TensorBoard(folder.partial / "tensorboard")] if folder is not None and tensorboard else []
        network.fit(
            batches, initial_epoch=len(log.epochs), epochs=recipe.epochs, verbose=0, callbacks=[log, *loggers, *callbacks]
        )
        examples = {
            split: _measured(network.predict_on_batch, examples, model.name) for split, examples in arrays.items()
        }
        training = sum(epoch["seconds"] for epoch in log.epochs)
        result = Result(
            model=model.name,
            recipe=name,
            task=task.name,
            config=config.name,
            seed=seed,
            metrics=_means(examples, task),
            right=task.right,
            closeness=task.closeness,
            settings=recipe.as_dict(),
            parameters=sum(math.prod(variable.shape) for variable in network.trainable_variables),
            history=log.epochs,
            seconds=time.perf_counter() - began + log.seconds_before,
            examples_per_second=len(arrays["train"]) * len(log.epochs) / training,
            environment=environment.describe(),
            command=_command(model, task, config, recipe_name, settings or {}, seed),
            examples=examples,
        )
        if folder is not None:
            network.save_weights(folder.partial / results.WEIGHTS)
            folder.finish(result)
        return result


def evaluate(
    predict: Callable[[npt.NDArray[np.float32]], Any],
    *,
    task: str | Task,
    config: str | NotSoClevrConfig,
    name: str | None = None,
    seed: int = 0,
    parameters: int | None = None,
    seconds: float | None = None,
    runs: str | pathlib.Path | None = None,
    replace: bool = False,
) -> Result:
    """Measures a function from array to array, whatever framework made it, on every example of train and test.

    Args:
        predict: from x, float32 `[B, *task.input_shape]`, to predictions, `[B, *task.output_shape]`: logits for classification
            and rendering, coordinates from -1 to 1 for regression; see `tasks`. B is 64, less for the last batch.
        task: "classification", "regression" or "rendering".
        config: a config of the data set or its name.
        name: of the model; if None, that of the function.
        seed: with which the model was trained, to tell several apart.
        parameters: the number of trainable weights, if it is to be shown.
        seconds: of training, if they are to be shown.
        runs: the folder of all runs, in which this one is written; if None, nothing is written.
        replace: replace the run with the same id.

    Raises:
        ValueError: one sentence, if an argument or a prediction is not as above.
        OSError: one sentence, if the run's folder cannot be written.
    """
    config = as_config(config)
    task = as_task(task, config.canvas_size)
    seed = canvas.integer("seed", seed, 0, 2**32 - 1)
    name = name or getattr(predict, "__name__", type(predict).__name__)
    run_id = results.run_id(task.name, config.name, results.label(name, ""), seed)
    with _claimed(runs, run_id, False, replace) as folder:
        examples = {
            split: _measured(predict, Examples(arrays, task), name) for split, arrays in load(config, "memory").items()
        }
        result = Result(
            model=name,
            recipe="",
            task=task.name,
            config=config.name,
            seed=seed,
            metrics=_means(examples, task),
            right=task.right,
            closeness=task.closeness,
            parameters=parameters,
            seconds=seconds,
            environment=environment.describe(),
            examples=examples,
        )
        if folder is not None:
            folder.finish(result)
        return result


def load(config: NotSoClevrConfig, data: str = "tfds", data_dir: str | pathlib.Path | None = None) -> dict[str, Arrays]:
    """Returns what `load_arrays` returns, row-major, drawn in memory or read with TFDS."""
    if data == "memory":
        return load_arrays(config)
    import tensorflow_datasets as tfds

    loaded = tfds.load(f"not_so_clevr/{config.name}", batch_size=-1, data_dir=data_dir)
    arrays = {}
    for split in ("train", "test"):
        examples = tfds.as_numpy(loaded[split])
        order = np.argsort(examples["label"])
        arrays[split] = {name: values[order] for name, values in examples.items()}
    return arrays


def run_label(model: models.Model, recipe: str, settings: Mapping[str, Any]) -> str:
    """Returns the name of a recipe with the settings that were changed; "" for the model's default recipe as it is."""
    default = recipe == next(iter(model.recipes))
    changed = [f"{key}={value}" for key, value in sorted(settings.items())]
    return "-".join(([] if default else [recipe]) + changed)


class Examples:
    """The examples of a split, in arrays, as a task sees them."""

    def __init__(self, arrays: Arrays, task: Task) -> None:
        self.arrays = arrays
        self.task = task

    def __len__(self) -> int:
        return len(self.arrays["label"])

    def xy(self, chosen: Any) -> tuple[Any, Any]:
        """Returns (x, y) of the examples at an index, a slice or an array of indices."""
        return self.task.xy({name: values[chosen] for name, values in self.arrays.items()})


class Batches(keras.utils.PyDataset):
    """Batches of examples in an order that follows from the seed and the epoch alone, so that a run can be resumed."""

    def __init__(self, examples: Examples, batch_size: int, seed: int) -> None:
        super().__init__()
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self.begin(0)

    def begin(self, epoch: int) -> None:
        self.order = np.random.RandomState([self.seed, epoch]).permutation(len(self.examples))

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.examples.xy(self.order[index * self.batch_size : (index + 1) * self.batch_size])


class _Log(keras.callbacks.Callback):
    """Records each epoch: its loss, the metrics of test, the seconds of training. Saves it, if there is a folder."""

    def __init__(
        self, network: keras.Model, name: str, test: Examples, batches: Batches, recipe: Recipe, folder: _Folder | None
    ) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.test = test
        self.batches = batches
        self.recipe = recipe
        self.folder = folder
        self.epochs: list[dict[str, Any]] = []
        self.seconds_before = 0.0
        self.started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.batches.begin(epoch)
        self.epoch_started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        seconds = time.perf_counter() - self.epoch_started
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss of {self.name} became {loss} in epoch {epoch + 1}; "
                f"lower the learning rate (it is {self.recipe.learning_rate}), or look for a division by 0 or a logarithm of 0."
            )
        examples = {"test": _measured(self.network.predict_on_batch, self.test, self.name)}
        test = _means(examples, self.test.task)["test"]
        self.epochs.append({"epoch": epoch + 1, "loss": loss, "test": test, "seconds": seconds})
        if self.folder is not None:
            total = self.seconds_before + time.perf_counter() - self.started
            self.folder.save(self.network, {"settings": self.recipe.as_dict(), "seconds": total, "epochs": self.epochs})

    def restore(self) -> None:
        """Continues where the last run stopped, if it came far enough to have saved anything."""
        assert self.folder is not None
        saved = self.folder.progress()
        if saved is None:
            return
        if saved["settings"] != json.loads(json.dumps(self.recipe.as_dict())):
            raise ValueError(
                f"{self.folder.partial} was begun with other settings, {saved['settings']}; "
                "resume with those, or replace the run."
            )
        self.network.optimizer.build(self.network.trainable_variables)
        self.network.load_weights(self.folder.partial / results.WEIGHTS)
        done = int(self.network.optimizer.iterations) // len(self.batches)
        self.epochs = saved["epochs"][:done]  # The weights are saved after the log: it may be ahead by an epoch.
        self.seconds_before = saved["seconds"]


class _Folder:
    """The folder of a run: `seed0.incomplete` until the run is complete, then `seed0`."""

    def __init__(self, final: pathlib.Path) -> None:
        self.final = final
        self.partial = final.with_name(final.name + results.INCOMPLETE)

    def check_free(self, resume: bool, replace: bool) -> None:
        """Raises FileExistsError if there is a run already, and neither was asked for."""
        if resume or replace:
            return
        if self.final.exists():
            raise FileExistsError(f"{self.final} holds a complete run; add --resume to show it, or --replace to train anew.")
        if self.partial.exists():
            raise FileExistsError(
                f"{self.partial} holds an interrupted run; add --resume to continue it, or --replace to train anew."
            )

    def save(self, network: keras.Model, progress: Mapping[str, Any]) -> None:
        with disk.replacing(self.partial / _PROGRESS) as temporary:
            temporary.write_text(json.dumps(progress))
        with disk.replacing(self.partial / results.WEIGHTS) as temporary:
            network.save_weights(temporary)

    def progress(self) -> dict[str, Any] | None:
        if not (self.partial / results.WEIGHTS).exists():
            return None
        return json.loads((self.partial / _PROGRESS).read_text())

    def finish(self, result: Result) -> None:
        """Writes the result and puts the run in its place; a run that it replaces is there until then."""
        result.write(self.partial)
        replaced = self.final.with_name(self.final.name + ".replaced")
        if self.final.exists():
            self.final.rename(replaced)
        self.partial.rename(self.final)
        (self.final / _PROGRESS).unlink(missing_ok=True)
        shutil.rmtree(replaced, ignore_errors=True)


def check_free(runs: str | pathlib.Path, run_id: str, *, resume: bool = False, replace: bool = False) -> None:
    """Raises FileExistsError, one sentence, if a run with the id is there and is neither to be resumed nor replaced."""
    _Folder(pathlib.Path(runs) / run_id).check_free(resume, replace)


@contextlib.contextmanager
def _claimed(runs: str | pathlib.Path | None, run_id: str, resume: bool, replace: bool) -> Iterator[_Folder | None]:
    """Yields the folder of a run, for this process alone; None if nothing is to be written."""
    if runs is None:
        yield None
        return
    folder = _Folder(pathlib.Path(runs) / run_id)
    folder.check_free(resume, replace)
    lock = folder.final.with_name(f".{folder.final.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(lock, timeout=0).acquire()
    except filelock.Timeout:
        raise OSError(f"{folder.final} is being written by another process; wait for it, or choose another folder.") from None
    except OSError as error:
        raise OSError(f"Cannot write {folder.final}: {error.strerror or error}; choose another folder.") from error
    with held:
        folder.check_free(resume, replace)
        if replace and folder.partial.exists():
            shutil.rmtree(folder.partial)
        yield folder


def _built(model: models.Model, task: Task, recipe: Recipe, examples: Examples) -> keras.Model:
    """Returns the network, once it was seen to give finite numbers of the right shape for two examples.

    Raises:
        ValueError: one sentence, if it does not.
    """
    x, _ = examples.xy(slice(2))
    try:
        network = model.build(task, **recipe.model)
        if not isinstance(network, keras.Model):
            raise TypeError(f"expected a keras.Model, received {type(network).__name__}")
        predictions = network(x)
    except Exception as error:
        raise ValueError(f"{model.name} cannot be built for {task.name}: {models.where(error)}.") from error
    _checked(predictions, examples, slice(2), model.name)
    return network


def _measured(predict: Callable[..., Any], examples: Examples, name: str) -> dict[str, npt.NDArray[np.generic]]:
    """Returns each metric of each example, and the coordinates of its centre in pixels."""
    task = examples.task
    columns: dict[str, list[Any]] = {metric: [] for metric in task.metrics}
    for start in range(0, len(examples), _PREDICT_BATCH):
        chosen = slice(start, start + _PREDICT_BATCH)
        x, y = examples.xy(chosen)
        predictions = _checked(predict(x), examples, chosen, name)
        for metric, function in task.metrics.items():
            columns[metric].append(keras.ops.convert_to_numpy(function(y, predictions)))
    measured = {metric: np.concatenate(values) for metric, values in columns.items()}
    return {"coordinates": examples.arrays["coordinates"], **measured}


def _checked(predictions: Any, examples: Examples, chosen: slice, name: str) -> npt.NDArray[np.float32]:
    """Returns predictions as an array. Raises ValueError, one sentence, unless they have the task's shape and are finite."""
    task, coordinates = examples.task, examples.arrays["coordinates"][chosen]
    try:
        array = np.asarray(keras.ops.convert_to_numpy(predictions), np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name} returns {type(predictions).__name__}; expected one array of shape [B, {_shape(task)}].") from None
    expected = (len(coordinates), *task.output_shape)
    if array.shape != expected:
        raise ValueError(f"{name} returns shape {array.shape} for {task.name}; expected {expected} for a batch of {len(coordinates)}.")
    wrong = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if wrong.any():
        i, j = coordinates[wrong][0].tolist()
        raise ValueError(f"{name} returns NaN or infinity for the example ({i}, {j}); expected finite numbers.")
    return array


def _shape(task: Task) -> str:
    return ", ".join(map(str, task.output_shape))


def _means(examples: results.Examples, task: Task) -> dict[str, dict[str, float]]:
    return {
        split: {metric: float(np.mean(columns[metric], dtype=np.float64)) for metric in task.metrics}
        for split, columns in examples.items()
    }


def _command(
    model: models.Model, task: Task, config: NotSoClevrConfig, recipe: str, settings: Mapping[str, Any], seed: int
) -> str | None:
    """Returns the command line that makes the run again, if there is one."""
    if recipe == "custom":
        return None
    words = ["not-so-clevr", "train", model.name, "--task", task.name, "--config", config.name, "--seed", str(seed)]
    if recipe != next(iter(model.recipes)):
        words += ["--recipe", recipe]
    for key, value in sorted(settings.items()):
        words += ["--set", f"{key}={value}"]
    return shlex.join(words)
