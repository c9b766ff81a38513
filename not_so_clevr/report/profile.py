"""The files of a profile: a radar, a table and an appendix in LaTeX, and the page of its runs."""

from __future__ import annotations

import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.projections.polar import PolarAxes

import not_so_clevr
from not_so_clevr import files, results
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.report import charts, style
from not_so_clevr.report.page import write as write_page
from not_so_clevr.results import CAPABILITIES, Neighbour, Profile, Result, tables

_OWN, _OTHER, _GAP = charts.COLORS[0], charts.COLORS[1], "#8C8C8C"
_ZERO = -30  # The radius of the centre, so that 0 is a ring and not a point
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}
_RADARS = ("radar.png", "radar.pdf")
_TABLE, _APPENDIX, _PAGE = "profile.tex", "appendix.tex", "report.html"
_FILES = (*_RADARS, _TABLE, _APPENDIX, _PAGE)
_USUAL = {"optimizer": "adam", "beta_1": 0.9, "beta_2": 0.999, "loss": "task"}

Recipe = tuple[str, str]  # The label and the settings of the runs of some tasks


def check_profile_folder(folder: str | pathlib.Path, model: str) -> None:
    """Checks that the profile of a model can be written into a folder.

    Raises:
        FileExistsError: one sentence, if the folder has a file of the same name that is not of a
            profile of that model.
        OSError: one sentence, if the folder cannot be written.
    """
    folder = files.expanded(folder)
    files.check_folder(folder)
    taken = [name for name in _FILES if (folder / name).exists()]
    if taken and _title(model) not in _text(folder / _APPENDIX):
        raise FileExistsError(
            f"{folder / taken[0]} is not of a profile of {model}; "
            "move it away, or choose another folder."
        )


def _text(file: pathlib.Path) -> str:
    return file.read_text("utf-8", errors="replace") if file.is_file() else ""


def _title(model: str) -> str:
    """Returns the title of an appendix."""
    return f"\\section*{{The not\\_so\\_clevr suite: {_code(model)}}}"


def write_profile(
    folder: str | pathlib.Path,
    profile: Profile,
    neighbours: Sequence[Neighbour] = (),
    command: str | None = None,
    runs: str | pathlib.Path = "runs",
) -> list[pathlib.Path]:
    """Writes the radar as PNG and PDF, the table, the appendix, and the page of the runs.

    Args:
        folder: where to.
        profile: with the examples of its runs, for the page.
        neighbours: of `results.nearest`.
        command: what repeats the suite, if that is known.
        runs: the folder that the page names.

    Returns:
        The files.

    Raises:
        OSError: one sentence, as `check_profile_folder`, or if a file cannot be written.
    """
    folder = files.expanded(folder)
    check_profile_folder(folder, profile.model)
    folder.mkdir(parents=True, exist_ok=True)
    figure = radar(profile, neighbours)
    texts = {_APPENDIX: appendix(profile, neighbours, command), _TABLE: table(profile)}
    for name, text in texts.items():  # The appendix first: it says whose the other files are.
        with files.replacing(folder / name) as temporary:
            temporary.write_text(text, "utf-8")
    for name in _RADARS:
        style.write(figure, folder / name)
    write_page(folder / _PAGE, profile.runs, [pathlib.Path(runs)], results.beside(profile.runs))
    return [folder / name for name in _FILES]


def radar(profile: Profile, neighbours: Sequence[Neighbour] = ()) -> Figure:
    """Draws a radar for each task, with an axis for each capability: the share of test right.

    0 is the inner ring. A capability that the model does not have is a gap: no point, and an axis
    that says why. The nearest neighbour is drawn behind it, dashed.
    """
    figure = Figure(figsize=(7.2, 4.4))
    grid = figure.add_gridspec(
        2, 3, left=0.1, right=0.88, bottom=0.15, top=0.86, wspace=0.95, hspace=0.62
    )
    near = neighbours[0] if neighbours else None
    for k, task in enumerate(TASKS):
        axes = figure.add_subplot(grid[k // 3, k % 3], projection="polar")
        assert isinstance(axes, PolarAxes)
        _panel(axes, task, profile)
        if near is not None:
            _draw(axes, task, near.profile.shares, _OTHER, linestyle=(0, (3, 2)), marker="s")
        _draw(axes, task, profile.shares, _OWN, linestyle="-", marker="o", fill=True)

    looks = [Line2D([], [], color=_OWN, marker="o", markersize=4)]
    names = ["\n".join(profile.labels) if len(profile.labels) == 1 else profile.model]
    if near is not None:
        look: dict[str, Any] = {"linestyle": (0, (3, 2)), "marker": "s", "markersize": 4}
        looks.append(Line2D([], [], color=_OTHER, **look))
        names.append(f"{near.label} (the nearest)")
    legend = figure.legend(looks, [" "] * len(looks), loc="lower center", frameon=False, fontsize=8)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(style.wrapped(tables.plain(name), 90))
    return figure


def _angles() -> dict[str, float]:
    names = list(CAPABILITIES)
    return dict(zip(names, 2 * np.pi * np.arange(len(names)) / len(names), strict=True))


def _panel(axes: PolarAxes, task: str, profile: Profile) -> None:
    """Draws the rings and the axes of a task; an axis without a value is dotted, and says why."""
    angles = _angles()
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(0, 105)
    axes.set_rorigin(_ZERO)
    axes.set_rgrids([0, 50, 100], ["", "", ""])
    axes.set_thetagrids([], [])
    axes.spines["polar"].set_visible(False)
    axes.spines["inner"].set(color="#CCCCCC", linewidth=0.8)
    axes.grid(color="#CCCCCC", linewidth=0.5)
    axes.set_title(task, fontsize=9, weight="bold", pad=26)

    gaps = {name: profile.gap(task, name) for name in angles}
    reason = gaps[min(gaps)] if len(set(gaps.values())) == 1 else ""  # The same everywhere
    for name, angle in angles.items():
        look: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 0.6}
        if gaps[name]:
            look |= {"color": _GAP, "linestyle": (0, (1, 2)), "linewidth": 1}
        axes.plot([angle, angle], [0, 100], **look)
        if reason:
            continue
        value = gaps[name] or tables.percent(profile.shares[task, name])
        color = _GAP if gaps[name] else "black"
        axes.text(angle, 112, f"{name}\n{value}", color=color, fontsize=6.5, **_beside(angle))
    if reason:
        axes.text(0, 112, reason, color=_GAP, fontsize=6.5, **_beside(0))


def _beside(angle: float) -> dict[str, Any]:
    """Returns the alignment of a text outside the ring, at an angle from the top."""
    across, up = np.sin(angle), np.cos(angle)
    return {
        "ha": "center" if abs(across) < 0.1 else "left" if across > 0 else "right",
        "va": "bottom" if up > 0.9 else "top" if up < -0.5 else "center",
    }


def _draw(
    axes: PolarAxes,
    task: str,
    shares: Mapping[tuple[str, str], float],
    color: str,
    fill: bool = False,
    **look: Any,
) -> None:
    """Draws the points of a model, and a line between those on neighbouring axes."""
    angles = _angles()
    names = list(angles)
    for one, other in zip(names, [*names[1:], names[0]], strict=True):
        if (task, one) not in shares or (task, other) not in shares:
            continue
        ends = [angles[one], angles[other]], [100 * shares[task, each] for each in (one, other)]
        axes.plot(*ends, color=color, linewidth=1.3, linestyle=look["linestyle"])
        if fill:
            inner = [_ZERO, _ZERO]
            axes.fill([*ends[0], *ends[0][::-1]], [*ends[1], *inner], color=color, alpha=0.1, lw=0)
    here = [name for name in names if (task, name) in shares]
    values = [100 * shares[task, name] for name in here]
    axes.plot(
        [angles[name] for name in here],
        values,
        color=color,
        linestyle="none",
        marker=look["marker"],
        markersize=4,
        clip_on=False,
    )


def table(profile: Profile) -> str:
    """Returns the profile as a LaTeX table for the package booktabs.

    A cell has the mean share of test that is right, and below it the runs that get all of train and
    test right, with the exact 95 % confidence interval of their share. A failed run has no share,
    and counts as one that is not perfect.
    """
    columns = list(CAPABILITIES)
    lines = [
        "% Needs \\usepackage{booktabs}. Share of test right, averaged over seeds; runs that get",
        "% all of train and test right, and the exact 95 % interval of their share in percent.",
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
        "\\toprule",
        " & ".join(["task", *columns]) + r" \\",
    ]
    for task in TASKS:
        above = [task, *(_share(profile, task, name) for name in columns)]
        below = ["", *(_seeds(profile, task, name) for name in columns)]
        space = r"\addlinespace[2pt]" if len(lines) > 5 else r"\midrule"
        lines += [space, " & ".join(above) + r" \\"]
        if any(below):
            lines.append(" & ".join(below) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _share(profile: Profile, task: str, capability: str) -> str:
    if gap := profile.gap(task, capability):
        return f"\\textit{{{gap}}}"
    return latex(tables.percent(profile.shares[task, capability])).replace(r" \%", r"\,\%")


def _seeds(profile: Profile, task: str, capability: str) -> str:
    if profile.gap(task, capability):
        return ""
    perfect, runs = profile.counts(task, capability)
    low, high = (100 * end for end in results.share_interval(perfect, runs))
    failed = profile.failed(task, capability)
    note = f", {failed} failed" if failed else ""
    return f"{{\\footnotesize {perfect} of {runs} [{low:.0f}, {high:.0f}]{note}}}"


def appendix(profile: Profile, neighbours: Sequence[Neighbour], command: str | None) -> str:
    """Returns a page of LaTeX: the protocol, the recipes, the table, the radar, the command."""
    runs = profile.runs
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        finalize=lambda value: latex(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = _code
    return environment.get_template("appendix.tex.j2").render(
        version=not_so_clevr.__version__,
        title=_Latex(_title(profile.model)),
        capabilities=CAPABILITIES,
        recipes=list(_recipes(runs)),
        seeds=sorted({run.seed for run in runs}),
        parameters=list(_parameters(runs)),
        cpu=tables.duration(sum(run.training_seconds or 0 for run in runs)),
        hardware=results.hardware(runs),
        software=results.software(runs),
        commits=", ".join(
            sorted({str(run.environment.get("commit") or "") for run in runs} - {""})
        ),
        gaps=profile.gaps,
        failures=list(profile.failures.items()),
        neighbours=neighbours,
        nearest=results.NEAREST,
        command=command,
    )


def _recipes(runs: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Yields each recipe, with the tasks that it is for, and its settings.

    What several recipes have in common comes first, for `all`.
    """
    by_recipe = results.grouped(runs, lambda run: (run.recipe or "default", *_settings(run)))
    common: list[str] = []
    if len(by_recipe) > 1:
        common = [each for each in _settings(runs[0]) if all(each in key for key in by_recipe)]
    if common:
        yield "all", ", ".join(common)
    for (recipe, *settings), same in by_recipe.items():
        tasks = ", ".join(dict.fromkeys(run.task for run in same))
        own = ", ".join(each for each in settings if each not in common)
        yield f"{recipe} ({tasks})", own or ("no others" if common else "the defaults")


def _settings(run: Result) -> list[str]:
    """Returns the settings of a recipe that matter, e.g. `batch_size=16`, and how it was found."""
    values = dict(run.settings)
    model = values.pop("model", None) or {}
    if values.get("steps"):
        values.pop("epochs", None)  # They follow from the steps, on each data set.
    if values.get("schedule") != "step":
        values.pop("step_epochs", None)
    shown = {name: value for name, value in values.items() if value and _USUAL.get(name) != value}
    own = [f"{name}={value}" for name, value in model.items()]
    found = []
    if run.search is not None:
        found = [f"the best of {run.search['points']} points on {run.search['config']}"]
    return [*(f"{name}={value}" for name, value in shown.items()), *own, *found]


def _parameters(runs: Sequence[Result]) -> Iterator[str]:
    """Yields `906 (regression)` for each number of weights."""
    known = ((run.parameters, run.task) for run in runs if run.parameters is not None)
    for number, group in itertools.groupby(sorted(set(known)), lambda pair: pair[0]):
        yield f"{number:,} ({', '.join(task for _, task in group)})"


class _Latex(str):
    """Text that is LaTeX already."""


def _code(text: str) -> _Latex:
    """Returns untrusted text in a typewriter font, with places to break a line.

    Its underscores are characters, which can be copied from the PDF; TeX draws them otherwise.
    """
    broken = re.sub(r"([-=,./])", r"\1\\allowbreak{}", latex(text))
    broken = broken.replace(r"\_", r"\char95\relax{}")
    return _Latex(f"\\texttt{{{broken}}}")


def latex(text: str) -> str:
    """Returns untrusted text for LaTeX: its special characters, and what pdflatex cannot set."""
    plain = "".join(each if each.isascii() else f"[U+{ord(each):04X}]" for each in text)
    return "".join(_ESCAPES.get(each, each) for each in tables.plain(plain))
