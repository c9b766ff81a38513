"""Maps of errors, predictions and paintings: what they show, and on which scale."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure
from run_files import result, several

from not_so_clevr import NotSoClevrConfig
from not_so_clevr.dataset import drawing, geometry, splits
from not_so_clevr.report import maps


@pytest.fixture(scope="module")
def runs():
    return several()


def test_a_map_holds_the_mean_errors_at_the_centres():
    one, other = result("net", wrong=1.0), result("net", seed=1, wrong=0.0)
    found = maps.error_map([one, other])
    assert found.shape == (16, 16)
    for i, j in geometry.centres(16, 3):
        assert found[i, j] == (
            1.5 if i >= 8 and j >= 8 else 0
        )  # The mean of 3 px and 0 px where it is held out
    border = np.ones((16, 16), bool)
    border[1:15, 1:15] = False
    assert np.isnan(found[border]).all()
    assert maps.error_map([result("net", task="rendering", wrong=1.0)])[8, 8] == 0.75  # 1 - IoU


def test_a_map_lies_as_the_canvases_do():
    cell = maps.errors([result("net", config="quadrant_lower_left_16_square3", wrong=1.0)]).axes[0]
    (image,) = cell.images
    assert image.get_array()[12, 3] == 3  # Row 12, column 3
    assert image.get_array()[3, 12] == 0
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (*cell.get_xlim(), *cell.get_ylim())
    assert (left, right, bottom, top) == (-0.5, 15.5, 15.5, -0.5)  # Row 0 at the top


def test_the_outline_of_the_quadrant_is_its_border(runs):
    (box,) = maps.errors([runs[0]]).axes[0].patches
    corners = box.get_patch_transform().transform(box.get_path().vertices[:4])
    assert set(map(tuple, corners)) == {(7.5, 7.5), (14.5, 7.5), (14.5, 14.5), (7.5, 14.5)}


@pytest.mark.parametrize("split", splits.SPLITS)
@pytest.mark.parametrize("held_out", splits.QUADRANTS)
def test_all_test_examples_and_no_others_are_in_the_outline(split, held_out):
    held_out = held_out if split == "quadrant" else splits.HELD_OUT
    config = NotSoClevrConfig(split=split, held_out=held_out, canvas_size=17, shape="square3")
    axes = Figure().subplots()
    maps._outline_test(axes, config.name)
    scattered = {"uniform", "uniform_uber", "checkerboard"}
    assert len(axes.patches) == (split not in scattered)
    for box in axes.patches:
        inside = box.get_bbox().contains
        centres = config.split_centres()
        in_box = split != "border"  # The outline of the border is its inner edge.
        assert [inside(j, i) for i, j in centres["test"]] == [in_box] * len(centres["test"])
        assert [inside(j, i) for i, j in centres["train"]] == [not in_box] * len(centres["train"])


def test_all_maps_of_a_panel_have_one_scale_and_a_perfect_model_is_painted_as_one(runs):
    bad, good = (
        [run for run in runs if run.label == "memorises"],
        [run for run in runs if run.id.startswith("class")][:3],
    )
    both = maps.errors([*bad, *good])
    scales = [axes.images[0].get_clim() for axes in both.axes if axes.images]
    assert scales == [(0, 3)] * 2  # The errors are 3 px at most.
    np.testing.assert_array_equal(
        both.axes[0].images[0].get_array(), np.ma.masked_invalid(maps.error_map(bad))
    )
    tiny = dataclasses.replace(
        good[0],
        examples={k: v | {"distance": v["distance"] + 1e-6} for k, v in good[0].examples.items()},
    )
    assert maps.errors([tiny]).axes[0].images[0].get_clim() == (0, 1)


def test_predictions_are_of_the_worst_run_and_lead_from_true_to_predicted():
    good, bad = result("net", wrong=0.0), result("net", seed=1, wrong=1.0)
    lines = maps.predictions([good, bad]).axes[0].lines
    ways = next(
        line for line in lines if line.get_color() == "#D55E00" and line.get_linestyle() == "-"
    ).get_xydata()
    ways = ways.reshape(-1, 3, 2)
    assert len(ways) == 49  # Every test example; there are fewer than 100.
    np.testing.assert_array_equal(ways[:, 1], ways[:, 0] - [3, 0])
    assert {tuple(pixel) for pixel in ways[:, 0, ::-1]} == {
        tuple(pixel) for pixel in bad.examples["test"]["coordinates"]
    }


def test_predictions_that_are_wrong_have_a_mark_of_their_own():
    run = result("net", wrong=0.25)  # 12 of 49
    marks = {
        line.get_marker(): line.get_xydata()[:, ::-1]
        for line in maps.predictions([run]).axes[0].lines
    }
    test = run.examples["test"]
    for marker, share in (("x", 0), (".", 1)):
        expected = test["predicted"][test["accuracy"] == share]
        assert sorted(marks[marker].tolist()) == sorted(expected.tolist())
    assert len(marks["x"]) == 12


def test_paintings_stand_below_true_canvases():
    run = result("net", task="rendering")
    images = [axes.images[0].get_array() for axes in maps.paintings([run]).axes]
    true = drawing.draw(run.examples["test"]["coordinates"][:8], 16, "square3")[..., 0]
    rows = np.array(images).reshape(4, 4, 16, 16)
    np.testing.assert_array_equal(np.concatenate([rows[0], rows[2]]), true)
    assert not rows[[1, 3]].any()


def test_a_model_that_is_two_pixels_off_differs_from_a_perfect_one_beside_a_very_bad_one():
    """On the map of each, in the darkness of its colour from 0 to 1."""
    far = dataclasses.replace(result("far", wrong=1.0), examples={})
    for split, columns in result("far", wrong=1.0).examples.items():
        far.examples[split] = {**columns, "distance": columns["distance"] / 3 * 80}
    drawn = maps.errors([result("near", wrong=1.0), result("perfect"), far])
    near, perfect, bad = (
        cell.images[0].norm(cell.images[0].get_array()).max() for cell in drawn.axes[:3]
    )
    assert perfect == 0
    assert bad == 1
    assert 0.2 < near < 0.5
