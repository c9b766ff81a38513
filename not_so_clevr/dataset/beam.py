"""Large data sets on Apache Beam: the same examples, drawn by all workers of a runner. See docs/large.md."""

from __future__ import annotations

import contextlib
import functools
import io
import pathlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from not_so_clevr.checks import UserError

#: Runs on this machine and needs nothing else; Beam's own default first tries to download a program.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def options(text: str) -> PipelineOptions:
    """Returns the options that `tfds build --beam_pipeline_options` reads from the same text, such as "runner=FlinkRunner".

    Raises:
        UserError: if Beam does not know the runner or an option, or cannot read a value.
        MissingPackageError: if the runner is not installed.
    """
    found = PipelineOptions([f"--{option}" for option in text.split(",")])
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            unknown = set(found.get_all_options(retain_unknown_options=True)) - set(found.get_all_options())
            beam.Pipeline(runner=_runner(found), options=found)  # Raises what it would raise after the work has begun.
        except (SystemExit, ValueError) as error:
            reason = str(error) if isinstance(error, ValueError) else errors.getvalue().strip().rpartition("error: ")[2]
            raise UserError(f"Beam cannot use the options {text!r}: {reason}") from None
    if not text:
        unknown = {text}
    if unknown and _runner(found):  # Another runner may know more options than Beam does.
        raise UserError(
            f"Unknown Beam option {min(unknown)!r} in {text!r}; expected OPTION=VALUE,..., such as "
            "'direct_running_mode=multi_processing,direct_num_workers=2'."
        )
    return found


def with_runner(download_config: Any) -> Any:
    """Returns the `tfds.download.DownloadConfig` with the local runner, if it names none.

    It has options then, if only none: without any, Beam reads those of the program that is running.

    Raises:
        UserError: if the mode is `multi_threading`, in which Beam's local runner loses elements (Beam 2.77; docs/large.md).
    """
    found = download_config.beam_options or PipelineOptions([])
    if (mode := found.view_as(DirectOptions).direct_running_mode) == "multi_threading":
        raise UserError(f"direct_running_mode={mode} loses examples; use multi_processing or, for one worker, in_memory.")
    return download_config.replace(beam_options=found, beam_runner=download_config.beam_runner or _runner(found))


def is_local(download_config: Any) -> bool:
    """Returns whether the runner of a `tfds.download.DownloadConfig` is the local one."""
    options = download_config.beam_options
    runner = download_config.beam_runner or (options and options.view_as(StandardOptions).runner) or ""
    name = runner if isinstance(runner, str) else type(runner).__name__
    return name.rpartition(".")[2].lower() == LOCAL_RUNNER.rpartition(".")[2].lower()


def pipeline(draw: Callable[[int], Iterable[Any]], starts: range) -> beam.PTransform:
    """Returns a pipeline of what `draw(start)` yields for every start, in no order, shared out to all workers."""
    every = "Split" >> beam.Create([starts]) | "Starts" >> beam.FlatMap(iter)  # One small element, however many starts
    return every | "Share out" >> beam.Reshuffle() | "Draw" >> beam.FlatMap(draw)


@contextlib.contextmanager
def counted(on_progress: Callable[[int], object] | None, download_config: Any) -> Iterator[Callable[[int], object] | None]:
    """Yields a function for workers in other processes to call with a number of examples; `on_progress` is called with it here.

    None if there is nothing to call, or the workers may be on another machine.
    """
    if on_progress is None or not is_local(download_config):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        file, ended = pathlib.Path(folder) / "examples", threading.Event()
        file.touch()

        def watch() -> None:
            seen, last = 0, False
            while not last:
                last = ended.wait(0.2)
                if (size := file.stat().st_size) > seen:
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
    """Makes a KeyboardInterrupt of what Beam makes of one."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("KeyboardInterrupt"):
            raise
        raise KeyboardInterrupt from error


def _append(file: pathlib.Path, count: int) -> None:
    with file.open("ab") as stream:  # Appended at once, whatever other processes append.
        stream.write(b"." * count)


def _runner(found: PipelineOptions) -> str | None:
    """Returns the local runner, or None if the options name another."""
    return None if found.view_as(StandardOptions).runner else LOCAL_RUNNER
