"""Learning curves and costs: what they show, and how models are told apart."""

import dataclasses

import numpy as np
import pytest
from run_files import result, several

from not_so_clevr import results
from not_so_clevr.report import charts


@pytest.fixture(scope="module")
def runs():
    return several()


def test_curves_show_the_mean_and_the_spread_and_tell_models_apart_without_colour(runs):
    several = [run for run in runs if run.task == "classification"]
    axes = charts.curves(several).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata())]
    np.testing.assert_allclose(
        lines[0].get_ydata(), np.array([25, 50, 75, 100]) * 25 / 98
    )  # Of 0 and 25 of 49
    np.testing.assert_allclose(
        lines[1].get_ydata(), [25, 50, 75, 100]
    )  # The first model is drawn last, on top.
    spread = axes.collections[0].get_paths()[0].vertices
    assert (spread[:, 1].min(), spread[:, 1].max()) == (0, pytest.approx(100 * 25 / 49))
    assert lines[0].get_marker() != lines[1].get_marker()
    assert lines[0]._dash_pattern != lines[1]._dash_pattern  # get_linestyle: "--" for any dashes
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == [
        "computes",
        "memorises",
    ]


def test_curves_show_another_metric_as_it_is(runs):
    same = [
        dataclasses.replace(
            run, history=[{"epoch": k, "test": {"distance": 7.0 * k}} for k in (1, 2)]
        )
        for run in runs[:3]
    ]
    (axes,) = charts.curves(same, metric="distance").axes
    (line,) = (line for line in axes.lines if len(line.get_xdata()))
    np.testing.assert_allclose(line.get_ydata(), [7, 14])
    assert axes.get_ylabel() == "distance on test, px"
    assert axes.get_ylim()[1] >= 14


def test_more_models_than_markers_still_differ_without_colour():
    looks = [
        (look["marker"], look["fillstyle"])
        for look in (charts._look(str(k), list(map(str, range(33)))) for k in range(33))
    ]
    assert len(set(looks)) == 33


def test_a_model_looks_the_same_in_every_chart():
    """A reference model whatever is beside it; the user's own with the same order."""
    for order in (["coordconv"], ["a", "coordconv", "conv"], ["conv-article", "coordconv"]):
        assert charts._look("coordconv", order) == charts._look("coordconv", ["coordconv"])
    assert charts._look("b", ["a", "b"]) == charts._look("b", ["coordconv", "a", "conv", "b"])


def test_models_of_the_user_look_unlike_all_reference_models():
    own = [f"own{k}" for k in range(30)]
    labels = [*charts.labels(results.reference()), *own]
    looks = {tuple(charts._look(label, own).values()) for label in labels}
    assert len(looks) == len(labels) > 50
    first, *others = (charts._look(each, own)["color"] for each in ("own0", "coordconv", "conv"))
    assert first not in others


def test_models_with_the_default_recipe_come_first():
    runs = [
        dataclasses.replace(result("net"), model=model, recipe=recipe)
        for model, recipe in (("a", "x"), ("b", ""), ("a", ""))
    ]
    assert charts.labels(runs) == ["a", "b", "a-x"]


def test_costs_stand_at_parameters_and_at_the_median_of_seconds(runs):
    both = charts.costs(
        [run for run in runs if run.label == "computes" and run.task == "classification"]
    )
    points = [axes.containers[0].lines[0].get_xydata().tolist() for axes in both.axes]
    assert points == [[[1234, 100]], [[11, 100]]]
    for right in (13, 23):  # The mean of three is rounded up, and down.
        assert charts.costs(
            [
                dataclasses.replace(run, metrics={"test": {run.accuracy_metric: right / 784}})
                for run in runs[:3]
            ]
        )
    unknown = [dataclasses.replace(run, parameters=None, seconds=float("nan")) for run in runs]
    assert charts.costs(unknown) is None
