"""The end of an epoch: measure, record and save it if it is time, or stop."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from not_so_clevr.benchmark import environment, evaluation, graph
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.recipe import averaged
from not_so_clevr.benchmark.run_folder import RunFolder, trained_state, variable_of_keras
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import devices
from not_so_clevr.dataset.batches import Examples


class TimeIsUp(Exception):  # noqa: N818 - not an error: the run is saved, and can be resumed.
    """The time of a run is used up."""


class StopAt(keras.callbacks.Callback):
    """Raises `TimeIsUp` after a measured epoch, unless it is the last, once a time has passed.

    Args:
        until: the time, of `time.monotonic`.
    """

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        is_measured = any(name.startswith("val_") for name in logs or {})  # `Log` has saved it.
        if is_measured and time.monotonic() > self.until and epoch + 1 < self.params["epochs"]:
            raise TimeIsUp


class Rates(keras.callbacks.Callback):
    """Records the learning rates at the beginning and end of epochs, after all other callbacks."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, float] = {}  # "first", "last", "lowest" and "highest"

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.note()

    def note(self) -> None:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        first, lowest, highest = (
            self.seen.get(key, rate) for key in ("first", "lowest", "highest")
        )
        self.seen = {
            "first": first,
            "last": rate,
            "lowest": min(lowest, rate),
            "highest": max(highest, rate),
        }

    def changed(self, rate: float) -> bool:
        """Returns whether another rate than the one that an optimizer was made with was seen."""
        return not set(self.seen.values()) <= {float(np.float32(rate)), rate}


class Watch:
    """Notices whether other callbacks change the weights.

    Attributes:
        first: a callback to add before the others.
        last: one to add after them.
        changed: whether the weights changed between the two.
    """

    _HOOKS = (
        *("train_begin", "epoch_begin", "train_batch_begin"),
        *("train_batch_end", "epoch_end", "train_end"),
    )

    def __init__(self, network: keras.Model) -> None:
        self.network, self.changed, self._before = network, False, 0
        self.first, self.last = keras.callbacks.Callback(), keras.callbacks.Callback()
        for hook in self._HOOKS:
            setattr(self.first, f"on_{hook}", self._remember)
            setattr(self.last, f"on_{hook}", self._compare)

    def _remember(self, *_: Any, **__: Any) -> None:
        self._before = self._checksum()

    def _compare(self, *_: Any, **__: Any) -> None:
        self.changed = self.changed or self._checksum() != self._before

    def _checksum(self) -> int:
        if keras.backend.backend() == "jax":
            self.network.jax_state_sync()  # During an epoch, `fit` holds the weights itself.
        checksum = 0
        for variable in self.network.variables:
            values = np.asarray(keras.ops.convert_to_numpy(variable))
            checksum = zlib.crc32(values.tobytes(), checksum)
        return checksum


class Log(keras.callbacks.Callback):
    """Records the loss, test metrics and training time of epochs, and saves a checkpoint.

    An epoch is measured once the training since the last one has seen as many examples as test has,
    so that short epochs cost little more than long ones; and the last epoch always is.
    """

    def __init__(
        self,
        network: keras.Model,
        predict: Callable[..., Any],
        run: Run,
        test: Examples,
        train: int,
        steps_per_epoch: int,
        folder: RunFolder | None,
        about: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network, self.predict, self.run = network, predict, run
        self.test, self.folder = test, folder
        self.about = about  # The environment; gets `begun` if the run was begun in another one.
        self.every = math.ceil(len(test) / train)  # Epochs between two that are measured
        self.steps_per_epoch, self.steps = steps_per_epoch, 0  # Steps in the current epoch
        self.rates = Rates()  # A callback to add after all others
        self.epochs: list[dict[str, Any]] = []  # Those that were measured
        self.is_on_cpu = devices.keras_gpu() is None
        self.seconds_before = 0.0
        self.started = time.perf_counter()
        self.since: dict[str, float] = {}  # Seconds of training since the last measured epoch

    @property
    def done(self) -> int:
        """The number of epochs, to the last that was measured."""
        return int(self.epochs[-1]["epoch"]) if self.epochs else 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.epoch_started = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.steps = batch + 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        wall, cpu = self.epoch_started
        self._add("seconds", time.perf_counter() - wall)
        if self.is_on_cpu:
            self._add("cpu_seconds", time.process_time() - cpu)
        logs = {} if logs is None else logs
        if self.steps != self.steps_per_epoch and not self.model.stop_training:
            raise UserError(
                f"Keras made {self.steps} steps in an epoch of {self.steps_per_epoch}; "
                "unset KERAS_MAX_STEPS_PER_EPOCH (keras.config.set_max_steps_per_epoch)."
            )
        self.rates.note()
        self.last = epoch + 1, self._loss(epoch, logs)
        is_last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if is_last or (epoch + 1) % self.every == 0:
            logs.update(self._measure())

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.since:  # Another callback stopped the training after an epoch.
            self._measure(is_over=True)

    def _add(self, name: str, seconds: float) -> None:
        self.since[name] = self.since.get(name, 0.0) + seconds

    def _measure(self, *, is_over: bool = False) -> dict[str, float]:
        """Records the last epoch and saves a checkpoint; returns its metrics as `val_<metric>`.

        Once training is over, there is no checkpoint: Keras has put averages in place of weights.
        """
        epoch, loss = self.last
        with averaged(self.network):
            columns = evaluation.measure_split(self.predict, self.test, self.run.model.name)
        test = evaluation.means(columns, self.run.task)

        self.epochs.append({"epoch": epoch, "loss": loss, "test": test, **self.since})
        self.since = {}
        if self.folder is not None and not is_over:
            total = self.seconds_before + time.perf_counter() - self.started
            here = {name: value for name, value in self.about.items() if name != "training"}
            log = {
                "environment": here.get("begun", here),
                "recipe": self.run.saved_recipe,
                "seconds": total,
                "epochs": self.epochs,
                "rates": self.rates.seen,
            }
            self.folder.save(self.network, log)
        return {f"val_{metric}": value for metric, value in test.items()}

    def _loss(self, epoch: int, logs: Mapping[str, Any]) -> float:
        """Returns the loss of an epoch. Raises UserError, one sentence, unless it is finite."""
        name = self.run.model.name
        if "loss" not in logs:
            returned = f"only {', '.join(logs)}" if logs else "nothing"
            raise UserError(
                f"The train_step of {name} returns no loss, {returned}; return it as 'loss'."
            )
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"The loss of {name} became {loss} in epoch {epoch + 1}; "
                "lower the learning rate, or look for a division by 0 or a logarithm of 0."
            )
        return loss

    def restore(self) -> None:
        """Restores the last checkpoint, if there is one.

        Raises:
            UserError: one sentence, if it is damaged or of another run, or if the network has a
                state that is not saved.
        """
        assert self.folder is not None
        self.network.optimizer.build(self.network.trainable_variables)
        log = self.folder.restore(self.network, self.run.saved_recipe)
        if log:
            x, _ = self.test.xy(slice(2))
            variables = trained_state(self.network)
            if (variable := variable_of_keras()) is not None:
                variables.append(variable)
            graph.check_resumable(self.network, x, self.run.model.name, variables)
            if log["environment"] and not environment.is_same(log["environment"], self.about):
                self.about["begun"] = log["environment"]
            self.epochs = log["epochs"]
            self.seconds_before = log["seconds"]
            self.rates.seen = log["rates"]
