"""The report: one HTML page of runs that needs no network and no other file, and its figures as files for papers.

The same runs give the same bytes. What run files hold is text by strangers: Jinja2 escapes it, and the page allows no script
but the one in its template.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import hashlib
import json
import pathlib
import statistics
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2
import markupsafe
import numpy as np
from matplotlib.figure import Figure

import not_so_clevr
from not_so_clevr import files, results
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.config import as_config
from not_so_clevr.report import charts, maps, style
from not_so_clevr.results import Result, naming, tables
from not_so_clevr.results.leaderboard import Row
from not_so_clevr.results.published import PUBLISHED_COLUMNS, published_rows, sources

FORMATS = (".html",)
MOST = 12  # Models in the figures of a task and config, the best: more cannot be told apart.


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure of the page, what it shows in words, and the first model that it is of."""

    svg: markupsafe.Markup
    text: str
    model: str
    link: str


def load(folders: Iterable[pathlib.Path]) -> tuple[list[Result], list[str]]:
    """Returns what `results.load` does, with the examples of each run whose errors.npz is there and whole."""
    found, problems = results.load(folders)
    return [run.with_examples() for run in found], problems


def write(file: pathlib.Path, runs: Sequence[Result], folders: Iterable[pathlib.Path]) -> None:
    """Writes the page. Raises OSError, one sentence, if the file cannot be written."""
    text = page(runs, folders)
    with files.replacing(file) as temporary:
        temporary.write_bytes(text.encode(errors="replace"))  # JSON may hold halves of characters.


def write_figures(folder: pathlib.Path, runs: Sequence[Result]) -> list[pathlib.Path]:
    """Writes each figure, of all models of a task and config, as PNG and PDF, and returns the files.

    Raises:
        OSError: one sentence, if a file cannot be written.
    """
    files = []
    order = charts.labels(runs)
    for (task, config), best in _panels(runs).items():
        drawn = {
            "errors": maps.errors(best),
            "predictions": maps.predictions(best),
            "paintings": maps.paintings(best),
            "curves": charts.curves(best, order),
            "costs": charts.costs(best, order),
        }
        for kind, figure in drawn.items():
            if figure is not None:
                name = naming.label(f"{kind}-{task}", config)[:200]
                for ending in (".png", ".pdf"):
                    files.append(folder / f"{name}{ending}")
                    style.write(figure, files[-1])
    return files


def page(runs: Sequence[Result], folders: Iterable[pathlib.Path]) -> str:
    """Returns the page. Its folders are named as they were given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    order = charts.labels(runs)
    groups = results.grouped(runs, lambda run: run.row)
    rows = results.leaderboard(runs)
    models = collections.Counter((row.task, row.config) for row in rows)
    return environment.get_template("page.html.j2").render(
        version=not_so_clevr.__version__,
        explanation=results.EXPLANATION,
        runs=runs,
        folders=list(map(str, folders)),
        commits=sorted(collections.Counter(map(_commit, runs)).items()),
        columns=results.COLUMNS,
        rows=list(map(_row, rows)),
        panels=[_panel(best, order) | {"left_out": models[key] - MOST} for key, best in _panels(runs).items()],
        most=MOST,
        networks=len({run.model for run in runs}),
        models={name: [_details(same) for (_, _, label), same in groups.items() if label == name] for name in order},
        published_columns=PUBLISHED_COLUMNS,
        published=published_rows(),
        sources=sources(),
    )


def _panels(runs: Iterable[Result]) -> dict[tuple[str, str], list[Result]]:
    """Returns the runs of the best models of each task and config, in the order of the leaderboard."""
    groups = results.grouped(runs, lambda run: run.row)
    panels: dict[tuple[str, str], list[list[Result]]] = {}
    for row in results.leaderboard(runs):
        panels.setdefault((row.task, row.config), []).append(groups[row.task, row.config, row.model])
    return {key: [run for same in models[:MOST] for run in same] for key, models in panels.items()}


def _anchor(*names: str) -> str:
    """Returns what links to a model of a task and config, or to a task and config: an id without spaces."""
    return urllib.parse.quote("/".join(names), errors="replace")


def _row(row: Row) -> dict[str, Any]:
    """Returns a row of the leaderboard for the template: texts, and the values by which to sort."""
    return {
        "link": _anchor(row.task, row.config, row.model),
        "panel": f"{row.task}, {row.config}",
        "cells": list(zip(results.COLUMNS, results.cells(row), results.values(row), strict=True)),
    }


def _panel(runs: Sequence[Result], order: Sequence[str]) -> dict[str, Any]:
    """Returns what the page shows of the models of a task and config."""
    task, config = runs[0].task, runs[0].config
    models = style.by_label(runs)
    with_map = {label: read for label, same in models.items() if (read := [run for run in same if run.examples])}
    highest = max((float(np.nanmax(maps.error_map(read))) for read in with_map.values()), default=0)
    predicted, painted = (
        [maps.worst(having) for same in models.values() if (having := maps.having(column, same))]
        for column in (results.PREDICTED, results.PAINTED)
    )
    return {
        "task": task,
        "config": config,
        "link": _anchor(task, config),
        "description": _description(config),
        "without_map": [(label, _anchor(task, config, label)) for label in models if label not in with_map],
        "errors": [_drawing("errors", maps.errors(read, highest), _errors(read), read) for read in with_map.values()],
        "predictions": [_drawing("predictions", maps.predictions([run]), _worst(run), [run]) for run in predicted],
        "paintings": [_drawing("paintings", maps.paintings([run]), _worst(run), [run]) for run in painted],
        "curves": _drawing("curves", charts.curves(runs, order), _curves(models), runs),
        "costs": _drawing("costs", charts.costs(runs, order), _costs(runs), runs) if len(models) > 1 else None,
    }


def _description(config: str) -> str:
    try:
        return as_config(config).description or ""
    except UserError:
        return "There is no data set of this name, so there are no maps."


def _drawing(kind: str, figure: Figure | None, text: str, runs: Sequence[Result]) -> Drawing | None:
    """Returns a figure of runs and what it shows in words; None if there is no figure."""
    if figure is None:
        return None
    model = runs[0].label
    link = _anchor(runs[0].task, runs[0].config, model)
    return Drawing(markupsafe.Markup(style.svg(figure, f"{kind}/{link}")), text, model, link)


def _errors(runs: Sequence[Result]) -> str:
    seeds = f"mean of {len(runs)} seeds" if len(runs) > 1 else f"seed {runs[0].seed}"
    right = tables.percent(statistics.fmean(run.metrics["test"][run.accuracy_metric] for run in runs))
    close = f"{runs[0].distance_metric} {_close(runs, 'train')} on train, {_close(runs, 'test')} on test"
    return f"{right} of test right; {close}; {seeds}"


def _worst(run: Result) -> str:
    share = tables.percent(run.metrics["test"][run.accuracy_metric])
    return f"seed {run.seed}, the worst: {share} of test right, {run.distance_metric} {_close([run], 'test')}"


def _close(runs: Sequence[Result], split: str) -> str:
    """Returns how close the answers of runs are in the mean: `0.31 px`, or the IoU."""
    return tables.amount(runs[0].distance_metric, statistics.fmean(run.metrics[split][run.distance_metric] for run in runs))


def _curves(models: Mapping[str, Sequence[Result]]) -> str:
    texts = []
    for label, same in models.items():
        shares = [(epoch, tables.percent(statistics.fmean(each))) for epoch, each in charts.history(same).items()]
        ends = dict.fromkeys(shares[:1] + shares[-1:])
        texts.append(f"{label}: " + ", ".join(f"{share} after epoch {epoch}" for epoch, share in ends))
    return "; ".join(texts)


def _costs(runs: Sequence[Result]) -> str:
    cells = ({column: text for column, text, _ in _row(row)["cells"]} for row in results.leaderboard(runs))
    return "; ".join("{model}: {test} right, {parameters} parameters, {time}".format(**row) for row in cells)


def _details(runs: Sequence[Result]) -> dict[str, Any]:
    """Returns what the page tells of the runs of a model, task and config: how they were made, and each seed."""
    first = runs[0]
    environments = [run.environment for run in runs]
    facts = {
        "model": first.model,
        "recipe": first.recipe,
        "settings": _text({name: value for name, value in first.settings.items() if value is not None}),
        "command": _text(first.command or ""),
        "hardware": _distinct(run.hardware for run in runs),
        "platform": _distinct(about.get("platform", "") for about in environments),
        "versions": _distinct(about.get("versions", "") for about in environments),
    }
    return {
        "task": first.task,
        "config": first.config,
        "link": _anchor(first.task, first.config, first.label),
        "facts": [(name, text) for name, text in facts.items() if text],
        "columns": ["seed", "train", "test", first.distance_metric, "time", "examples a second", "commit"],
        "seeds": [_seed(run) for run in runs],
    }


def _seed(run: Result) -> list[str]:
    shares = (tables.percent(run.metrics[split][run.accuracy_metric]) for split in ("train", "test"))
    speed = f"{run.examples_per_second:,.0f}" if run.examples_per_second else ""
    return [str(run.seed), *shares, _close([run], "test"), tables.duration(run.seconds), speed, _commit(run)]


def _commit(run: Result) -> str:
    return _text(run.environment.get("commit") or "unknown")


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(map(_text, values)))


def _text(value: Any, levels: int = 2) -> str:
    """Returns a value of a run file as text: a dictionary as `epochs=6, l2=0.0, model: origin=paper, size=1`."""
    if isinstance(value, Mapping) and levels:
        between = {name: ": " if isinstance(each, Mapping) else "=" for name, each in value.items()}
        return ", ".join(f"{name}{between[name]}{_text(each, levels - 1)}" for name, each in value.items() if each != {})
    return value if isinstance(value, str) else json.dumps(value)
