"""What happens at the end of each epoch of a run: it is measured, recorded and saved, or stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from not_so_clevr.benchmark import evaluation
from not_so_clevr.benchmark.experiment import Run
from not_so_clevr.benchmark.run_folder import RunFolder
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Examples


class TimeIsUp(Exception):  # noqa: N818 - no error: the run is saved, and goes on when it is resumed.
    """The time that was given to a run is over."""


class StopAt(keras.callbacks.Callback):
    """Raises `TimeIsUp` at the end of the first epoch that ends after a time of `time.monotonic`, unless it is the last."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if time.monotonic() > self.until and epoch + 1 < self.params["epochs"]:
            raise TimeIsUp


class Log(keras.callbacks.Callback):
    """Records each epoch: its loss, the metrics of test, the seconds of training. Saves it, if there is a folder."""

    def __init__(
        self,
        network: keras.Model,
        predict: Callable[..., Any],
        run: Run,
        test: Examples,
        folder: RunFolder | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.predict = predict
        self.run = run
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
            raise UserError(f"The train_step of {self.run.model.name} returns no loss, {there}; return it as 'loss'.")
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"The loss of {self.run.model.name} became {loss} in epoch {epoch + 1}; "
                "lower the learning rate, or look for a division by 0 or a logarithm of 0."
            )
        measured = evaluation.measured(self.predict, self.test, self.run.model.name)
        test = evaluation.means({"test": measured}, self.run.task)["test"]
        logs.update({f"val_{metric}": value for metric, value in test.items()})
        self.epochs.append({"epoch": epoch + 1, "loss": loss, "test": test, "seconds": seconds})
        if self.folder is not None:
            total = self.seconds_before + time.perf_counter() - self.started
            self.folder.save(self.network, {"recipe": self.run.saved_recipe, "seconds": total, "epochs": self.epochs})

    def restore(self) -> None:
        """Continues where the last run stopped, if it came far enough to save anything."""
        assert self.folder is not None
        self.network.optimizer.build(self.network.trainable_variables)
        log = self.folder.restore(self.network, self.run.saved_recipe)
        if log:
            self.epochs = log["epochs"]
            self.seconds_before = log["seconds"]
