"""Errors in a user's model, layer or callback: their message, and the lines of the user's files."""

from __future__ import annotations

import os
import pathlib
import re
import sysconfig
import traceback
from collections.abc import Iterator

import not_so_clevr
from not_so_clevr.results import store

_PACKAGE = pathlib.Path(not_so_clevr.__file__).resolve().parent
_BASELINES = store.of_baselines("__init__.py")  # In a clone, they are not below the package.
_OURS = [_PACKAGE, *([_BASELINES.resolve().parent] if _BASELINES else [])]
_PYTHON = pathlib.Path(sysconfig.get_paths()["stdlib"]).resolve()
# How Keras wraps the message of an error in a layer
_WRAPPINGS = (
    r"Exception encountered when calling .*?\n\n(.*?)\n",
    r"Error encountered:\s+(.*?)(?:\n|$)",
)
_FRAMEWORKS = {"jax", "jaxlib", "keras", "numpy", "optree", "ray", "tensorflow", "torch", "tree"}


def sentence(error: BaseException) -> str:
    """Returns `TypeError: message (file.py, line 3)`, with a file of the user if there is one."""
    message = _message(_origin(error))
    frames = own_frames(error) or _frames(error)
    if not frames:
        return message
    return f"{message} ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})"


def explain(what: str, error: BaseException, hint: str = "") -> str:
    """Returns a sentence about what failed, with the frames in the user's files below it."""
    lines = [f"{what}: {sentence(error)}.{hint}"]
    for frame in own_frames(error):
        lines.append(f"  {frame.filename}, line {frame.lineno}, in {frame.name}")
        lines.append(f"    {frame.line}")
    if len(lines) > 1:
        lines.append(f"  {_message(_origin(error))}")
    return "\n".join(lines)


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Returns the frames in files that belong neither to Python, a framework nor this package."""
    return [frame for frame in _frames(_origin(error)) if _is_own(frame)]


def _origin(error: BaseException) -> BaseException:
    """Returns the first error in the user's own files: Keras and TensorFlow replace errors."""
    every = [each for each in _chain(error) if any(map(_is_own, _frames(each)))]
    return every[-1] if every else error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    every = traceback.extract_tb(error.__traceback__)
    return [frame for frame in every if not frame.filename.startswith("<")]


def _is_own(frame: traceback.FrameSummary) -> bool:
    path = pathlib.Path(frame.filename).resolve()
    if not path.exists() or any(map(path.is_relative_to, _OURS)):
        return False
    for folder in ("site-packages", "dist-packages"):
        if folder in path.parts:
            return path.parts[path.parts.index(folder) + 1] not in _FRAMEWORKS
    return not path.is_relative_to(_PYTHON)


def _message(error: BaseException) -> str:
    """Returns the type and the first line of an error, without the wrapping of a framework."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if text.startswith("in user code:"):  # TensorFlow; its last line is the error with its type.
        return lines[-1]
    for wrapping in _WRAPPINGS:
        if wrapped := re.search(wrapping, text, re.DOTALL):
            lines = [wrapped[1].strip()]
    return f"{type(error).__name__}: {next(iter(lines), 'no message')}"
