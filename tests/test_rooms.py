"""The rooms of the house: imports go one way, without circles, and each face shows what it should."""

import ast
import graphlib
import pathlib

import pytest

import not_so_clevr
from not_so_clevr import benchmark, report, reproduce, results

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "not_so_clevr"

# Room -> the rooms that it may import. "face" is not_so_clevr itself.
DOORS = {
    "checks": [],
    "files": ["checks"],
    "dataset": ["checks", "files"],
    "face": ["dataset"],
    "results": ["checks", "files", "dataset", "face"],
    "benchmark": ["checks", "files", "dataset", "face", "results"],
    "reproduce": ["checks", "files", "dataset", "face", "results", "benchmark"],
    "report": ["checks", "files", "dataset", "face", "results"],
    "cli": ["checks", "files", "dataset", "face", "results", "benchmark", "reproduce", "report"],
    "__main__": ["cli"],
    "baselines": ["benchmark"],
}


def modules():
    """Name of each module of the package and of the baselines -> its file."""
    found = {}
    for name, folder in (("not_so_clevr", PACKAGE), ("not_so_clevr.baselines", ROOT / "baselines")):
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join([name, *parts]).removesuffix(".__init__")] = file
    return found


def imported(source, name, known):
    """The modules of ours that a module imports, wherever in its file."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(name.split(".")[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [parent, node.module]))
            each = [f"{module}.{alias.name}" for alias in node.names]
            found |= {full if full in known else module for full in each}
    return {name for name in found if name in known}


def room(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "face"


def wrong_doors(sources):
    """Sentences about imports that go the wrong way; `sources` is name of a module -> its text."""
    found = []
    for name, source in sources.items():
        for other in imported(source, name, sources):
            here, there = room(name), room(other)
            if here != there and there not in DOORS[here]:
                found.append(f"{name} imports {other}")
            if here == "baselines" and there == "benchmark" and other != "not_so_clevr.benchmark":
                found.append(f"{name} imports {other}, behind the face of the benchmark")
    return found


def circle(sources):
    """A circle of imports, or None. A package imports the modules that its face shows, not the other way round."""
    graph = {}
    for name, source in sources.items():
        others = imported(source, name, sources)
        graph[name] = {other for other in others if not name.startswith(f"{other}.")}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


SOURCES = {name: file.read_text() for name, file in modules().items()}


def test_every_room_has_a_door_plan():
    assert {room(name) for name in SOURCES} == set(DOORS)


def test_imports_go_one_way():
    assert wrong_doors(SOURCES) == []


def test_imports_have_no_circle():
    assert circle(SOURCES) is None


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("not_so_clevr.dataset.config", "from not_so_clevr import results"),
        ("not_so_clevr.dataset.config", "from not_so_clevr.benchmark.recipe import Recipe"),
        ("not_so_clevr.results.result", "def f():\n    import not_so_clevr.report.page"),
        ("not_so_clevr.report.page", "from not_so_clevr import benchmark"),
        ("not_so_clevr.files", "from .dataset import config"),
        ("not_so_clevr.baselines.conv", "from not_so_clevr.dataset import tasks"),
        ("not_so_clevr.baselines.conv", "from not_so_clevr.benchmark.recipe import Recipe"),
    ],
)
def test_a_wrong_door_would_be_seen(name, line):
    (sentence,) = wrong_doors(SOURCES | {name: line})
    assert sentence.startswith(f"{name} imports ")


def test_a_circle_would_be_seen():
    sources = SOURCES | {"not_so_clevr.dataset.geometry": "from not_so_clevr.dataset import config"}
    assert "not_so_clevr.dataset.geometry" in circle(sources)


FACES = {  # What the other rooms, and users, may rely on
    not_so_clevr: ["NotSoClevrConfig", "load_arrays", "stream", "stream_batches"],
    benchmark: [
        "Recipe",
        "RunOptions",
        "Task",
        "evaluate",
        "plan",
        "run",
        "suite",
        "train",
        "tune",
        "verify",
        "with_recipes",
    ],
    report: [
        "FIGURE_FORMATS",
        "FORMATS",
        "check_profile_folder",
        "errors_figure",
        "load",
        "page",
        "radar",
        "write",
        "write_figure",
        "write_figures",
        "write_profile",
    ],
    reproduce: [
        "COLUMNS",
        "Judgement",
        "Planned",
        "Reproduction",
        "Row",
        "cells",
        "estimates",
        "judge",
        "left",
        "matching",
        "plan",
        "run",
        "runs",
        "seconds",
        "select",
        "table",
        "to_markdown",
        "verdict",
        "write_table",
    ],
    results: [
        "CAPABILITIES",
        "COLUMNS",
        "Capability",
        "Comparison",
        "ENOUGH",
        "ERRORS",
        "EXPLANATION",
        "Examples",
        "FILE",
        "INCOMPLETE",
        "MARK",
        "MARKED",
        "NEAREST",
        "Neighbour",
        "PAINTED",
        "PREDICTED",
        "Pairs",
        "Profile",
        "REPLACED",
        "Result",
        "SHOWN",
        "WEIGHTS",
        "beside",
        "cells",
        "compare",
        "contradictions",
        "elsewhere",
        "grouped",
        "hardware",
        "interval",
        "leaderboard",
        "load",
        "made_with",
        "marked",
        "median",
        "nearest",
        "prediction_interval",
        "read_lines",
        "reference",
        "select",
        "share_interval",
        "sign_test",
        "software",
        "to_markdown",
        "values",
        "write_leaderboard",
        "write_lines",
    ],
}


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_a_face_shows_what_it_should(face):
    assert sorted(face.__all__) == FACES[face]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_what_a_face_shows_is_there(face):
    assert [name for name in face.__all__ if not hasattr(face, name)] == []


def test_nothing_is_called_utils():
    assert not [name for name in SOURCES if "util" in name]
