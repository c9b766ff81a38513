import literal
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr.dataset import drawing, geometry


@st.composite
def sizes(draw, largest=24):
    """Height and width, or one number for both; and the size of a shape that fits."""
    side = st.integers(1, largest)
    height, width = draw(st.tuples(side, side) | side.map(lambda n: (n, n)))
    canvas_size = (height, width)
    if height == width and draw(st.booleans()):
        canvas_size = height
    return canvas_size, 2 * draw(st.integers(0, (min(height, width) - 1) // 2)) + 1


def test_default_geometry_is_the_published_one():
    centres = geometry.centres()
    assert centres.shape == (3136, 2)
    assert centres.dtype == np.int64
    assert centres[[0, 1, 56, -1]].tolist() == [[4, 4], [4, 5], [5, 4], [59, 59]]


@given(sizes())
def test_centres_are_every_place_where_the_square_fits(size):
    canvas_size, k = size
    height, width = geometry.height_width(canvas_size)
    fits = [
        [i, j]
        for i in range(height)
        for j in range(width)
        if i - k // 2 >= 0 and i + k // 2 < height and j - k // 2 >= 0 and j + k // 2 < width
    ]
    assert geometry.centres(canvas_size, k).tolist() == fits


@given(sizes())
def test_one_hots_are_the_rows_of_the_literal_recipe(size):
    canvas_size, k = size
    centres = geometry.centres(canvas_size, k)
    one_hot = geometry.one_hot(centres, canvas_size)
    assert one_hot.dtype == np.uint8
    np.testing.assert_array_equal(one_hot, literal.one_hots(*size).reshape(len(centres), -1))
    np.testing.assert_array_equal(one_hot.argmax(1), geometry.labels(centres, canvas_size))


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ((64, 8), "shape_size=8"),
        ((8, 9), "shape_size=9"),
        (((8, 20), 9), "shape_size=9 does not fit on a canvas of 8x20 pixels"),
        (((20, 8), 9), "an odd number up to 7"),
        (((0, 8), 1), "canvas_size=(0, 8): height=0"),
        (((8, 5000), 1), "canvas_size=(8, 5000): width=5000"),
        (((8, 8, 1), 1), "canvas_size=(8, 8, 1) has 3 numbers"),
        (((8, None), 1), "canvas_size=(8, None): width=None"),
        ((0, 1), "canvas_size=0"),
        ((-64, 9), "canvas_size=-64"),
        ((64, -9), "shape_size=-9"),
        ((64.0, 9), "canvas_size=64.0"),
        ((64, 9.0), "shape_size=9.0"),
        ((True, 1), "canvas_size=True"),
        (("64", 9), "canvas_size='64'"),
        ((None, 9), "canvas_size=None"),
        ((10**6, 9), "canvas_size=1000000"),
        ((10**5000, 9), "canvas_size=(more than 20 digits)"),
        ((float("nan"), 9), "canvas_size=nan"),
    ],
)
def test_bad_sizes_are_named(sizes, named):
    with pytest.raises(ValueError, match="expected") as error:
        geometry.centres(*sizes)
    assert named in str(error.value)


@pytest.mark.parametrize(
    "centres", [[[0, 64]], [[-1, 0]], [[0.5, 1]], [0, 1], [[0, 1, 2]], [["0", "1"]], [[1, 2], [3]]]
)
@pytest.mark.parametrize(
    "function", [drawing.draw, drawing.draw_on_device, geometry.one_hot, geometry.labels]
)
def test_bad_centres_are_named(function, centres):
    with pytest.raises(ValueError, match="centres must be"):
        function(centres)


def test_sizes_may_be_numpys_integers_which_overflow():
    assert geometry.one_hot([[1, 2]], np.int16(300)).shape == (1, 90_000)
    assert geometry.labels([[63, 63]], np.uint8(64)).tolist() == [4095]
    assert drawing.draw([[1, 2]], np.uint8(20), "square3").sum() == 9 * 255


@pytest.mark.parametrize("function", [geometry.one_hot, geometry.labels])
@pytest.mark.parametrize("canvas_size", [64.0, "64", 5000])
def test_a_bad_canvas_is_named(function, canvas_size):
    with pytest.raises(ValueError, match=f"canvas_size={canvas_size!r} .*expected"):
        function([[1, 2]], canvas_size)
