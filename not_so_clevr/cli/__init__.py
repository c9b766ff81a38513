"""The `not-so-clevr` command. Bad input prints one sentence and exits with status 2."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

import not_so_clevr
from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.cli import data, many, results, terminal, training
from not_so_clevr.dataset import quiet
from not_so_clevr.results import tables

__all__ = ["main"]


def _examples(*arguments: str) -> str:
    """Returns the last lines of a help text: commands to paste."""
    return "\n\n".join(["Examples:", *(f"not-so-clevr {each}" for each in arguments)])


_BACKENDS = ("tensorflow", "jax", "torch")
_EXAMPLES = _examples("train coordconv --task regression --config quadrant", "leaderboard runs/")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, epilog=_EXAMPLES)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Can a network turn a coordinate into a pixel, and a pixel into a coordinate?"""
    if version:
        print(f"not-so-clevr {not_so_clevr.__version__}")
        raise typer.Exit


def _add(name: str, command: Callable[..., None], *examples: str, to: typer.Typer = app) -> None:
    to.command(name, epilog=_examples(*examples))(command)


_add("generate", data.generate, "generate quadrant uniform_32", "generate quadrant_48 --device cpu")
_add("export", data.export, "export quadrant -o quadrant/")
_add("show", data.show, "show quadrant", "show rows columns border centre --output splits.png")
_add(
    "train",
    training.train,
    "train coordconv --task regression --config quadrant --seeds 3",
    "train my_models:build --task rendering --config uniform",
)
_add("list", training.list_models, "list")
_add(
    "reproduce",
    many.reproduce_published,
    "reproduce article --row 'regression/*' --budget 30m",
    "reproduce article paper failures --only-print",
)
_add(
    "sweep",
    many.sweep_grid,
    "sweep paper_coordconv_regression --only-print",
    "sweep grid.toml --seeds 5 --cpus-per-run 2",
)
_add(
    "tune",
    many.tune,
    "tune my_models:build --task regression",
    "tune coordconv --task rendering --address local -o coordconv.toml",
)
_add(
    "suite",
    many.suite,
    "suite my_models:build --quick",
    "suite coordconv --address local -o coordconv/",
)
_add(
    "leaderboard",
    results.leaderboard,
    "leaderboard runs/ -o board.csv",
    "leaderboard runs/ --task regression --model 'my_*' --no-reference",
)
_add("compare", results.compare, "compare coordconv deconv", "compare my_models.build conv runs/")
_add("report", results.report, "report runs/ -o report.html", "report runs/ -o a.html --figures a/")
_add(
    "verify",
    results.verify,
    "verify submissions/example",
    "verify runs/ -o submissions/my_model/results.jsonl",
)

_FIGURE = "Draw a figure for a paper."
_FIGURE_EXAMPLES = (
    "figure errors conv coordconv --width 3.3 -o errors.pdf",
    "figure errors coordconv my_models.build --config uniform -o a.png",
)
figures = typer.Typer(help=_FIGURE, no_args_is_help=True, epilog=_examples(*_FIGURE_EXAMPLES[:1]))
figures.callback()(lambda: None)  # Otherwise typer drops the name of its only command.
app.add_typer(figures, name="figure")
_add("errors", results.errors, *_FIGURE_EXAMPLES, to=figures)


def main() -> None:
    """Runs the command line."""
    quiet.hide_log()  # It would break up the bars.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # Default with AVX-512; helps others too.
    _mend_terminal()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Names may have letters that a terminal lacks.
    try:
        _check_backend()
        with _interruptible():
            app(prog_name="not-so-clevr")
    except (UserError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError) and error.strerror:
            message = ": ".join(map(str, filter(None, [error.filename, error.strerror]))) + "."
        print(f"not-so-clevr: {tables.plain(message, keep=terminal.WHITE)}", file=sys.stderr)
        sys.exit(1 if isinstance(error, terminal.RunsFailed) else 2)


def _check_backend() -> None:
    """Raises UserError if Keras has no such backend, or its package is missing."""
    backend = os.environ.get("KERAS_BACKEND")
    if not backend or backend == "tensorflow":  # It is there; `quiet` waits for its first import.
        return
    if backend not in _BACKENDS:
        hint = did_you_mean(backend, _BACKENDS)
        expected = f"expected {', '.join(_BACKENDS[:-1])} or {_BACKENDS[-1]}"
        raise UserError(f"KERAS_BACKEND={backend} is no backend that trains{hint}; {expected}.")
    if not importlib.util.find_spec(backend):
        pip = f"pip install {backend}"
        raise UserError(f"KERAS_BACKEND={backend} needs the package {backend}; run: {pip}")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Lets the signals that end a process interrupt it as Ctrl-C does, with a status of their own.

    A signal that is ignored stays so, as after nohup.
    """
    received: list[int] = []

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handled = [each for each in numbers if signal.getsignal(each) is signal.SIG_DFL]
    for each in handled:
        signal.signal(each, interrupt)
    try:
        yield
    except SystemExit:
        if received:
            sys.exit(128 + received[0])
        raise
    finally:
        for each in handled:
            signal.signal(each, signal.SIG_DFL)


def _mend_terminal() -> None:
    """Opens the standard streams that are closed, and drops a size of 0, which hides all tables."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # Nor may a file get its number, as C code prints there.
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open until the end
    for name in ("COLUMNS", "LINES"):
        if os.environ.get(name, "").isdigit() and int(os.environ[name]) == 0:
            del os.environ[name]
