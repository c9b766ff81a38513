import importlib.util
import tracemalloc

import literal
import numpy as np
import pytest
import subprocesses
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr import geometry

BACKENDS = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
SIZES = [(64, 9), (32, 9), (33, 9), (16, 1), (12, 11), (9, 9), (1, 1)]


@st.composite
def sizes(draw, largest=24):
    canvas_size = draw(st.integers(1, largest))
    return canvas_size, 2 * draw(st.integers(0, (canvas_size - 1) // 2)) + 1


def by_definition(centres, canvas_size, square_size):
    """White is every pixel at most k // 2 rows and columns from the centre."""
    pixel = np.arange(canvas_size)
    near = np.abs(pixel[None] - np.asarray(centres)[..., None]) <= square_size // 2  # [N, 2, S]
    return np.where(near[:, 0, :, None] & near[:, 1, None, :], 255, 0)[..., None]


def test_default_geometry_is_the_published_one():
    centres = geometry.centres()
    assert centres.shape == (3136, 2)
    assert centres.dtype == np.int64
    assert centres[[0, 1, 56, -1]].tolist() == [[4, 4], [4, 5], [5, 4], [59, 59]]


@given(sizes())
def test_centres_are_every_place_where_the_square_fits(size):
    canvas_size, square_size = size
    radius = square_size // 2
    fits = [
        [i, j]
        for i in range(canvas_size)
        for j in range(canvas_size)
        if min(i, j) - radius >= 0 and max(i, j) + radius < canvas_size
    ]
    assert geometry.centres(canvas_size, square_size).tolist() == fits


@given(sizes())
def test_one_hots_are_the_rows_of_the_literal_recipe(size):
    canvas_size, square_size = size
    centres = geometry.centres(canvas_size, square_size)
    one_hot = geometry.one_hot(centres, canvas_size)
    assert one_hot.dtype == np.uint8
    np.testing.assert_array_equal(one_hot, literal.one_hots(*size).reshape(len(centres), -1))
    np.testing.assert_array_equal(one_hot.argmax(1), geometry.labels(centres, canvas_size))


@given(sizes(), st.data())
def test_squares_are_drawn_by_the_definition_up_to_and_over_the_border(size, data):
    canvas_size, square_size = size
    pixel = st.integers(0, canvas_size - 1)
    centres = data.draw(st.lists(st.tuples(pixel, pixel), min_size=1, max_size=5))
    drawn = geometry.draw(centres, canvas_size, square_size)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, by_definition(centres, canvas_size, square_size))


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_ways_to_draw_equal_the_literal_recipe(backend):
    code = f"""
import keras, literal, numpy as np
from not_so_clevr import geometry
assert keras.backend.backend() == {backend!r}
for size in {SIZES}:
    recipe = keras.ops.convert_to_numpy(literal.canvases(*size)) * 255
    drawn = geometry.draw(geometry.centres(*size), *size)
    on_device = keras.ops.convert_to_numpy(geometry.draw_on_device(geometry.centres(*size), *size))
    assert drawn.dtype == on_device.dtype == np.uint8
    np.testing.assert_array_equal(drawn, recipe)
    np.testing.assert_array_equal(on_device, recipe)
over_the_border = [[0, 0], [0, 31], [31, 16]]
np.testing.assert_array_equal(geometry.draw_on_device(over_the_border, 32, 9), geometry.draw(over_the_border, 32, 9))
print("equal")
"""
    assert subprocesses.run(code, KERAS_BACKEND=backend) == "equal"


def test_memory_is_bounded_by_the_chunk_whatever_the_number_of_examples():
    centres = geometry.centres(128)
    assert len(centres) * 128**2 > 3 * 64 * 2**20
    tracemalloc.start()
    try:
        for start in range(0, len(centres), geometry.chunk_length(128)):
            geometry.draw(centres[start : start + geometry.chunk_length(128)], 128)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.2 * 64 * 2**20  # This chunk, while the last is still held, and a little beside them.


@pytest.mark.parametrize(("canvas_size", "canvases"), [(64, 16384), (512, 256), (4096, 4), (np.int16(300), 745)])
def test_a_chunk_takes_64_mib_at_most(canvas_size, canvases):
    assert geometry.chunk_length(canvas_size) == canvases


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ((64, 8), "square_size=8"),
        ((8, 9), "square_size=9"),
        ((0, 1), "canvas_size=0"),
        ((-64, 9), "canvas_size=-64"),
        ((64, -9), "square_size=-9"),
        ((64.0, 9), "canvas_size=64.0"),
        ((64, 9.0), "square_size=9.0"),
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


@pytest.mark.parametrize("centres", [[[0, 64]], [[-1, 0]], [[0.5, 1]], [0, 1], [[0, 1, 2]], [["0", "1"]], [[1, 2], [3]]])
@pytest.mark.parametrize("function", [geometry.draw, geometry.draw_on_device, geometry.one_hot, geometry.labels])
def test_bad_centres_are_named(function, centres):
    with pytest.raises(ValueError, match="centres .*expected"):
        function(centres)


def test_sizes_may_be_numpys_integers_which_overflow():
    assert geometry.one_hot([[1, 2]], np.int16(300)).shape == (1, 90_000)
    assert geometry.labels([[63, 63]], np.uint8(64)).tolist() == [4095]
    assert geometry.draw([[1, 2]], np.uint8(20), np.uint8(3)).sum() == 9 * 255


@pytest.mark.parametrize("function", [geometry.one_hot, geometry.labels])
@pytest.mark.parametrize("canvas_size", [64.0, "64", 5000])
def test_a_bad_canvas_is_named(function, canvas_size):
    with pytest.raises(ValueError, match=f"canvas_size={canvas_size!r} .*expected"):
        function([[1, 2]], canvas_size)
