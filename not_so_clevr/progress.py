"""Bars on standard error that tell what, how far and how long still; there are none where that is no terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import rich.console
import rich.progress

if TYPE_CHECKING:
    import keras


def bars(unit: str) -> rich.progress.Progress:
    """Returns bars that count `unit`; a task may tell more in its field `state`."""
    console = rich.console.Console(stderr=True)
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn(unit + "{task.fields[state]},"),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )


@contextlib.contextmanager
def training(name: str) -> Iterator[list[keras.callbacks.Callback]]:
    """Shows the bar of a training, with its epoch, its loss and how good it was on test; yields the callbacks that feed it."""
    import keras

    class Bar(keras.callbacks.Callback):
        test = ""

        def on_train_begin(self, logs: Any = None) -> None:
            shown.update(bar, total=self.params["epochs"] * self.params["steps"])

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            shown.update(bar, completed=epoch * self.params["steps"])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            loss = f", loss {logs['loss']:.3g}" if "loss" in logs else ""
            state = f", epoch {self.epoch + 1} of {self.params['epochs']}{loss}{self.test}"
            shown.update(bar, advance=1, state=state)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            metrics = [f"{key[4:]} {value:.4g}" for key, value in logs.items() if key.startswith("val_")]
            self.test = f", test {', '.join(metrics[:2])}"

    with bars("steps") as shown:
        bar = shown.add_task(name, total=None, state="")
        yield [] if shown.disable else [Bar()]
