import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr.dataset import geometry, splits

SIZES = st.tuples(st.integers(10, 24), st.integers(10, 24))
HELD_OUT = ("rows", "columns", "border", "centre", "checkerboard")

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
    ("rows", "lower_right", 0): (
        2352,
        784,
        "dfc2a9ad6b1d0d5821a37b11908d5158fce5d3c83df8dde74698081ed711dff1",
    ),
    ("columns", "lower_right", 0): (
        2352,
        784,
        "3afdc73b81f22f87aea6b0c44fae396f63c4d7d674f61a4b2861d1daf1596cf6",
    ),
    ("border", "lower_right", 0): (
        2500,
        636,
        "a725dd97662c8c65d05e37c2acdaeeee2c89cba84cdc1754566578bdc704c3d1",
    ),
    ("centre", "lower_right", 0): (
        2352,
        784,
        "2788606e83d5861660cf62e46ba9e29c3650ca25fba4af368d5d5ae093eec7ba",
    ),
    ("checkerboard", "lower_right", 0): (
        1568,
        1568,
        "3da4ad25f41855fde2cd5b9b7268daafa2da4d971d3f22d8466a7e81fc5e31eb",
    ),
    ("uniform_test50", "lower_right", 0): (
        1568,
        1568,
        "4a0fb0ca2e505c6d330b3441778cf99f4785ac45d441d5af97c3d9689f44aa31",
    ),
    ("uniform_test80", "lower_right", 0): (
        627,
        2509,
        "457d64c9ca0c1168ad06ff8e4d1f69a817292fdc2e85058b12878fe46f286571",
    ),
    ("uniform_test90", "lower_right", 0): (
        314,
        2822,
        "b676548f2f353c75946298b6b8781767efc7f228874e00595efe816209cd5525",
    ),
    ("uniform_test95", "lower_right", 0): (
        157,
        2979,
        "cecb941cee257f38cc9ca10c498fde6dae516ea1aabf39035185b3ef5ae727f6",
    ),
    ("uniform_test98", "lower_right", 0): (
        63,
        3073,
        "50e31fcbdd401e74252853ca1776346c2d83077faf441166e1c4a64bd2e0e516",
    ),
}


@pytest.mark.parametrize(("split", "held_out", "seed"), PINNED)
def test_splits_are_pinned(split, held_out, seed):
    split, _, percent = split.partition("_test")
    percent = int(percent or 20)
    test = splits.is_test(split, held_out=held_out, test_percent=percent, seed=seed)
    digest = hashlib.sha256(np.flatnonzero(test).astype("<i8").tobytes()).hexdigest()
    key = split if percent == 20 else f"{split}_test{percent}"
    assert (int((~test).sum()), int(test.sum()), digest) == PINNED[key, held_out, seed]


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
    size = {"canvas_size": canvas_size, "shape_size": square_size}
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


@given(st.integers(0, 2**32 - 1), SIZES, st.integers(1, 99))
def test_uniform_holds_out_the_nearest_number_to_its_share(seed, size, percent):
    test = splits.is_test(
        "uniform", canvas_size=size, shape_size=1, test_percent=percent, seed=seed
    )
    assert abs(int(test.sum()) - len(test) * percent / 100) <= 0.5


@given(st.integers(0, 2**32 - 1), st.integers(1, 98))
def test_a_larger_share_of_the_same_seed_has_the_smaller_one_in_it(seed, percent):
    """So a model that saw fewer examples saw some of those that the other saw, and no others."""
    one, more = (
        splits.is_test("uniform", canvas_size=20, test_percent=each, seed=seed)
        for each in (percent, percent + 1)
    )
    assert not (one & ~more).any()


def drawn(split, size, k):
    """The test centres of a split as its row of the documentation says, pixel by pixel."""
    (height, width), r = size, k // 2
    rows, columns = range(r, height - r), range(r, width - r)
    quarter = lambda line: int(len(line) / 4 + 0.5)  # noqa: E731  Half up
    if split == "rows":
        return {(i, j) for i in rows[len(rows) - quarter(rows) :] for j in columns}
    if split == "columns":
        return {(i, j) for i in rows for j in columns[len(columns) - quarter(columns) :]}
    if split == "centre":
        inner = [line[quarter(line) : len(line) - quarter(line)] for line in (rows, columns)]
        return {(i, j) for i in inner[0] for j in inner[1]}
    if split == "checkerboard":
        return {(i, j) for i in rows for j in columns if (i + j) % 2}
    rings = []
    for ring in range(1, min(len(rows), len(columns))):
        inner = {(i, j) for i in rows[ring:-ring] for j in columns[ring:-ring]}
        rings.append({(i, j) for i in rows for j in columns} - inner)
    return min(rings, key=lambda each: abs(len(each) - len(rows) * len(columns) / 5))


@given(st.sampled_from(HELD_OUT), SIZES, st.sampled_from([1, 3, 5]))
def test_held_out_regions_are_those_of_the_documentation(split, size, k):
    if min(size) - k < 5:
        return
    test = splits.is_test(split, canvas_size=size, shape_size=k)
    assert set(map(tuple, geometry.centres(size, k)[test].tolist())) == drawn(split, size, k)


@pytest.mark.parametrize(
    ("split", "seen"), [("quadrant", True), ("centre", True), ("rows", False), ("border", False)]
)
def test_recombination_has_seen_every_row_and_column_and_extrapolation_has_not(split, seen):
    test, centres = splits.is_test(split), geometry.centres()
    for axis in (0, 1):
        every, trained = (set(each[:, axis]) for each in (centres, centres[~test]))
        assert (every == trained) is (seen or (split == "rows" and axis == 1))


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
        ({"split": "rows", "held_out": "lower_left"}, "held_out='lower_left'"),
        ({"split": "border", "seed": 1}, "seed=1"),
        ({"split": "centre", "test_percent": 50}, "test_percent=50"),
        ({"test_percent": 0}, "test_percent=0"),
        ({"test_percent": 100}, "test_percent=100"),
        ({"test_percent": 20.0}, "test_percent=20.0"),
        ({"test_percent": True}, "test_percent=True"),
        ({"test_percent": 98, "canvas_size": 12}, "test_percent=98 has no train example"),
        ({"split": "border", "canvas_size": 10}, "canvas_size=10"),
        ({"split": "rows", "canvas_size": (9, 20)}, "canvas_size=9x20"),
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
