"""Hides what TensorFlow, TFDS and Beam print for their own developers; changes nothing for good.

TensorFlow 2.21 ignores TF_CPP_MIN_LOG_LEVEL while it is imported: it prints six lines on stderr.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import IO, Generic, TypeVar

# Information, in the formats of old and new versions; and warnings and errors that say only that
# there is no GPU or that TensorFlow registered its own parts twice.
_NOISE = re.compile(
    rb"I\d{4} "
    rb"|[\d-]+ [\d:.]+: I "
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: "
    rb"|[EW].* already (been )?registered"
    rb"|[EW].* failed call to cuInit: .*(\(303\)|NO_DEVICE)"
)
_NOISE_OF_TFDS = re.compile(r"`FeatureConnector\.dtype` is deprecated")  # It is TFDS that uses it.

_RETRACING = "triggered tf.function retracing"  # Said of networks that follow one another

_Value = TypeVar("_Value")


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for GPUs, quietly. Keeps the choice of visible GPUs open."""
    with stderr():
        import tensorflow as tf

        tf.config.get_visible_devices("GPU")


class _Shared(Generic[_Value]):
    """A change of the whole process that several threads may want at once.

    The first one makes it, and the last one undoes it.
    """

    def __init__(self, change: Callable[[], contextlib.AbstractContextManager[_Value]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._made = contextlib.ExitStack()
        self._users = 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[_Value]:
        with self._lock:
            if not self._users:
                self._value = self._made.enter_context(self._change())
            self._users += 1
        try:
            yield self._value
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._made.close()


@contextlib.contextmanager
def stderr() -> Iterator[None]:
    """Holds back what is printed on stderr, then prints it without TensorFlow's information.

    Prints all of it after an error. Does nothing if TF_CPP_MIN_LOG_LEVEL is 0.
    """
    with _held_stderr() as errors:
        try:
            yield
        except Exception as error:
            errors.append(error)
            raise


@_Shared
@contextlib.contextmanager
def _held_stderr() -> Iterator[list[Exception]]:
    """Yields the list of errors; prints all that was held back if there are any."""
    errors: list[Exception] = []
    try:
        terminal = os.dup(2)
    except OSError:  # This process has no stderr.
        yield errors
        return

    shows_all = os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0"
    with open(terminal, "wb", buffering=0) as out, tempfile.TemporaryFile() as held:
        _redirect(out if shows_all else held)
        try:
            yield errors
        finally:
            _redirect(out)
            held.seek(0)
            out.write(b"".join(line for line in held if errors or not _NOISE.match(line)))


def _redirect(stream: IO[bytes]) -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
    os.dup2(stream.fileno(), 2)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow once, and makes its import quiet."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_quietly(module: ModuleType) -> None:
                with stderr():
                    execute(module)

            spec.loader.exec_module = execute_quietly  # type: ignore[method-assign]
        return spec


def hide_log() -> None:
    """Hides TensorFlow's log in this process, also if Keras or a user's model imports it.

    Of its warnings, only that several functions were traced: each is of another network.
    """
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return _RETRACING not in record.getMessage()


@_Shared
@contextlib.contextmanager
def tfds_remarks() -> Iterator[None]:
    """Hides what TFDS logs about itself, and its bars. Changes no setting for good."""
    from tensorflow_datasets.core.utils import tqdm_utils

    def keep(record: logging.LogRecord) -> bool:
        return not _NOISE_OF_TFDS.match(record.getMessage())

    logger = logging.getLogger("absl")
    has_bars = getattr(tqdm_utils, "_active", True)
    tqdm_utils.disable_progress_bar()
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
        tqdm_utils.display_progress_bar(has_bars)


@_Shared
@contextlib.contextmanager
def logs() -> Iterator[None]:
    """Silences the log messages and bars of TFDS and Beam, but not the logging of others."""
    root = logging.getLogger()
    levels = {logger: logger.level for logger in map(logging.getLogger, ("absl", "apache_beam"))}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    root.addFilter(_is_critical)  # Beam uses it, too; its level would silence every logger.
    try:
        with tfds_remarks():
            yield
    finally:
        root.removeFilter(_is_critical)
        for logger, level in levels.items():
            logger.setLevel(level)


def _is_critical(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.CRITICAL
