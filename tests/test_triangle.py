"""The triangle: its numbers are those of the runs, and an arrow without a run is a gap."""

import dataclasses

import pytest
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Annotation
from run_files import CONFIG, result, several

from not_so_clevr import report
from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.report import triangle

GREEN, ORANGE, GREY = "#009E73", "#D55E00", "#8C8C8C"


def on(config, runs):
    return [dataclasses.replace(run, config=config) for run in runs]


def of_all_tasks(model, wrong=0.0, seeds=1):
    return [result(model, task=task, seed=k, wrong=wrong) for task in TASKS for k in range(seeds)]


def figure(runs):
    return triangle.triangles(triangle.models(runs), triangle.configs(runs))


def labels(axes):
    return [
        text.get_text()
        for text in axes.texts
        if type(text) is not Annotation and "of" in text.get_text()
    ]


def arrows(axes):
    """Returns (colour, whether it is dashed) of each arrow, in the order of the tasks."""
    found = [text.arrow_patch for text in axes.texts if isinstance(text, Annotation)]
    assert all(isinstance(arrow, FancyArrowPatch) for arrow in found)
    return [
        (hexed(arrow.get_edgecolor()), isinstance(arrow.get_linestyle(), tuple)) for arrow in found
    ]


def hexed(color):
    return "#" + "".join(f"{round(255 * share):02X}" for share in color[:3])


def test_the_numbers_are_those_of_the_runs():
    """Of 49 test examples 0 and 12 are wrong: 100 and 75.5 % are right, on average 87.8 %."""
    runs = [
        result("net", task=task, seed=k, wrong=wrong)
        for task in TASKS
        for k, wrong in enumerate((0, 0.25))
    ]
    right = [run.metrics["test"][run.accuracy_metric] for run in runs[:2]]
    assert right == pytest.approx([1, 37 / 49])
    (axes,) = figure(runs).axes
    assert labels(axes) == ["87.8 %\n1 of 2"] * 6
    assert arrows(axes) == [(ORANGE, False)] * 6


def test_each_arrow_has_the_number_of_its_own_task():
    runs = [result("net", task=task, wrong=(k + 1) / 49) for k, task in enumerate(TASKS)]
    (axes,) = figure(runs).axes
    expected = [f"{100 * (48 - k) / 49:.1f} %\n0 of 1" for k in range(6)]
    assert labels(axes) == expected
    names = {"coordinates": "coordinates", "one_hot": "one-hot", "image": "canvas"}
    corners = {
        text.get_text(): complex(*text.get_position())
        for text in axes.texts
        if text.get_text() in names.values()
    }
    drawn = [text for text in axes.texts if isinstance(text, Annotation)]
    for task, arrow in zip(TASKS.values(), drawn, strict=True):
        for feature, end in ((task.source, arrow.xyann), (task.target, arrow.xy)):
            distances = {name: abs(corner - complex(*end)) for name, corner in corners.items()}
            assert min(distances, key=distances.get) == names[feature], task.name


def test_a_task_without_runs_is_a_grey_dashed_gap():
    (axes,) = figure([result("net", task="regression")]).axes
    assert labels(axes) == ["100 %\n1 of 1"]
    assert arrows(axes) == [
        (GREEN, False) if task == "regression" else (GREY, True) for task in TASKS
    ]


def test_a_held_out_region_is_on_the_left_and_scattered_examples_on_the_right():
    runs = of_all_tasks("net", wrong=0.5)
    shown = triangle.configs(on("uniform_16_square3", runs[:2]) + runs)
    assert shown == [CONFIG, "uniform_16_square3"]
    assert triangle.configs(on("uniform", runs)) == ["uniform"]
    assert triangle.configs(on("uniform_32", runs) + on("uniform", runs)) == ["uniform"]
    assert triangle.configs(on("rows_32", runs) + on("quadrant", runs[:5])) == ["rows_32"]
    assert triangle.configs(on("no data set", runs)) == []


def test_a_seed_that_is_wrong_on_train_is_not_perfect():
    run = result("net")
    bad = dataclasses.replace(
        run, metrics=run.metrics | {"train": run.metrics["train"] | {"accuracy": 0.9}}
    )
    (axes,) = figure([bad]).axes
    assert labels(axes) == ["100 %\n0 of 1"]
    assert arrows(axes)[0] == (ORANGE, False)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 30])
def test_each_of_many_models_has_two_triangles_inside_the_figure(count):
    runs = [
        run for k in range(count) for run in (result(f"net{k:02}"), result(f"net{k:02}", seed=1))
    ]
    drawn = figure(runs + on("uniform_16_square3", runs))
    assert len(drawn.axes) == 2 * count
    boxes = [axes.get_position() for axes in drawn.axes]
    assert all(0 <= box.x0 < box.x1 <= 1.001 and -0.001 <= box.y0 < box.y1 <= 1 for box in boxes)
    assert len({(round(box.x0, 6), round(box.y0, 6)) for box in boxes}) == 2 * count


def test_the_texts_do_not_overlap_or_stick_out():
    runs = of_all_tasks("net", seeds=10)
    drawn = figure(runs + on("uniform_16_square3", runs))
    drawn.draw_without_rendering()
    boxes = [
        text.get_window_extent() for axes in drawn.axes for text in axes.texts if text.get_text()
    ]
    assert len(boxes) == 2 * (3 + 6 + 1)
    for k, box in enumerate(boxes):
        assert drawn.bbox.x0 <= box.x0 < box.x1 <= drawn.bbox.x1
        assert drawn.bbox.y0 <= box.y0 < box.y1 <= drawn.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_the_models_with_the_most_right_come_first():
    runs = of_all_tasks("worse", wrong=0.5) + of_all_tasks("better") + [result("one_task")]
    assert list(triangle.models(runs)) == ["better", "worse", "one_task"]


def test_the_page_shows_ten_models_first_and_says_how_many_more():
    page = report.page([result(f"net{k:02}", wrong=k / 20) for k in range(15)], ["runs"])
    assert page.count('aria-label="Triangles of') == 10
    assert "There are 5 more models." in page
    assert page.index("Triangles of net00") < page.index("<svg") < page.index('id="leaderboard"')


def test_the_page_tells_the_numbers_in_words():
    page = report.page(several(), ["runs"])
    words = "classification 25.5 % 0 of 2, regression not run, rendering not run"
    assert f"Triangles of memorises: {CONFIG}: {words}" in " ".join(page.split())
