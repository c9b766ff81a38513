"""Bars on standard error that tell what, how far and how long still; there are none where that is no terminal."""

from __future__ import annotations

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


def training(name: str) -> keras.callbacks.Callback:
    """Returns the bar of a training: epoch, loss, and what `benchmark.run` measured on test after the last epoch."""
    import keras

    class Bar(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.bars = bars("steps")
            self.bars.start()
            self.task = self.bars.add_task(name, total=self.params["epochs"] * self.params["steps"], state="")
            self.test = ""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            self.bars.update(self.task, completed=epoch * self.params["steps"])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            state = f", epoch {self.epoch + 1} of {self.params['epochs']}, loss {logs['loss']:.3g}{self.test}"
            self.bars.update(self.task, advance=1, state=state)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            metrics = [f"{key[4:]} {value:.4g}" for key, value in logs.items() if key.startswith("val_")]
            self.test = f", test {', '.join(metrics[:2])}"

        def on_train_end(self, logs: Any = None) -> None:
            self.bars.stop()

    return Bar()
