import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr.dataset import geometry, splits

# The published counts, and the SHA-256 of the indices of the test examples as little-endian int64.
PINNED = {
    ("uniform", "lower_right", 0): (
        2509,
        627,
        "b51d0d62ce58f96467b6a01ae820ad7b49ba5d064ef3bbfa5cab2ea3ecc893e1",
    ),
    ("uniform", "lower_right", 1): (
        2509,
        627,
        "8be8c706709232a9022b582decfcf47e9cef27fb5c4ff4fe1580474c8465e08f",
    ),
    ("quadrant", "lower_right", 0): (
        2352,
        784,
        "5e340bbbaa3aa43345fb94a5283d34c3d1e5cd7791695edd7047ed365ddc3f5f",
    ),
    ("quadrant", "lower_left", 0): (
        2352,
        784,
        "8c45e6a07024ce1f584caa0ec2c8b990c507de1f41569d79e5afdc2b930bc31e",
    ),
    ("quadrant", "upper_right", 0): (
        2352,
        784,
        "59f2da8c45a801b963b892ec92aaafb0a11c2d47a7610216293c894423a6f701",
    ),
    ("quadrant", "upper_left", 0): (
        2352,
        784,
        "e354a56a2eaaa19667411a55115301fdea9c0a2a24db73ef5d4a5f720cfaa840",
    ),
    ("uniform_uber", "lower_right", 0): (
        2368,
        768,
        "62f22ec61cccdd7c5fad41081d6cb823e7e8896fb45b8fb15959b20fed8ce4c9",
    ),
    ("quadrant_uber", "lower_right", 0): (
        2407,
        729,
        "d24c223b3fba1dd4eb03ebfe6d4a4f226ab99e484176e73a9d22c5b86d62479a",
    ),
}


@pytest.mark.parametrize(("split", "held_out", "seed"), PINNED)
def test_splits_are_pinned(split, held_out, seed):
    test = splits.is_test(split, held_out=held_out, seed=seed)
    digest = hashlib.sha256(np.flatnonzero(test).astype("<i8").tobytes()).hexdigest()
    assert (int((~test).sum()), int(test.sum()), digest) == PINNED[split, held_out, seed]


@pytest.mark.parametrize(
    ("held_out", "corner"),
    [
        ("lower_right", (59, 59)),
        ("lower_left", (59, 4)),
        ("upper_right", (4, 59)),
        ("upper_left", (4, 4)),
    ],
)
def test_the_held_out_quadrant_is_the_one_with_that_corner(held_out, corner):
    test = splits.is_test("quadrant", held_out=held_out)
    in_quadrant = (geometry.centres() >= 32) == (np.array(corner) >= 32)
    np.testing.assert_array_equal(test, in_quadrant.all(axis=1))


@given(st.integers(5, 40), st.sampled_from([1, 3, 5]))
def test_the_four_quadrants_share_out_all_centres(canvas_size, square_size):
    size = {"canvas_size": canvas_size, "square_size": square_size}
    if canvas_size - square_size < 1:
        return
    tests = [splits.is_test("quadrant", held_out=held_out, **size) for held_out in splits.QUADRANTS]
    assert (np.sum(tests, axis=0) == 1).all()


def test_uber_uniform_is_drawn_column_by_column_with_the_legacy_generator():
    state = np.random.get_state()
    np.random.seed(20202)
    drawn = {(i, j) for j in range(4, 60) for i in range(4, 60) if np.random.random() < 0.25}
    np.random.set_state(state)
    assert {
        tuple(centre) for centre in geometry.centres()[splits.is_test("uniform_uber")].tolist()
    } == drawn


def test_uber_quadrant_leaves_the_middle_row_and_column_to_train():
    expected = {(i, j) for i in range(33, 60) for j in range(33, 60)}
    assert {
        tuple(centre) for centre in geometry.centres()[splits.is_test("quadrant_uber")].tolist()
    } == expected


@given(st.integers(0, 2**32 - 1), st.integers(10, 40))
def test_uniform_holds_out_the_nearest_number_to_a_fifth(seed, canvas_size):
    test = splits.is_test("uniform", canvas_size=canvas_size, seed=seed)
    assert abs(test.sum() - len(test) / 5) <= 0.5


def test_seeds_differ_and_the_default_is_zero():
    masks = [splits.is_test("uniform", seed=seed) for seed in (0, 1)]
    masks.insert(0, splits.is_test("uniform"))
    assert (masks[0] == masks[1]).all()
    assert (masks[0] != masks[2]).any()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"split": "random"}, "split='random'"),
        ({"split": None}, "split=None"),
        ({"split": ["uniform"]}, "split="),
        ({"split": "quadrant", "held_out": "middle"}, "held_out='middle'"),
        ({"split": "quadrant", "held_out": ["lower_right"]}, "held_out="),
        ({"split": "uniform", "held_out": "upper_left"}, "held_out='upper_left'"),
        ({"split": "quadrant", "seed": 1}, "seed=1"),
        ({"split": "quadrant_uber", "held_out": "lower_left"}, "held_out='lower_left'"),
        ({"split": "uniform_uber", "seed": 1}, "seed=1"),
        ({"split": "uniform", "held_out": None}, "held_out=None"),
        ({"seed": None}, "seed=None"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"canvas_size": 9}, "canvas_size=9"),
        ({"split": "quadrant_uber", "canvas_size": 10}, "canvas_size=10"),
    ],
)
def test_bad_splits_are_named(arguments, named):
    with pytest.raises(ValueError, match="expected|leave it out") as error:
        splits.is_test(**arguments)
    assert named in str(error.value)
