import keras
import numpy as np
import pytest
import tensorflow as tf

import not_so_clevr
from not_so_clevr.baselines.layers import coordinate_channels
from not_so_clevr.dataset import tasks

ARRAYS = not_so_clevr.load_arrays("uniform_20_square3")["test"]


@pytest.mark.parametrize(
    ("name", "input_shape", "output_shape"),
    [
        ("classification", (2,), (400,)),
        ("regression", (20, 20, 1), (2,)),
        ("rendering", (2,), (20, 20, 1)),
        ("localisation", (20, 20, 1), (2,)),
        ("painting", (20, 20, 1), (20, 20, 1)),
        ("detection", (20, 20, 1), (400,)),
    ],
)
def test_examples_fit_the_shapes_in_numpy_and_in_tf_data(name, input_shape, output_shape):
    task = tasks.as_task(name, 20)
    assert (task.input_shape, task.output_shape) == (input_shape, output_shape)
    x, y = task.xy(ARRAYS)
    assert (x.shape, y.shape) == ((65, *input_shape), (65, *output_shape))
    assert x.dtype == y.dtype == np.float32
    examples = tf.data.Dataset.from_tensor_slices(ARRAYS)
    for dataset in (examples.map(task.xy).batch(65), examples.batch(65).map(task.xy)):
        assert dataset.element_spec[0].dtype == dataset.element_spec[1].dtype == tf.float32
        for tensor, array in zip(next(iter(dataset)), (x, y), strict=True):
            np.testing.assert_array_equal(tensor, array)


def test_coordinates_are_on_the_scale_of_coordconv():
    x, one_hot = tasks.Classification(20).xy(ARRAYS)
    channels = keras.ops.convert_to_numpy(
        coordinate_channels(np.zeros((1, 20, 20, 1), "float32"), False, "channels_last")
    )
    for coordinates, hot in zip(x, one_hot, strict=True):
        i, j = divmod(int(hot.argmax()), 20)
        np.testing.assert_array_equal(coordinates, channels[0, i, j])
    assert tasks.Regression(64).scaled(np.array([[0, 63]])).tolist() == [[-1, 1]]


@pytest.mark.parametrize("name", tasks.TASKS)
def test_on_a_rectangle_each_coordinate_is_scaled_along_its_own_axis(name):
    """The released code of the paper divides by the other side (facts of the original layer)."""
    arrays = not_so_clevr.load_arrays("quadrant_12x30_triangle5")["test"]
    task = tasks.as_task(name, (12, 30))
    i, j = arrays["coordinates"].T
    expected = np.stack([2 * i / 11 - 1, 2 * j / 29 - 1], axis=-1)
    np.testing.assert_allclose(task.scaled(arrays["coordinates"]), expected, atol=1e-6)
    assert task.scaled(np.array([[0, 0], [11, 29]])).tolist() == [[-1, -1], [1, 1]]

    x, y = task.xy(arrays)
    assert (x.shape[1:], y.shape[1:]) == (task.input_shape, task.output_shape)
    assert {tuple(shape) for shape in (x.shape[1:3], y.shape[1:3])} <= {(2,), (12, 30), (360,)}
    perfect = {"iou": 1, "distance": 0, "error": 0}
    answer = y if task.target == "coordinates" else 2 * y - 1
    for metric, function in task.metrics.items():
        values = keras.ops.convert_to_numpy(function(y, answer))
        np.testing.assert_allclose(values, perfect.get(metric, 1), atol=1e-5)
    if task.target == "image":
        assert task.pixels(answer) is None
    else:
        np.testing.assert_allclose(task.pixels(answer), arrays["coordinates"], atol=1e-4)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_canvases_and_one_hots_are_zeros_and_ones(name):
    """A canvas has the 9 white pixels of a 3x3 square, a one-hot 1 at the label."""
    task = tasks.as_task(name, 20)
    for feature, array in zip((task.source, task.target), task.xy(ARRAYS), strict=True):
        flat = array.reshape(65, -1)
        if feature == "coordinates":
            np.testing.assert_array_equal(array, task.scaled(ARRAYS["coordinates"]))
            continue
        assert set(np.unique(flat)) == {0, 1}
        assert (flat.sum(axis=1) == {"image": 9, "one_hot": 1}[feature]).all()
        if feature == "one_hot":
            assert (flat.argmax(axis=1) == ARRAYS["label"]).all()


def test_the_tasks_are_the_six_arrows_between_three_representations():
    arrows = {(task.source, task.target): name for name, task in tasks.TASKS.items()}
    assert arrows == {
        ("coordinates", "one_hot"): "classification",
        ("one_hot", "coordinates"): "regression",
        ("coordinates", "image"): "rendering",
        ("image", "coordinates"): "localisation",
        ("one_hot", "image"): "painting",
        ("image", "one_hot"): "detection",
    }


def test_losses_have_known_values():
    # Logits of 0: 1/400 for each pixel, and 1/2 for each of black and white.
    expected_loss = {
        **dict.fromkeys(("classification", "detection"), np.log(400)),
        **dict.fromkeys(("rendering", "painting"), np.log(2)),
    }
    for name, expected in expected_loss.items():
        task = tasks.as_task(name, 20)
        _, y = task.xy(ARRAYS)
        assert float(task.loss(y, np.zeros_like(y))) == pytest.approx(expected, rel=1e-5)
    for task in (tasks.Regression(20), tasks.Localisation(20)):
        _, y = task.xy(ARRAYS)
        assert float(task.loss(y, y + np.float32([0.3, -0.1]))) == pytest.approx(
            (0.09 + 0.01) / 2, rel=1e-5
        )


def test_each_task_has_a_metric_of_what_is_right_and_one_of_how_close_the_rest_is():
    assert {
        name: (task.accuracy_metric, task.distance_metric) for name, task in tasks.TASKS.items()
    } == {
        "classification": ("accuracy", "distance"),
        "regression": ("within_half_pixel", "error"),
        "rendering": ("exact", "iou"),
        "localisation": ("within_half_pixel", "error"),
        "painting": ("exact", "iou"),
        "detection": ("accuracy", "distance"),
    }


def test_a_task_is_frozen_and_equal_to_its_like():
    assert tasks.as_task("regression", 20) == tasks.Regression(20) != tasks.Rendering(20)
    with pytest.raises(AttributeError):
        tasks.Regression(20).canvas_size = 30


@pytest.mark.parametrize("name", tasks.TASKS)
def test_examples_of_another_canvas_are_refused(name):
    task = tasks.as_task(name, 64)
    sentence = r"has the shape \(65, .*\); expected .* canvases of 64 pixels; give it the canvas_size of the data set\.$"
    with pytest.raises(ValueError, match=sentence):
        task.xy(ARRAYS)
    with pytest.raises(ValueError, match="; expected"):
        tf.data.Dataset.from_tensor_slices(ARRAYS).map(task.xy)


@pytest.mark.parametrize("canvas_size", [64.0, "64", 0, True, None])
def test_a_bad_canvas_is_named(canvas_size):
    with pytest.raises(ValueError, match=f"canvas_size={canvas_size!r} .*expected an integer"):
        tasks.as_task("regression", canvas_size)


def test_the_size_may_be_one_of_numpys_integers_which_overflow():
    assert tasks.as_task("classification", np.int16(300)).output_shape == (90_000,)


def test_an_unknown_task_is_named():
    with pytest.raises(
        ValueError,
        match="Unknown task 'segmentation'; expected one of classification, regression, rendering, "
        "localisation, painting, detection.",
    ):
        tasks.as_task("segmentation", 64)
