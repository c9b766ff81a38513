import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from not_so_clevr.dataset import shapes

DRAWN = {
    "square3": "### ### ###",
    "disc5": "..#.. .###. ##### .###. ..#..",
    "cross5": "..#.. ..#.. ##### ..#.. ..#..",
    "ring5": "..#.. .#.#. #...# .#.#. ..#..",
    "triangle5": "#.... ##... ###.. ####. #####",
    "disc3": ".#. ### .#.",
    "square1": "#",
}


@pytest.mark.parametrize("shape", DRAWN)
def test_shapes_are_the_pictures_of_them(shape):
    expected = [[pixel == "#" for pixel in row] for row in DRAWN[shape].split()]
    assert shapes.kernel(shape).tolist() == expected
    assert shapes.as_shape(np.array(expected)) == shape


@pytest.mark.parametrize(
    ("word", "count"),
    [("square", 81), ("disc", 49), ("cross", 17), ("ring", 20), ("triangle", 45)],
)
def test_the_counts_of_the_documentation(word, count):
    """Gauss' circle problem: 49 and 29 points of the lattice lie in discs of radius 4 and 3."""
    assert shapes.kernel(f"{word}9").sum() == count


@given(st.sampled_from(shapes.SHAPES), st.integers(0, 20).map(lambda n: 2 * n + 1))
def test_a_name_is_the_first_one_that_draws_the_same(word, size):
    name = shapes.as_shape(f"{word}{size}")
    assert shapes.as_shape(name) == name
    np.testing.assert_array_equal(shapes.kernel(name), shapes._drawn(word, size))
    same = [
        other
        for other in shapes.SHAPES
        if np.array_equal(shapes._drawn(other, size), shapes._drawn(word, size))
    ]
    assert name == f"{same[0]}{size}"


BITMAPS = st.sampled_from(range(1, 28, 2)).flatmap(
    lambda k: arrays.arrays(bool, (k, k)).filter(lambda pixels: pixels.any())
)


@given(BITMAPS)
def test_the_name_of_a_bitmap_has_its_pixels(pixels):
    name = shapes.as_shape(pixels)
    np.testing.assert_array_equal(shapes.kernel(name), pixels)
    assert shapes.size(name) == len(pixels)
    assert len(f"uniform_test98_4096x4095_{name}_seed4294967295") <= 255


@given(BITMAPS)
def test_a_kernel_is_the_product_of_its_factors(pixels):
    rows, lines = shapes.factors(shapes.as_shape(pixels))
    np.testing.assert_array_equal(rows @ lines, pixels)
    assert len(np.unique(lines, axis=0)) == len(lines)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ("disk9", "shape='disk9' is unknown (did you mean 'disc'?); expected square, disc, cross"),
        ("disc", "shape='disc' is unknown (did you mean 'disc'?); expected square, disc, cross"),
        ("disc-9", "shape='disc-9' is unknown"),
        ("disc9_ff", "shape='disc9_ff' is unknown"),
        ("bitmap3", "shape='bitmap3' is unknown"),
        ("disc8", "shape='disc8' has an even size; expected an odd one"),
        ("disc0", "shape='disc0' has an even size"),
        ("disc9999", "shape='disc9999': size=9999 is out of range; expected an integer from 1"),
        ("bitmap29_ff", "shape='bitmap29_ff': size=29 is out of range; expected an integer from 1"),
        (9, "shape=9 is not an array of booleans; expected a name, e.g. 'disc9', or a boolean"),
        (np.ones((3, 3)), "shape=array of float64 (3, 3) is not an array of booleans; expected"),
        (np.ones((3, 5), bool), "shape=array of 3x5 booleans does not fit; expected"),
        (np.ones((4, 4), bool), "shape=array of 4x4 booleans does not fit; expected"),
        (np.ones((29, 29), bool), "shape=array of 29x29 booleans does not fit; expected"),
        (np.zeros((3, 3), bool), "shape=array of 3x3 booleans is all false; expected"),
        ([[True], [True, False]], "has rows of different lengths; expected"),
    ],
)
def test_bad_shapes_are_named(shape, sentence):
    with pytest.raises(ValueError, match="expected") as error:
        shapes.as_shape(shape)
    assert sentence in str(error.value)
