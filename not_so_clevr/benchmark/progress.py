"""Bars on standard error that tell what, how far and how long still; lines, now and then, where that is no terminal."""

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


def bars(unit: str) -> rich.progress.Progress:
    """Returns bars that count `unit`; a task may tell more in its field `state`."""
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
        disable=not (console.is_terminal or has_widgets),
        redirect_stdout=False,
        redirect_stderr=False,
    )


def is_shown(verbose: str | int) -> bool:
    """Returns whether `verbose`, "auto", 0 or 1, shows anything here."""
    if verbose != "auto":
        return bool(verbose)
    console = rich.console.Console(stderr=True)
    return console.is_terminal or console.is_jupyter


@contextlib.contextmanager
def generation(verbose: str | int) -> Iterator[Callable[[str, int, int], None]]:
    """Shows a bar for each data set that is generated; yields the function that feeds them.

    Args:
        verbose: "auto", 0 or 1, as for `benchmark.run`.
    """
    with bars("examples") if is_shown(verbose) else contextlib.nullcontext() as shown:
        of: dict[str, rich.progress.TaskID] = {}

        def on_progress(name: str, done: int, total: int) -> None:
            if shown is not None:
                bar = of[name] if name in of else shown.add_task(name, total=total, state="")
                of[name] = bar
                shown.update(bar, completed=done)

        yield on_progress


@contextlib.contextmanager
def training(name: str, verbose: str | int) -> Iterator[list[keras.callbacks.Callback]]:
    """Shows the bar of a training: epoch, loss, metrics of test, time left.

    Args:
        name: of the run.
        verbose: "auto", 0 or 1, as for `benchmark.run`.

    Yields:
        The callbacks that feed it.
    """
    if not is_shown(verbose):
        yield []
        return
    import keras

    class Bar(keras.callbacks.Callback):
        """Tells the bar each step."""

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
            self.test = _test(logs)

    with bars("steps") as shown:
        bar = shown.add_task(name, total=None, state="")
        yield [lines(f"{name}: ", sys.stderr, _SECONDS)] if shown.disable else [Bar()]


def lines(before: str = "", stream: TextIO | None = None, seconds: float = 0) -> keras.callbacks.Callback:
    """Returns a callback that prints a line at the end of an epoch, from which `Epoch.read` gets how far a training is.

    Args:
        before: what each line begins with; nothing, for `Epoch.read`.
        stream: where to print; standard output if None.
        seconds: that pass at least between two lines, and before the first.
    """
    import keras

    class Lines(keras.callbacks.Callback):
        """Prints the lines."""

        epochs = 0  # That were trained by this process

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
            line = f"{before}epoch {done} of {total}, loss {logs['loss']:.4g}{_test(logs)}, {left:.1f} s left"
            print(line, file=stream, flush=True)

    return Lines()


@dataclasses.dataclass(frozen=True)
class Epoch:
    """How far a training is.

    Attributes:
        done: epochs that are complete.
        total: epochs in all.
        state: loss and metrics of test, as text.
        left: seconds that the others will take.
    """

    done: int
    total: int
    state: str
    left: float

    @classmethod
    def read(cls, text: str) -> Epoch | None:
        """Returns what the last line of `lines` tells in a text; None if there is none."""
        found = re.findall(r"^epoch (\d+) of (\d+), (.*), ([\d.]+) s left$", text, re.MULTILINE)
        return cls(int(found[-1][0]), int(found[-1][1]), found[-1][2], float(found[-1][3])) if found else None


def _test(logs: Mapping[str, float]) -> str:
    """Returns the first two metrics of test as text."""
    metrics = [f"{key[4:]} {value:.4g}" for key, value in logs.items() if key.startswith("val_")]
    return f", test {', '.join(metrics[:2])}"


@contextlib.contextmanager
def live() -> Iterator[Callable[[Callable[[], rich.console.RenderableType]], None]]:
    """Yields a function that shows what another one returns, in the place of what was shown before.

    Nothing is shown, and the other one not called, where standard error is no terminal.
    """
    console = rich.console.Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with rich.live.Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty(), redirect_stderr=True
    ) as shown:
        yield lambda render: shown.update(render(), refresh=True)
