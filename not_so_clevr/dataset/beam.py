"""Large data sets on Apache Beam: the same examples, drawn by many workers (docs/large.md)."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from not_so_clevr.checks import UserError

#: Runs on this machine and needs nothing else. Beam's own default tries to download a program.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def options(text: str) -> PipelineOptions:
    """Parses options as `tfds build --beam_pipeline_options` does, e.g. "runner=FlinkRunner".

    Raises:
        UserError: if Beam does not know the runner or an option, or cannot read a value.
        ImportError: if the runner is not installed.
    """
    refused = f"Beam cannot use the options {text!r}"
    found = PipelineOptions([f"--{option}" for option in text.split(",")])
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            known = set(found.get_all_options())
            unknown = set(found.get_all_options(retain_unknown_options=True)) - known
            beam.Pipeline(runner=_runner(found), options=found)  # Fails now and not amid the work.
        except ValueError as error:
            raise UserError(f"{refused}: {error}") from None
        except SystemExit:  # argparse has printed the reason.
            reason = errors.getvalue().strip().rpartition("error: ")[2]
            raise UserError(f"{refused}: {reason}") from None

    if not text:
        unknown = {text}
    if unknown and _runner(found):  # Other runners may have more options than Beam knows.
        raise UserError(
            f"Unknown Beam option {min(unknown)!r} in {text!r}; expected OPTION=VALUE,..., e.g. "
            "'direct_running_mode=multi_processing,direct_num_workers=2'."
        )
    return found


def with_runner(download_config: Any) -> Any:
    """Returns the `tfds.download.DownloadConfig` with the local runner if it names none.

    It always gets options: without, Beam reads the command line of the running program.
    Raises UserError for the mode `multi_threading`, which loses examples (Beam 2.77).
    """
    found = download_config.beam_options or PipelineOptions([])
    if found.view_as(DirectOptions).direct_running_mode == "multi_threading":
        raise UserError(
            "direct_running_mode=multi_threading loses examples; use multi_processing or, "
            "for one worker, in_memory."
        )
    runner = download_config.beam_runner or _runner(found)
    return download_config.replace(beam_options=found, beam_runner=runner)


def is_local(download_config: Any) -> bool:
    """Returns whether a `tfds.download.DownloadConfig` names the local runner."""
    options = download_config.beam_options
    runner = download_config.beam_runner or (options and options.view_as(StandardOptions).runner)
    name = runner if isinstance(runner, str) else type(runner).__name__
    return name.rpartition(".")[2].lower() == LOCAL_RUNNER.rpartition(".")[2].lower()


def pipeline(draw: Callable[[int], Iterable[Any]], starts: range) -> beam.PTransform:
    """Returns a pipeline of what `draw(start)` yields for every start, in any order."""
    every = "Split" >> beam.Create([starts]) | "Starts" >> beam.FlatMap(iter)  # Ships one range
    return every | "Share out" >> beam.Reshuffle() | "Draw" >> beam.FlatMap(draw)


@contextlib.contextmanager
def counted(
    on_progress: Callable[[int], object] | None, download_config: Any
) -> Iterator[Callable[[int], object] | None]:
    """Yields a function with which workers in other processes report examples to `on_progress`.

    Yields None if there is no `on_progress`, or the workers may be on another machine.
    """
    if on_progress is None or not is_local(download_config):
        yield None
        return

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "examples"
        file.touch()
        ended = threading.Event()

        def watch() -> None:
            seen, last = 0, False
            while not last:
                last = ended.wait(0.2)
                size = file.stat().st_size
                if size > seen:
                    on_progress(size - seen)
                    seen = size

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield functools.partial(_append, file)
        finally:
            ended.set()
            watcher.join()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Unwraps the KeyboardInterrupt that Beam wraps in a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("KeyboardInterrupt"):
            raise
        raise KeyboardInterrupt from error


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Keeps the current folder off the path of Beam's processes, from Python 3.11 on.

    They are started with `python -m`, which puts it first, so any file in it could shadow an
    installed package.
    """
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _append(file: pathlib.Path, count: int) -> None:
    with file.open("ab") as stream:  # Appends are atomic.
        stream.write(b"." * count)


def _runner(found: PipelineOptions) -> str | None:
    """Returns the local runner, or None if the options name another."""
    return None if found.view_as(StandardOptions).runner else LOCAL_RUNNER
