"""Metrics against known answers: an oracle is perfect, a constant scores chance, a shift is worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import not_so_clevr
from not_so_clevr.dataset import metrics, tasks

SIZE = 64
ARRAYS = not_so_clevr.load_arrays("quadrant")["test"]  # 784 centres, 32..59 both ways
N = len(ARRAYS["label"])


def scores(name, y_pred):
    task = tasks.as_task(name, SIZE)
    _, y_true = task.xy(ARRAYS)
    values = {
        metric: ops.convert_to_numpy(function(y_true, y_pred))
        for metric, function in task.metrics.items()
    }
    assert all(value.shape == (N,) and value.dtype == np.float32 for value in values.values())
    return {metric: value.mean(dtype=np.float64) for metric, value in values.items()}


def test_distances_on_a_rectangle_are_in_pixels_along_each_axis():
    hot = np.eye(6 * 15, dtype=np.float32)
    true, predicted = hot[[0, 2 * 15 + 3]], hot[[4 * 15 + 3, 2 * 15 + 14]]
    found = ops.convert_to_numpy(metrics.distance(true, predicted, (6, 15)))
    np.testing.assert_allclose(found, [5, 11])  # 4 rows and 3 columns; 11 columns

    one_pixel = np.float32([[2 / 5, 0], [0, 2 / 14], [2 / 5, 2 / 14]])
    found = ops.convert_to_numpy(metrics.error(np.zeros((3, 2), "float32"), one_pixel, (6, 15)))
    np.testing.assert_allclose(found, [1, 1, 2**0.5], rtol=1e-5)


def one_hot(rows, columns):
    logits = np.full((N, SIZE, SIZE), -1, np.float32)
    logits[np.arange(N), rows, columns] = 1
    return logits.reshape(N, SIZE**2)


def rectangles(top, bottom, left, right):
    """Logits that are positive in rows top..bottom and columns left..accuracy_metric of each canvas."""
    rows, columns = np.arange(SIZE)[None, :, None], np.arange(SIZE)[None, None, :]
    top, bottom, left, right = (np.reshape(edge, (-1, 1, 1)) for edge in (top, bottom, left, right))
    inside = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
    return np.broadcast_to(np.where(inside, 0.1, -0.1), (N, SIZE, SIZE)).astype(np.float32)[
        ..., None
    ]


CENTRES = [(i, j) for i in range(32, 60) for j in range(32, 60)]
ROW, COLUMN = ARRAYS["coordinates"].T


# A task is scored by its target, so two tasks each share their metrics.
TO_ONE_HOT, TO_COORDINATES, TO_CANVAS = (
    [name for name, task in tasks.TASKS.items() if task.target == target]
    for target in ("one_hot", "coordinates", "image")
)
EACH = pytest.mark.parametrize(
    ("to_one_hot", "to_coordinates", "to_canvas"),
    list(zip(TO_ONE_HOT, TO_COORDINATES, TO_CANVAS, strict=True)),
)


@EACH
def test_oracles_are_perfect(to_one_hot, to_coordinates, to_canvas):
    assert scores(to_one_hot, one_hot(ROW, COLUMN)) == {"accuracy": 1, "distance": 0}
    expected = {"error": 0, "within_half_pixel": 1, "pair_accuracy": 1, "coordinate_accuracy": 1}
    assert scores(to_coordinates, tasks.Regression(SIZE).xy(ARRAYS)[1]) == expected
    assert scores(to_canvas, rectangles(ROW - 4, ROW + 4, COLUMN - 4, COLUMN + 4)) == {
        "iou": 1,
        "pixel_accuracy": 1,
        "exact": 1,
    }


@EACH
def test_constants_score_chance(to_one_hot, to_coordinates, to_canvas):
    # Of the 28 x 28 centres one is (40, 50). Its mean distance to them is a sum over the grid.
    distance = np.mean([np.hypot(i - 40, j - 50) for i, j in CENTRES])
    expected = {"accuracy": 1 / 784, "distance": pytest.approx(distance, rel=1e-6)}
    assert scores(to_one_hot, one_hot(40, 50)) == expected
    # (40, 50) again: one pair of 784 is right, and of each coordinate one in 28.
    constant = np.tile(np.float32([2 * 40 / 63 - 1, 2 * 50 / 63 - 1]), (N, 1))
    assert scores(to_coordinates, constant) == {
        "error": pytest.approx(distance, rel=1e-5),
        "within_half_pixel": pytest.approx(1 / 784),
        "pair_accuracy": pytest.approx(1 / 784),
        "coordinate_accuracy": pytest.approx(1 / 28),
    }
    # The middle of the canvas is 0 on the scale of coordinates: it is nobody's centre.
    middle = np.mean([np.hypot(i - 31.5, j - 31.5) for i, j in CENTRES])
    assert scores(to_coordinates, np.zeros((N, 2), np.float32)) == {
        "error": pytest.approx(middle, rel=1e-5),
        "within_half_pixel": 0,
        "pair_accuracy": pytest.approx(1 / 784),  # 31.5 rounds to 32.
        "coordinate_accuracy": pytest.approx(1 / 28),
    }
    # The same square everywhere is right at its own centre. All black: nothing of 81 white pixels is
    # found, and 4096 - 81 pixels are right. All white: 81 of 4096 are right.
    overlaps = [max(9 - abs(i - 40), 0) * max(9 - abs(j - 50), 0) for i, j in CENTRES]
    assert scores(to_canvas, rectangles(36, 44, 46, 54)) == {
        "iou": pytest.approx(np.mean([each / (162 - each) for each in overlaps])),
        "pixel_accuracy": pytest.approx(1 - np.mean([2 * (81 - each) for each in overlaps]) / 4096),
        "exact": pytest.approx(1 / 784),
    }
    black, white = rectangles(1, 0, 0, 0), rectangles(0, 63, 0, 63)
    assert scores(to_canvas, black) == {
        "iou": 0,
        "pixel_accuracy": pytest.approx(4015 / 4096),
        "exact": 0,
    }
    assert scores(to_canvas, white) == {
        "iou": pytest.approx(81 / 4096),
        "pixel_accuracy": pytest.approx(81 / 4096),
        "exact": 0,
    }


@EACH
def test_shifts_score_what_was_worked_out_by_hand(to_one_hot, to_coordinates, to_canvas):
    assert scores(to_one_hot, one_hot(ROW + 1, COLUMN)) == {"accuracy": 0, "distance": 1}
    assert scores(to_one_hot, one_hot(ROW + 3, COLUMN - 4)) == {"accuracy": 0, "distance": 5}
    # One pixel up: 8 of 9 lines overlap, so 72 white pixels of 81 + 9; 2 x 9 pixels are wrong.
    shifted = rectangles(ROW - 5, ROW + 3, COLUMN - 4, COLUMN + 4)
    assert scores(to_canvas, shifted) == {
        "iou": pytest.approx(72 / 90),
        "pixel_accuracy": pytest.approx(1 - 18 / 4096),
        "exact": 0,
    }
    one_pixel_more = rectangles(ROW - 4, ROW + 4, COLUMN - 4, COLUMN + 4)
    one_pixel_more[:, 0, 0] = 1
    assert scores(to_canvas, one_pixel_more)["exact"] == 0


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (
            (1, 0),
            {"error": 1, "within_half_pixel": 0, "pair_accuracy": 0, "coordinate_accuracy": 0.5},
        ),
        (
            (0.45, 0),
            {"error": 0.45, "within_half_pixel": 1, "pair_accuracy": 1, "coordinate_accuracy": 1},
        ),
        (
            (0.45, -0.45),
            {
                "error": 0.45 * 2**0.5,
                "within_half_pixel": 0,
                "pair_accuracy": 1,
                "coordinate_accuracy": 1,
            },
        ),
        (
            (3, 4),
            {"error": 5, "within_half_pixel": 0, "pair_accuracy": 0, "coordinate_accuracy": 0},
        ),
    ],
)
def test_shifts_of_coordinates_are_in_pixels(shift, expected):
    shifted = (ARRAYS["coordinates"] + np.asarray(shift)) * 2 / (SIZE - 1) - 1
    assert scores("regression", shifted.astype(np.float32)) == pytest.approx(expected, abs=1e-5)


def test_what_lies_on_the_threshold_is_not_white_and_not_right():
    assert scores("rendering", np.zeros((N, SIZE, SIZE, 1), np.float32)) == {
        "iou": 0,
        "pixel_accuracy": pytest.approx(4015 / 4096),
        "exact": 0,
    }
    y_true, y_pred = (
        np.float32([[-1, 0]]),
        np.float32([[-0.5, 0]]),
    )  # On 3 x 3 pixels: half a pixel, exactly
    assert float(metrics.error(y_true, y_pred, 3)[0]) == 0.5
    assert float(metrics.within_half_pixel(y_true, y_pred, 3)[0]) == 0


@pytest.mark.parametrize("name", tasks.TASKS)
def test_predictions_of_another_shape_are_refused(name):
    task = tasks.as_task(name, SIZE)
    _, y = task.xy(ARRAYS)
    for wrong in (y[:, :1], y[:1], y[0]):
        for metric in task.metrics.values():
            with pytest.raises(
                ValueError,
                match=r"^y_pred has the shape \(.*\), and y_true \(784, .*\); expected the same\.$",
            ):
                metric(y, wrong)


@given(st.integers(2, 40), st.data())
def test_distance_is_that_of_the_pixels_on_any_canvas(size, data):
    pixel = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    true, predicted = data.draw(pixel), data.draw(pixel)
    hot = [np.eye(size**2, dtype=np.float32)[[i * size + j]] for i, j in (true, predicted)]
    expected = np.hypot(true[0] - predicted[0], true[1] - predicted[1])
    assert float(metrics.distance(*hot)[0]) == pytest.approx(expected, rel=1e-6)
    assert float(metrics.accuracy(*hot)[0]) == (true == predicted)


def test_the_table_of_metrics_has_those_of_the_tasks_and_no_others():
    named = {name for task in tasks.TASKS.values() for name in task().metrics}
    assert set(metrics.METRICS) == named
    for task in tasks.TASKS.values():
        assert metrics.METRICS[task.accuracy_metric].unit == "%"
        assert metrics.METRICS[task.distance_metric].unit != "%"


@pytest.mark.parametrize("metric", metrics.METRICS.values(), ids=metrics.METRICS)
def test_nothing_falls_short_of_a_perfect_value(metric):
    perfect = 1.0 if metric.higher_is_better else 0.0
    assert metric.shortfall(perfect) == 0
    assert metric.shortfall(0.5) == 0.5
    assert metric.higher_is_better == (metric.unit != "px") == (metric.highest == 1)
