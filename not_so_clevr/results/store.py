"""The files of results: a folder for each run of a user, one file for all reference results."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator

from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.results.result import FILE, INCOMPLETE, REPLACED, Result

_UNFINISHED = re.compile(rf"seed\d+({re.escape(INCOMPLETE)}|{re.escape(REPLACED)})")
# The same for all seeds
_ALIKE = ("model", "settings", "parameters")


def load(places: Iterable[pathlib.Path], *, none: bool = False) -> tuple[list[Result], list[str]]:
    """Returns the results of some places, and a sentence for each file that is left out.

    Args:
        places: folders with runs below, or files that hold a record a line (.jsonl).
        none: whether it is fine if there is no result at all.

    Returns:
        The results, sorted by task, config, label and seed; and the sentences.

    Raises:
        UserError: if a place does not exist; or, unless `none`, if there is no result.
    """
    places = list(places)
    found: dict[str, Result] = {}
    firsts: dict[tuple[str, str, str], Result] = {}
    problems: list[str] = []
    for file, result in _every(places, problems):
        first = firsts.setdefault(result.row, result)
        if unlike := [name for name in _ALIKE if getattr(result, name) != getattr(first, name)]:
            problems.append(
                f"{file} differs in {' and '.join(unlike)} from {first.folder}, which has its name, "
                "and is left out; run one of them again, or give the two models different names."
            )
        elif found.setdefault(result.id, result) != result:
            problems.append(f"{file} is another run of {result.id}, and left out; give the two models different names.")
    if not (found or problems or none):
        raise UserError(f"There is no {FILE} below {', '.join(map(str, places))}; make one with: not-so-clevr train.")
    return sorted(found.values(), key=_order), problems


def reference() -> list[Result]:
    """Returns the reference results, which come with the baselines; none where those are missing."""
    spec = importlib.util.find_spec("not_so_clevr.baselines")
    if spec is None or spec.origin is None:
        return []
    file = pathlib.Path(spec.origin).with_name("results.jsonl")
    return read_lines(file) if file.exists() else []


def read_lines(file: pathlib.Path) -> list[Result]:
    """Returns the results of a file that holds one record a line, such as the reference results.

    They are taken as they are: a test checks the files that come with the package.

    Raises:
        UserError: if it cannot be read as such.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
        return [Result.of(json.loads(line), file) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} cannot be read as results ({error}); expected a record a line.") from error


def write_lines(file: pathlib.Path, results: Iterable[Result]) -> None:
    """Writes results, a record a line, without history and examples."""
    lines = []
    for each in sorted(results, key=_order):
        values = {name: value for name, value in each.values().items() if name != "history"}
        lines.append(json.dumps(values, separators=(",", ":")) + "\n")
    with files.replacing(file) as temporary:
        temporary.write_text("".join(lines), "utf-8")


def _order(result: Result) -> tuple[str, str, str, int]:
    return *result.row, result.seed


def _every(places: Iterable[pathlib.Path], problems: list[str]) -> Iterator[tuple[pathlib.Path, Result]]:
    """Yields the file and the result of every run, and adds a sentence for each left out."""
    for place in places:
        if place.suffix == ".jsonl" and place.is_file():
            for result in read_lines(place):
                yield place, result
            continue
        if not place.is_dir():
            raise UserError(f"There is no folder {place}; expected one with runs, as not-so-clevr train makes them.")
        for file in _files(place, problems):
            try:
                yield file, Result.read(file)
            except UserError as error:
                if file.exists():  # Else another process is just replacing the run.
                    problems.append(str(error))


def _files(folder: pathlib.Path, problems: list[str]) -> list[pathlib.Path]:
    """Returns the files of all complete runs below a folder, sorted, and adds a sentence for each folder that is closed."""

    def missed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # Folders may come and go meanwhile.
            problems.append(f"{error.filename} cannot be read ({error.strerror}) and is left out; get access to it.")

    found = []
    for parent, below, names in os.walk(folder, onerror=missed):
        below[:] = [name for name in below if not _UNFINISHED.fullmatch(name)]
        if FILE in names:
            found.append(pathlib.Path(parent, FILE))
    return sorted(found)
