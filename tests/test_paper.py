"""The figure for a paper: what it shows, how large it is, and what is missing."""

import dataclasses
import itertools
import pathlib
import re

import numpy as np
import pytest
from run_files import CONFIG, TASKS, result
from typer.testing import CliRunner

from not_so_clevr import cli, report
from not_so_clevr.checks import UserError
from not_so_clevr.report import maps, paper


def of_all_tasks(*models, wrong=0.0):
    return [result(model, task=task, wrong=wrong) for model in models for task in TASKS]


def draw(models, runs, **changes):
    return report.errors_figure(models, runs, **({"config": CONFIG} | changes))


def images(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.texts]


def test_a_row_is_a_model_and_a_column_a_task():
    runs = [*of_all_tasks("good"), *of_all_tasks("bad", wrong=1.0)]
    figure = draw(["bad", "good"], runs)
    expected = [
        [run for run in runs if (run.model, run.task) == each]
        for each in itertools.product(["bad", "good"], sorted(TASKS))
    ]
    for image, same in zip(images(figure), expected, strict=True):
        np.testing.assert_array_equal(np.ma.filled(image.get_array(), np.nan), maps.error_map(same))
    assert texts(figure)[:2] == ["bad", "0.0 % of test right"]
    assert texts(figure)[-6:] == sorted(TASKS)


def test_each_task_has_a_scale_of_its_own():
    """Up to the worst of its maps: 3 px, and 3/4 of an IoU; of perfect models up to a pixel."""
    wrong = {"classification": 1.0, "regression": 0.0, "rendering": 1.0}
    runs = [result("good", task=task) for task in wrong]
    runs += [result("bad", task=task, wrong=share) for task, share in wrong.items()]
    found = [image.get_clim() for image in images(draw(["good", "bad"], runs))]
    assert found == [(0, 3), (0, 1), (0, 0.75)] * 2


def test_a_task_without_runs_of_a_model_is_left_blank():
    figure = draw(["a", "b"], [result("a"), result("b", task="regression")])
    assert len(images(figure)) == 2
    blank = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert blank == ["not run"] * 2


LONG = [f"{k:02}_{'a_long_name_' * 7}"[:80] for k in range(30)]


@pytest.mark.parametrize(
    ("models", "tasks", "width"),
    [
        (["net"], ["regression"], 3.0),
        (LONG[:2], list(TASKS)[:3], 3.0),
        (LONG[:2], list(TASKS), 6.0),
        (LONG[:3], ["rendering"], 3.3),
        (LONG, list(TASKS), 7.0),
    ],
)
def test_every_text_can_be_read(models, tasks, width):
    """It is inside the figure, beside all others, at least 7 points large, and complete."""
    runs = [result(model, task=task) for model in models for task in tasks]
    figure = draw(models, runs, width=width)
    assert figure.get_size_inches()[0] == width
    found = [each for each in texts(figure) if not each.endswith("right") and each not in TASKS]
    assert [each.replace("\n", "") for each in found] == models

    labels = [*figure.texts]
    for axes in figure.axes:
        if axes.collections:
            labels += [*axes.get_xticklabels(), axes.xaxis.label]
    boxes = [label.get_window_extent() for label in labels]
    page = figure.bbox.padded(0.5)
    for label, box in zip(labels, boxes, strict=True):
        assert label.get_size() >= 7
        assert page.contains(*box.min), (label, box, page)
        assert page.contains(*box.max), (label, box, page)
    for one, other in itertools.combinations([box.padded(-1) for box in boxes if box.width], 2):
        assert not one.overlaps(other), (one, other)


def test_many_models_are_set_side_by_side_to_fit_a_page():
    heights = [paper._laid_out(["net"] * count, 1, 7.0).height for count in (1, 4, 12, 24)]
    assert max(heights[1:]) <= 9
    assert paper._laid_out(["net"] * 2, 3, 7.0).blocks == 1


@pytest.mark.parametrize(
    ("models", "changes", "sentence"),
    [
        (
            ["nett"],
            {},
            f"nett has no runs on {CONFIG} (did you mean 'net'?); models with runs: net.",
        ),
        (["net"], {"config": "uniform_48"}, "net has no runs on uniform_48; nor has any other."),
        (
            ["coordconv"],
            {"config": "quadrant"},
            "classification/quadrant/coordconv/seed0 has only mean errors, without those of single "
            "examples; train it again: not-so-clevr train coordconv --task classification "
            "--config quadrant --seed 0",
        ),
        ([], {}, "There is no model to draw; name at least one."),
        (["net"], {"width": 2}, "width=2 is out of range; expected a number of inches from 3 to"),
        (["net"], {"width": float("nan")}, "width=nan is out of range"),
        (["net"], {"width": "7"}, "width='7' is out of range"),
        ("net", {}, "models must be a list, got 'net'; put it into brackets."),
    ],
)
def test_what_cannot_be_drawn_is_an_error(models, changes, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        draw(models, [result("net")], **changes)


def test_runs_on_another_config_do_not_hide_the_reference_results():
    label, here = "coordconv", "quadrant"
    sentence = f"/{here}/{label}/seed0 has only mean errors, .*; train it again: not-so-clevr train"
    with pytest.raises(UserError, match=sentence):
        draw([label], [result(label)], config=here)


def test_the_command_to_train_again_is_for_the_task_of_the_others():
    others = [result("net", task="rendering", config="quadrant")]
    with pytest.raises(UserError, match="rendering/quadrant/coordconv/seed0 has only mean errors"):
        draw(["net", "coordconv"], others, config="quadrant")


def test_six_tasks_do_not_fit_into_a_column():
    with pytest.raises(UserError, match="width=3.3 is too narrow for the 6 tasks of these runs; "):
        draw(["net"], of_all_tasks("net"), width=3.3)


def test_all_runs_need_their_examples():
    runs = [result("net"), dataclasses.replace(result("net", seed=1), examples={})]
    with pytest.raises(UserError, match=f"classification/{CONFIG}/net/seed1 has only mean errors"):
        draw(["net"], runs)


def command(*arguments):
    return CliRunner().invoke(cli.app, ["figure", "errors", *map(str, arguments)])


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_the_command_writes_the_figure(ending, tmp_path):
    for run in of_all_tasks("net", "other"):
        run.write(tmp_path / "runs" / run.id)
    file = tmp_path / f"paper.{ending}"
    where = "--config", CONFIG, "--runs", tmp_path / "runs", "-o", file
    done = command("net", "other", "--width", "6.5", *where)
    assert done.exit_code == 0, done.output
    figure = draw(["net", "other"], of_all_tasks("net", "other"), width=6.5)
    height = figure.get_size_inches()[1]
    said = f"The figure, 6.5 x {height:.1f} inches, is in {file}"
    assert " ".join(done.output.split()) == said
    expected = tmp_path / f"expected.{ending}"
    report.write_figure(figure, expected)
    assert file.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["net", "-o", "a.svg"],
            "a.svg has no known format; expected a name that ends in .pdf, .png.",
        ),
        (
            ["nett", "-o", "a.pdf"],
            "nett has no runs on quadrant; models with runs: broadcast_decoder-rule, coordconv, ",
        ),
        (["coordconv", "-o", "a.pdf"], "train it again: not-so-clevr train coordconv --task "),
    ],
)
def test_the_command_says_what_is_wrong(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = command(*arguments).exception
    assert isinstance(error, UserError)
    assert sentence in str(error)
    assert not list(pathlib.Path().iterdir())


def test_a_folder_of_runs_that_is_not_there_is_named(tmp_path):
    done = command("conv", "--runs", tmp_path / "nowhere", "-o", tmp_path / "paper.png")
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(f"There is no folder {tmp_path / 'nowhere'}")
