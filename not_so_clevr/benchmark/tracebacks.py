"""Errors in somebody's model, layer or callback: what they say, and where in their own files."""

from __future__ import annotations

import os
import pathlib
import re
import sysconfig
import traceback
from collections.abc import Iterator

import not_so_clevr

_PACKAGE = pathlib.Path(not_so_clevr.__file__).resolve().parent
_PYTHON = pathlib.Path(sysconfig.get_paths()["stdlib"]).resolve()
# What Keras puts around the message of an error in a layer
_WRAPPINGS = (
    r"Exception encountered when calling .*?\n\n(.*?)\n",
    r"Error encountered:\s+(.*?)(?:\n|$)",
)
_FRAMEWORKS = {"jax", "jaxlib", "keras", "numpy", "optree", "ray", "tensorflow", "torch", "tree"}


def sentence(error: BaseException) -> str:
    """Returns `TypeError: message (file.py, line 3)`, in one line; the file is theirs if it can be."""
    frames = own_frames(error) or _frames(error)
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{_message(_origin(error))}{place}"


def with_frames(text: str, error: BaseException) -> str:
    """Returns a sentence, and below it the frames of an error in their own files, if there are any."""
    lines = []
    for frame in own_frames(error):
        lines.append(f"  {frame.filename}, line {frame.lineno}, in {frame.name}")
        lines.append(f"    {frame.line}")
    return "\n".join([text, *lines, *[f"  {_message(_origin(error))}"] * bool(lines)])


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Returns the frames in files that belong neither to Python, a framework nor this package."""
    return [frame for frame in _frames(_origin(error)) if _is_own(frame)]


def _origin(error: BaseException) -> BaseException:
    """Returns the first error in their own files.

    Keras and TensorFlow raise errors of their own in the place of one in a layer.
    """
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
    if not path.exists() or path.is_relative_to(_PACKAGE):
        return False
    for folder in ("site-packages", "dist-packages"):
        if folder in path.parts:
            return path.parts[path.parts.index(folder) + 1] not in _FRAMEWORKS
    return not path.is_relative_to(_PYTHON)


def _message(error: BaseException) -> str:
    """Returns the type and the first line of what an error says, without what Keras and TensorFlow put around it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if text.startswith("in user code:"):  # TensorFlow; the last line is the error, type and all.
        return lines[-1]
    for wrapping in _WRAPPINGS:
        if wrapped := re.search(wrapping, text, re.DOTALL):
            lines = [wrapped[1].strip()]
    return f"{type(error).__name__}: {next(iter(lines), 'no message')}"
