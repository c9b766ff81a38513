"""Where results are kept: a folder for each run of a user, one file for the reference results."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator

from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.results.result import (
    ERRORS,
    FILE,
    INCOMPLETE,
    REPLACED,
    WEIGHTS,
    Result,
    missing,
)

_RUN = re.compile(r"seed\d+")
_UNFINISHED = re.compile(rf"seed\d+({re.escape(INCOMPLETE)}|{re.escape(REPLACED)})")
# Equal for all seeds of a row
_SHARED = ("model", "settings", "parameters")


def load(
    places: Iterable[str | pathlib.Path], *, none: bool = False
) -> tuple[list[Result], list[str]]:
    """Returns all results in some places, and a message for each file that is left out.

    Args:
        places: folders that contain run folders, or .jsonl files with a record per line.
        none: whether it is fine to find no result.

    Returns:
        The results, sorted by task, config, label and seed; and the messages.

    Raises:
        UserError: if a place does not exist; or, unless `none`, if there is no result.
    """
    places = list(places)
    found: dict[str, Result] = {}
    firsts: dict[tuple[str, str, str], Result] = {}
    problems: list[str] = []
    for file, result in _every(map(pathlib.Path, places), problems):
        first = firsts.setdefault(result.row, result)
        if unlike := [name for name in _SHARED if getattr(result, name) != getattr(first, name)]:
            problems.append(
                f"{file} is left out: it differs in {' and '.join(unlike)} from {first.folder}, "
                "which has the same name; rerun one of them, or give the models different names."
            )
        elif found.setdefault(result.id, result) != result:
            problems.append(
                f"{file} is left out: there is another run of {result.id}; "
                "give the two models different names."
            )
    if not (found or problems or none):
        where = ", ".join(map(str, places))
        raise UserError(f"There is no {FILE} below {where}; make one with: not-so-clevr train.")
    return sorted(found.values(), key=_order), problems


def reference() -> list[Result]:
    """Returns the reference results, which are part of the baselines; [] without those."""
    spec = importlib.util.find_spec("not_so_clevr.baselines")
    if spec is None or spec.origin is None:
        return []
    file = pathlib.Path(spec.origin).with_name("results.jsonl")
    return read_lines(file) if file.exists() else []


def read_lines(file: pathlib.Path) -> list[Result]:
    """Returns the results in a file with one record per line, e.g. the reference results.

    Records are not validated here: a test validates the file that is part of the package.

    Raises:
        UserError: if the file cannot be read, or not as results.
    """
    try:
        lines = files.read_text(file).split("\n")  # JSON may hold the other ends of lines.
        return [Result.of(json.loads(line), file) for line in lines if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} cannot be read as results ({error}); expected a record per line."
        ) from error


def write_lines(file: pathlib.Path, results: Iterable[Result]) -> None:
    """Writes results, one record per line, without history and examples."""
    lines = []
    for each in sorted(results, key=_order):
        values = {name: value for name, value in each.values().items() if name != "history"}
        lines.append(json.dumps(values, separators=(",", ":")) + "\n")
    with files.replacing(file) as temporary:
        temporary.write_text("".join(lines), "utf-8")


def _order(result: Result) -> tuple[str, str, str, int]:
    return *result.row, result.seed


def _every(
    places: Iterable[pathlib.Path], problems: list[str]
) -> Iterator[tuple[pathlib.Path, Result]]:
    """Yields the file and the result of every run; adds a problem for each that is left out."""
    for place in places:
        if place.suffix == ".jsonl" and place.is_file():
            for result in read_lines(place):
                yield place, result
            continue
        if not place.is_dir():
            raise UserError(
                f"There is no folder {place}; expected one with runs of not-so-clevr train."
            )
        for file in _files(place, problems):
            try:
                yield file, _read(file)
            except UserError as error:
                if os.path.lexists(file):  # Otherwise another process has deleted the run.
                    problems.append(str(error))


def _read(file: pathlib.Path) -> Result:
    """Reads a result, twice if need be: another process may replace its folder in between."""
    with contextlib.suppress(UserError):
        return Result.read(file)
    return Result.read(file)


def _files(folder: pathlib.Path, problems: list[str]) -> list[pathlib.Path]:
    """Returns the result.json of all complete runs.

    Adds a problem for each unreadable folder, and each run that has lost its result.json.
    """

    def on_error(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # Folders may come and go meanwhile.
            reason = f"it cannot be read ({error.strerror}); get access to it."
            problems.append(f"{error.filename} is left out: {reason}")

    found = []
    for parent, below, names in os.walk(folder, onerror=on_error):
        below[:] = [name for name in below if not _UNFINISHED.fullmatch(name)]
        # A second look: the folder may have been replaced while its names were listed.
        if FILE in names or os.path.isfile(os.path.join(parent, FILE)):
            found.append(pathlib.Path(parent, FILE))
        elif _has_lost_result(pathlib.Path(parent)):
            problems.append(missing(pathlib.Path(parent, FILE)))
    return sorted(found)


def _has_lost_result(folder: pathlib.Path) -> bool:
    """Returns whether a run has lost its result.json, and is not just being replaced."""
    rest = any((folder / name).exists() for name in (ERRORS, WEIGHTS))
    return bool(_RUN.fullmatch(folder.name)) and rest and not (folder / FILE).is_file()
