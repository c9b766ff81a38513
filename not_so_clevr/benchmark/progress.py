"""Progress bars on stderr; a line now and then where stderr is not a terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import rich.console
import rich.live
import rich.progress

if TYPE_CHECKING:
    import keras

_SECONDS = 10.0  # Between two lines where there is no terminal


def _bars(unit: str, shown: bool = True) -> rich.progress.Progress:
    """Returns bars that count `unit`, with more text in the field `state` of a task."""
    console = rich.console.Console(stderr=True)
    has_widgets = console.is_jupyter and bool(importlib.util.find_spec("ipywidgets"))
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn(unit + "{task.fields[state]},"),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("left"),
        console=console,
        disable=not (shown and (console.is_terminal or has_widgets)),
        redirect_stdout=False,
        redirect_stderr=False,
    )


def is_shown(verbose: str | int) -> bool:
    """Returns whether progress is shown, given `verbose` of `benchmark.run`."""
    if verbose != "auto":
        return bool(verbose)
    console = rich.console.Console(stderr=True)
    return console.is_terminal or console.is_jupyter


@contextlib.contextmanager
def examples(verbose: str | int) -> Iterator[Callable[[str, int, int], None]]:
    """Shows a bar for each data set that is gone through; yields the function that updates them."""
    tasks: dict[str, rich.progress.TaskID] = {}

    def on_progress(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total, state="")
        bars.update(tasks[name], completed=done)

    with _bars("examples", is_shown(verbose)) as bars:
        yield on_progress


@contextlib.contextmanager
def training(name: str, verbose: str | int) -> Iterator[list[keras.callbacks.Callback]]:
    """Shows the progress of a training; yields the callbacks that update it."""
    if not is_shown(verbose):
        yield []
        return
    with _bars("steps") as bars:
        yield [lines(f"{name}: ", sys.stderr, _SECONDS) if bars.disable else _bar(bars, name)]


def _bar(bars: rich.progress.Progress, name: str) -> keras.callbacks.Callback:
    """Returns a callback that updates a bar at each step."""
    import keras

    bar = bars.add_task(name, total=None, state="")

    class Bar(keras.callbacks.Callback):
        test = ""

        def on_train_begin(self, logs: Any = None) -> None:
            bars.update(bar, total=self.params["epochs"] * self.params["steps"])

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            bars.update(bar, completed=epoch * self.params["steps"])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            loss = f", loss {logs['loss']:.3g}" if "loss" in logs else ""
            state = f", epoch {self.epoch + 1} of {self.params['epochs']}{loss}{self.test}"
            done = self.epoch * self.params["steps"] + batch + 1  # Some steps come several at once.
            bars.update(bar, completed=done, state=state)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.test = _test(logs) or self.test

    return Bar()


def lines(
    before: str = "", stream: TextIO | None = None, seconds: float = 0
) -> keras.callbacks.Callback:
    """Returns a callback that prints a line at the end of an epoch, for `Epoch.read`.

    Args:
        before: the beginning of each line; must be empty for `Epoch.read`.
        stream: where to print; stdout if None.
        seconds: the least time between two lines, and before the first.
    """
    import keras

    class Lines(keras.callbacks.Callback):
        epochs = 0  # Trained by this process

        def on_train_begin(self, logs: Any = None) -> None:
            self.began = self.printed = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs += 1
            now = time.monotonic()
            if now - self.printed < seconds:
                return
            self.printed = now
            done, total = epoch + 1, self.params["epochs"]
            left = (now - self.began) / self.epochs * (total - done)
            state = f"loss {logs['loss']:.4g}{_test(logs)}"
            line = f"{before}epoch {done} of {total}, {state}, {left:.1f} s left"
            print(line, file=stream, flush=True)

    return Lines()


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The progress of a training.

    Attributes:
        done: the number of complete epochs.
        total: the number of all epochs.
        state: loss and test metrics, as text.
        left: the estimated time left, in seconds.
    """

    done: int
    total: int
    state: str
    left: float

    @classmethod
    def read(cls, text: str) -> Epoch | None:
        """Reads the last line that `lines` printed in a text; returns None if there is none."""
        pattern = r"^epoch (\d+) of (\d+), (.*), ([\d.]+) s left$"
        found = re.findall(pattern, text, re.MULTILINE)
        if not found:
            return None
        done, total, state, left = found[-1]
        return cls(int(done), int(total), state, float(left))


def _test(logs: Mapping[str, float]) -> str:
    """Returns the first two test metrics as text; "" after an epoch that was not measured."""
    metrics = [f"{key[4:]} {value:.4g}" for key, value in logs.items() if key.startswith("val_")]
    return f", test {', '.join(metrics[:2])}" if metrics else ""


@contextlib.contextmanager
def live() -> Iterator[Callable[[Callable[[], rich.console.RenderableType]], None]]:
    """Yields a function that calls another, and shows what it returns in place of the last output.

    Where stderr is not a terminal, it does nothing.
    """
    console = rich.console.Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with rich.live.Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    ) as shown:
        yield lambda render: shown.update(render(), refresh=True)
