"""The report: one HTML page that needs no network and no other file, and its figures as files.

Equal runs give equal bytes. Run files hold text by strangers: Jinja2 escapes it, and the page
allows no script but its own.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import statistics
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

import not_so_clevr
from not_so_clevr import files, results
from not_so_clevr.checks import UserError, as_list
from not_so_clevr.dataset.config import as_config
from not_so_clevr.report import charts, explorer, headline, maps, style, triangle
from not_so_clevr.results import Result, naming, tables
from not_so_clevr.results.leaderboard import Row
from not_so_clevr.results.published import PUBLISHED_COLUMNS, sources

FORMATS = (".html",)
_LONGEST = 200  # Bytes of the name of a figure, without its ending
MOST = 10  # Only the best models of a task and config are drawn: more look alike.


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure of the page, its content in words, and its first model with a link to it."""

    svg: str
    text: str
    model: str
    link: str


def load(folders: Iterable[pathlib.Path], *, none: bool = False) -> tuple[list[Result], list[str]]:
    """Returns the same as `results.load`, with the examples of each run that has them."""
    found, problems = results.load(as_list("folders", folders), none=none)
    return [run.with_examples() for run in found], problems


def write(
    file: str | os.PathLike[str],
    runs: Sequence[Result],
    folders: Iterable[pathlib.Path],
    reference: Sequence[Result] = (),
) -> None:
    """Writes the page.

    Raises:
        UserError: one sentence, unless the file ends in .html.
        OSError: one sentence, if the file cannot be written.
    """
    file = tables.check_file(file, FORMATS)
    text = page(runs, folders, reference)
    with files.replacing(file) as temporary:
        temporary.write_bytes(text.encode(errors="replace"))  # JSON may hold lone surrogates.


def write_figures(folder: str | os.PathLike[str], runs: Sequence[Result]) -> list[pathlib.Path]:
    """Writes the triangles, and the figures of each task and config, as PNG and PDF.

    Returns:
        The files.

    Raises:
        OSError: one sentence, if a file cannot be written.
    """
    folder = files.expanded(folder)
    written = []
    order = charts.labels(runs)

    def save(figure: Figure, name: str) -> None:
        for ending in (".png", ".pdf"):
            written.append(folder / f"{naming.shortened(name, _LONGEST)}{ending}")
            style.write(figure, written[-1])

    if shown := triangle.configs(runs):
        save(triangle.triangles(_some(triangle.models(runs)), shown), "triangles")
    for (task, config), best in _panels(runs).items():
        figures = {
            "errors": maps.errors(best),
            "predictions": maps.predictions(best),
            "paintings": maps.paintings(best),
            "curves": charts.curves(best, order),
            "costs": charts.costs(best, order),
        }
        for kind, figure in figures.items():
            if figure is not None:
                save(figure, naming.label(f"{kind}-{task}", config))
    return written


def page(
    runs: Sequence[Result],
    folders: Iterable[pathlib.Path],
    reference: Sequence[Result] = (),
) -> str:
    """Returns the page, with the names of the folders as given.

    The figures are of the runs; the reference results are in the leaderboard only.
    """
    order = charts.labels(runs)
    rows = results.leaderboard(runs, reference)
    names = _names(rows, order)
    best = _panels(runs)
    details = [_details(same) for same in results.grouped(runs, lambda run: run.row).values()]
    models = collections.Counter(
        (row.task, row.config) for row in rows if not (row.reference or row.also)
    )
    panels = [_panel(same, order) | {"left_out": models[key] - MOST} for key, same in best.items()]
    explored = [explorer.panel(same, order) for same in best.values()]
    return _template().render(
        version=not_so_clevr.__version__,
        styles=_own("page.css"),
        script=_own("page.js"),
        headline=headline.headline(rows),
        names=names,
        facets=_facets(names["model"]),
        explored=[panel for panel in explored if panel],
        steps=explorer.STEPS,
        explanation=results.EXPLANATION,
        runs=runs,
        folders=list(map(str, as_list("folders", folders))),
        commits=sorted(collections.Counter(map(_commit, runs)).items()),
        columns=results.COLUMNS,
        rows=[(row, _cells(row)) for row in rows],
        has_reference=bool(reference),
        mark=results.MARK,
        marked=results.MARKED,
        triangles=_triangles(runs),
        more_triangles=len(triangle.models(runs)) - MOST,
        panels=panels,
        most=MOST,
        networks=len({run.model for run in runs}),
        labels=order,
        details=sorted(details, key=lambda each: order.index(each["label"])),
        published_columns=PUBLISHED_COLUMNS,
        published=results.elsewhere(rows),
        sources=sources(),
    )


def _names(rows: Iterable[Row], order: Sequence[str]) -> dict[str, list[str]]:
    """Returns the names to filter by; those of the user's models are in the order of the charts."""
    rows = list(rows)
    names = {
        "task": [row.task for row in rows],
        "config": [row.config for row in rows],
        "model": [*order, *(row.model for row in rows)],
    }
    return {kind: list(dict.fromkeys(each)) for kind, each in names.items()}


def _facets(models: Sequence[str]) -> Callable[..., Markup]:
    """Returns what gives an element attributes that the filters act on; models by their number."""
    numbers = {model: str(k) for k, model in enumerate(models)}

    def facets(task: str = "", config: str = "", model: str | None = None) -> Markup:
        values = {"task": task, "config": config}
        values = {kind: tables.plain(value, keep="\n") for kind, value in values.items() if value}
        values |= {} if model is None else {"model": numbers[model]}
        texts = [Markup('data-{}="{}"').format(*each) for each in values.items()]
        return Markup(" ").join(texts)

    return facets


def _own(name: str) -> Markup:
    return Markup((pathlib.Path(__file__).parent / name).read_text(encoding="utf-8"))


def _cells(row: Row) -> list[tuple[str, str, Any]]:
    """Returns the column, the text and the sort value of each cell of the leaderboard."""
    return list(zip(results.COLUMNS, results.cells(row), results.values(row), strict=True))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = _sha256
    environment.globals["anchor"] = _anchor
    return environment.get_template("page.html.j2")


def _finalize(value: Any) -> Any:
    """Returns text without characters that cannot be seen; HTML is one of ours."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return tables.plain(value, keep="\n") if is_text else value


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _anchor(*names: str) -> str:
    """Returns an id without spaces for a task and config, or for a model on them."""
    return urllib.parse.quote("/".join(names), errors="replace")


def _panels(runs: Iterable[Result]) -> dict[tuple[str, str], list[Result]]:
    """Returns the runs of the best models of each task and config, in leaderboard order."""
    groups = results.grouped(runs, lambda run: run.row)
    own = (row for row in results.leaderboard(runs) if not row.also)
    rows = results.grouped(own, lambda row: (row.task, row.config))
    return {
        key: [run for row in best[:MOST] for run in groups[row.task, row.config, row.model]]
        for key, best in rows.items()
    }


def _some(models: Mapping[str, triangle.Rows]) -> dict[str, triangle.Rows]:
    return dict(list(models.items())[:MOST])


def _triangles(runs: Sequence[Result]) -> list[Drawing]:
    """Returns the triangles of the best models, each linked to its first runs."""
    shown = triangle.configs(runs)
    drawings = []
    for label, rows in _some(triangle.models(runs)).items():
        link = _anchor(*next(iter(rows)), label)
        svg = style.svg(triangle.triangles({label: rows}, shown), f"triangle/{link}")
        drawings.append(Drawing(svg, triangle.text(rows, shown), label, link))
    return drawings


def _panel(runs: Sequence[Result], order: Sequence[str]) -> dict[str, Any]:
    """Returns the figures of the models of a task and config."""
    task, config = runs[0].task, runs[0].config
    models = style.by_label(runs)
    mapped = style.by_label(run for run in runs if run.examples)
    highest = max(map(maps.peak, mapped.values()), default=0)
    predicted, painted = (
        [maps.worst(same) for same in style.by_label(maps.having(column, runs)).values()]
        for column in (results.PREDICTED, results.PAINTED)
    )
    return {
        "task": task,
        "config": config,
        "description": _description(config),
        "without_map": [label for label in models if label not in mapped],
        "errors": [
            _drawing("errors", maps.errors(same, highest, bar=False), _errors(same), same)
            for same in mapped.values()
        ],
        "scale": mapped
        and _drawing("scale", maps.scale(runs[0], highest), _range(runs[0], highest), runs),
        "predictions": [
            _drawing("predictions", maps.predictions([run]), _worst(run), [run])
            for run in predicted
        ],
        "paintings": [
            _drawing("paintings", maps.paintings([run]), _worst(run), [run]) for run in painted
        ],
        "curves": _drawing("curves", charts.curves(runs, order), _curves(models), runs),
        "costs": len(models) > 1
        and _drawing("costs", charts.costs(runs, order), _costs(runs), runs),
    }


def _description(config: str) -> str:
    try:
        return as_config(config).description or ""
    except UserError:
        return "There is no data set of this name, so there are no maps."


def _drawing(kind: str, figure: Figure | None, text: str, runs: Sequence[Result]) -> Drawing | None:
    """Returns a figure of runs and its content in words; None if there is no figure."""
    if figure is None:
        return None
    link = _anchor(*runs[0].row)
    return Drawing(style.svg(figure, f"{kind}/{link}"), text, runs[0].label, link)


def _range(run: Result, highest: float) -> str:
    metric = maps.distance(run)
    name = f"1 - {metric.label}" if metric.higher_is_better else metric.label
    return f"{name} from 0, light, to {highest:.3g}{metric.unit and ' '}{metric.unit}, dark"


def _errors(runs: Sequence[Result]) -> str:
    seeds = f"mean of {len(runs)} seeds" if len(runs) > 1 else f"seed {runs[0].seed}"
    train, test = _close(runs, "train"), _close(runs, "test")
    close = f"{runs[0].distance_metric} {train} on train, {test} on test"
    return f"{style.accuracy(runs)} of test right; {close}; {seeds}"


def _worst(run: Result) -> str:
    close = f"{run.distance_metric} {_close([run], 'test')}"
    return f"seed {run.seed}, the worst: {style.accuracy([run])} of test right, {close}"


def _close(runs: Sequence[Result], split: str) -> str:
    """Returns the mean of the distance metric as text: `0.31 px`, or the IoU."""
    metric = runs[0].distance_metric
    return tables.amount(metric, statistics.fmean(run.metrics[split][metric] for run in runs))


def _curves(models: Mapping[str, Sequence[Result]]) -> str:
    """Returns the test accuracy of each model after its first and last epoch."""
    texts = []
    for label, same in models.items():
        ends = [
            f"{tables.percent(statistics.fmean(shares))} after epoch {epoch}"
            for epoch, shares in charts.history(same).items()
        ]
        texts.append(f"{label}: " + ", ".join(dict.fromkeys(ends[:1] + ends[-1:])))
    return "; ".join(texts)


def _costs(runs: Sequence[Result]) -> str:
    own = (row for row in results.leaderboard(runs) if not row.also)
    rows = [{name: text for name, text, _ in _cells(row)} for row in own]
    text = "{model}: {test} right, {parameters} parameters, {time}"
    return "; ".join(text.format(**row) for row in rows)


def _details(runs: Sequence[Result]) -> dict[str, Any]:
    """Returns how the runs of a model on a task and config were made, and the result of each."""
    first = runs[0]
    settings = {name: value for name, value in first.settings.items() if value is not None}
    facts = {
        "model": first.model,
        "recipe": first.recipe,
        "settings": _text(settings),
        "command": _text(first.command or ""),
        "hardware": _distinct(run.hardware for run in runs),
        "platform": _distinct(run.environment.get("platform", "") for run in runs),
        "versions": _distinct(run.environment.get("versions", "") for run in runs),
    }
    for name in dict.fromkeys(name for run in runs for name in run.also):
        facts[f"on {name}"] = _distinct(
            f"seed {run.seed}: {tables.shares(run.also[name], run.accuracy_metric)}"
            for run in runs
            if name in run.also
        )
    columns = (
        "seed",
        "train",
        "test",
        first.distance_metric,
        "time",
        "examples a second",
        "commit",
    )
    return {
        "task": first.task,
        "config": first.config,
        "label": first.label,
        "facts": [(name, text) for name, text in facts.items() if text],
        "columns": columns,
        "seeds": [_seed(run) for run in runs],
    }


def _seed(run: Result) -> list[str]:
    train, test = (tables.percent(run.accuracy(split)) for split in ("train", "test"))
    speed = f"{run.examples_per_second:,.0f}" if run.examples_per_second else ""
    close, time = _close([run], "test"), tables.duration(run.seconds)
    return [str(run.seed), train, test, close, time, speed, _commit(run)]


def _commit(run: Result) -> str:
    return _text(run.environment.get("commit") or "unknown")


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(map(_text, values)))


def _text(value: Any, levels: int = 2) -> str:
    """Returns a value of a run file as text, e.g. `epochs=6, l2=0.0, model: origin=paper`."""
    if not isinstance(value, Mapping) or not levels:
        return value if isinstance(value, str) else json.dumps(value)
    texts = []
    for name, each in value.items():
        between = ": " if isinstance(each, Mapping) else "="
        if each != {}:
            texts.append(f"{name}{between}{_text(each, levels - 1)}")
    return ", ".join(texts)
