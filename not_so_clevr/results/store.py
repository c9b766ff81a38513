"""Where results are, in run folders and one file of reference results; and which to show."""

from __future__ import annotations

import contextlib
import fnmatch
import importlib.util
import itertools
import json
import os
import pathlib
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from not_so_clevr import files
from not_so_clevr.checks import UserError, as_list, did_you_mean
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
# What a compact file writes once for many rows; `training` is a part of the environment.
_ONCE = ("environment", "training", "settings", "search")
_ANY_SEED = "--seed *"  # In a command that is written once for all seeds of a row
_BEGINNING = '{"once":{'  # Of a line with them
# Equal for all seeds of a row
_SHARED = ("model", "settings", "parameters")

Patterns = Mapping[str, Sequence[str]]  # "task", "config" and "model" -> what may match


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
    paths = [files.expanded(each) for each in as_list("places", places)]
    if not (paths or none):
        raise UserError("There is no folder to read results from; name at least one.")
    found: dict[str, Result] = {}
    firsts: dict[tuple[str, str, str], Result] = {}
    problems: list[str] = []
    for file, result in _every(paths, problems):
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
        where = ", ".join(map(str, paths))
        raise UserError(f"There is no {FILE} below {where}; make one with: not-so-clevr train.")
    return sorted(found.values(), key=_order), problems


def reference(configs: Iterable[str] | None = None) -> list[Result]:
    """Returns the reference results, which are part of the baselines; [] without those.

    Args:
        configs: the names of data sets, to read the results on those only; all if None.
    """
    file = of_baselines("results.jsonl")
    if file is None:
        return []
    # A test validates this file; to do so here would take a command a tenth of a second.
    if configs is None:
        return _read_lines(file, dict)
    names = set(as_list("configs", configs))
    found = _read_lines(file, dict, {f'"config":"{name}"' for name in names})
    return [run for run in found if run.config in names]  # A search names another config.


def of_baselines(name: str) -> pathlib.Path | None:
    """Returns a file that is part of the baselines; None without those."""
    spec = importlib.util.find_spec("not_so_clevr.baselines")
    file = pathlib.Path(spec.origin if spec and spec.origin else "").with_name(name)
    return file if file.exists() else None


def read_lines(file: str | os.PathLike[str]) -> list[Result]:
    """Returns the results in a file with one record per line, e.g. the reference results.

    Records of an older schema are migrated. Our own files save space in two ways. A line can be a
    list: what all seeds of a row share, then what each has of its own. And after a first line
    `{"once":{"settings":[...],...}}`, the `settings` of a record, for one, are their place there.

    Raises:
        UserError: if the file cannot be read, or a line is not a record.
    """
    from not_so_clevr.results import record

    return _read_lines(pathlib.Path(file), record.checked)


def _read_lines(
    file: pathlib.Path,
    check: Callable[[Any], dict[str, Any]],
    needed: Collection[str] | None = None,
) -> list[Result]:
    """Returns the results in a file, from what `check` returns for a line. Raises as `read_lines`.

    Args:
        file: the file.
        check: is called with what the JSON of a line holds.
        needed: texts; a line without any of them is passed over.
    """
    where, found = "", []
    once: Mapping[str, Sequence[Any]] = {}
    try:
        lines = files.read_text(file).split("\n")  # JSON may hold the other ends of lines.
        for number, line in enumerate(lines, 1):
            where = f"line {number}: "
            if line.startswith(_BEGINNING):
                once = json.loads(line)["once"]
            elif line.strip() and (needed is None or any(text in line for text in needed)):
                for values in _records(json.loads(line), once):
                    found.append(Result.of(check(values), file))
    except UserError as error:  # The line is of a newer version.
        raise UserError(f"{file}: {where}{error}") from error
    except (OSError, ValueError, LookupError, RecursionError) as error:
        raise UserError(
            f"{file} cannot be read as results ({where}{error}); expected a record per line."
        ) from error
    return found


def write_lines(
    file: str | os.PathLike[str], results: Iterable[Result], *, compact: bool = False
) -> None:
    """Writes results, one record per line, without history and examples.

    Args:
        file: the file to write or replace.
        results: the results, in any order.
        compact: write what runs share once, see `read_lines`, and a line per row instead.
    """
    lines: list[Any] = []
    once: dict[str, dict[str, int]] = {name: {} for name in _ONCE}
    for _, row in itertools.groupby(sorted(results, key=_order), lambda each: each.row):
        records = [_without_history(each) for each in row]
        if compact:
            lines.append(_shared_and_own([_folded(values, once) for values in records]))
        else:
            lines += records
    texts = [_json(line) + "\n" for line in lines]
    if any(once.values()):
        lists = (f'"{name}":[{",".join(values)}]' for name, values in once.items())
        texts.insert(0, f"{_BEGINNING}{','.join(lists)}}}}}\n")
    with files.replacing(file) as temporary:
        temporary.write_text("".join(texts), "utf-8")


def _without_history(result: Result) -> dict[str, Any]:
    return {name: value for name, value in result.values().items() if name != "history"}


def _shared_and_own(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns what records share, and what each has of its own."""
    texts = [{name: _json(value) for name, value in each.items()} for each in records]
    first, *others = texts
    same = {name for name in first if all(each.get(name) == first[name] for each in others)}
    shared = {name: value for name, value in records[0].items() if name in same}
    own = ({name: each[name] for name in each if name not in same} for each in records)
    return [shared, *own]


def _records(line: Any, once: Mapping[str, Sequence[Any]]) -> list[Any]:
    """Returns the records of a line; the inverse of `_shared_and_own` and `_folded`."""
    if isinstance(line, list) and line and all(isinstance(each, dict) for each in line):
        shared, *own = line
        return [_unfolded(shared | each, once) for each in own]
    return [line]  # It is a record, or none.


def _folded(values: Mapping[str, Any], once: Mapping[str, dict[str, int]]) -> dict[str, Any]:
    """Returns a record with places instead of values, and adds new values to `once` as JSON."""
    folded = dict(values)
    if "training" in folded["environment"]:
        about = dict(folded["environment"])
        folded |= {"training": about.pop("training"), "environment": about}
    if folded.get("command"):
        seed = rf"--seed {folded['seed']}(?!\S)"
        folded["command"] = re.sub(seed, _ANY_SEED, folded["command"])
    for name, places in once.items():
        if folded.get(name) is not None:
            folded[name] = places.setdefault(_json(folded[name]), len(places))
    return folded


def _unfolded(values: Mapping[str, Any], once: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Returns the record; the inverse of `_folded`. Raises LookupError for an unknown place."""
    whole = dict(values)
    for name in once:
        place = whole.get(name)
        if type(place) is int and place >= 0:
            whole[name] = once[name][place]
    if "training" in whole:
        training = whole.pop("training")
        whole["environment"] = {**whole["environment"], "training": training}
    if isinstance(command := whole.get("command"), str):
        whole["command"] = command.replace(_ANY_SEED, f"--seed {whole['seed']}")
    return whole


def _json(values: Any) -> str:
    return json.dumps(values, separators=(",", ":"))


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

    found, seen = [], set()
    for parent, below, names in os.walk(folder, onerror=on_error, followlinks=True):
        if (place := os.path.realpath(parent)) in seen:  # A link may lead back.
            below.clear()
            continue
        seen.add(place)
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


def beside(runs: Sequence[Result]) -> list[Result]:
    """Returns the reference results for the tasks and configs of runs, without the runs."""
    places = {(run.task, run.config) for run in runs}
    known = {run.id: run for run in runs}
    there = reference(config for _, config in places)
    return [run for run in there if (run.task, run.config) in places and known.get(run.id) != run]


def select(
    runs: Sequence[Result], patterns: Patterns, with_reference: bool = True
) -> tuple[list[Result], list[Result]]:
    """Returns the runs to show, and the reference results to show beside them.

    Args:
        runs: the user's runs.
        patterns: words with * and ?; one must match, and all runs match if there are none. A model
            is matched by its name or by its label, which includes the recipe.
        with_reference: whether to show reference results.

    Raises:
        UserError: if a pattern matches nothing, or no run is left.
    """
    own = list(runs)
    if not own:  # E.g. all files are damaged.
        return [], []
    for name in ("task", "config"):
        own = _matching(own, name, patterns, own)

    others = beside(own) if with_reference else []
    found = [_matching(each, "model", patterns, [*own, *others]) for each in (own, others)]
    if not found[0]:
        words = shlex.join(patterns["model"])
        raise UserError(f"--model {words} is none of your models; {_expected('model', own)}.")
    return found[0], found[1]


def _matching(
    runs: Sequence[Result], name: str, patterns: Patterns, known: Sequence[Result]
) -> list[Result]:
    """Returns the runs that match. Raises UserError if a pattern matches none of `known`."""
    wanted = as_list(name, patterns.get(name) or ["*"])
    for pattern in wanted:
        if not any(_matches(run, name, pattern) for run in known):
            hint = did_you_mean(pattern, _values(name, known))
            expected = _expected(name, known)
            raise UserError(f"--{name} {shlex.quote(pattern)} matches no run{hint}; {expected}.")
    return [run for run in runs if any(_matches(run, name, pattern) for pattern in wanted)]


def _matches(run: Result, name: str, pattern: str) -> bool:
    words = [getattr(run, name), run.label] if name == "model" else [getattr(run, name)]
    return any(fnmatch.fnmatchcase(word, pattern) for word in words)


def _values(name: str, runs: Iterable[Result]) -> list[str]:
    return sorted({getattr(run, name) for run in runs})


def _expected(name: str, runs: Iterable[Result]) -> str:
    return f"expected one of {', '.join(_values(name, runs))}, or a pattern with *"
