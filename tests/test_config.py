import dataclasses
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import not_so_clevr
from not_so_clevr.dataset import drawing, not_so_clevr_dataset_builder, shapes, splits
from not_so_clevr.dataset.config import CONFIGS, NotSoClevrConfig
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

NAMES = ["uniform", "quadrant", "rows", "columns", "border", "centre", "checkerboard"]
NAMES += [f"uniform_test{percent}" for percent in (50, 80, 90, 95, 98)]
NAMES += [
    "quadrant_upper_left",
    "quadrant_upper_right",
    "quadrant_lower_left",
]
NAMES += ["uniform_uber", "quadrant_uber", "uniform_32", "quadrant_32"]
NAMES += ["uniform_128", "quadrant_128", "uniform_256", "quadrant_256"]

OUT_OF_RANGE = st.one_of(
    st.integers(max_value=0), st.integers(min_value=4097)
)  # A right one of 300 fills 15 GB.
WRONG = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=3), OUT_OF_RANGE, st.just([9])
)
SIDE = st.integers(1, 24)
ODD = st.integers(0, 11).map(lambda n: 2 * n + 1)
CANVAS = st.one_of(SIDE, st.tuples(SIDE, SIDE))
PIXELS = st.sampled_from([1, 3, 5]).flatmap(
    lambda k: arrays.arrays(bool, (k, k)).filter(lambda pixels: pixels.any())
)
SHAPE = st.one_of(st.builds("{}{}".format, st.sampled_from(shapes.SHAPES), ODD), PIXELS)
PLAUSIBLE = st.fixed_dictionaries(
    {"canvas_size": CANVAS, "shape": SHAPE},
    optional={
        "split": st.sampled_from(splits.SPLITS),
        "held_out": st.sampled_from(splits.QUADRANTS),
        "test_percent": st.one_of(st.just(20), st.integers(1, 99)),
        "seed": st.one_of(st.just(0), st.integers(0, 2**32 - 1)),
    },
)
WRONG_SHAPE = st.one_of(
    st.builds(
        "{}{}".format, st.sampled_from([*shapes.SHAPES, "bitmap", "disk", ""]), st.integers()
    ),
    arrays.arrays(st.sampled_from([bool, float, int]), st.tuples(SIDE, SIDE)),
    WRONG,
)
ANYTHING = st.fixed_dictionaries(
    {
        "canvas_size": st.one_of(CANVAS, CANVAS, CANVAS, WRONG, st.tuples(SIDE, WRONG)),
        "shape": st.one_of(SHAPE, SHAPE, SHAPE, WRONG_SHAPE),
    },
    optional={
        "split": st.one_of(st.sampled_from(splits.SPLITS), WRONG),
        "held_out": st.one_of(st.sampled_from(splits.QUADRANTS), WRONG),
        "test_percent": st.one_of(st.integers(0, 100), WRONG),
        "seed": st.one_of(st.integers(0, 9), WRONG),
    },
)


def test_the_named_configs():
    assert [config.name for config in CONFIGS] == NAMES
    assert Builder.BUILDER_CONFIGS[0].name == Builder.DEFAULT_BUILDER_CONFIG_NAME == "uniform"


@settings(max_examples=1000)
@given(st.one_of(PLAUSIBLE, ANYTHING))
def test_a_config_is_refused_or_yields_a_right_data_set(arguments):
    try:
        config = NotSoClevrConfig(**arguments)
    except ValueError as error:
        named = [f"{name}={value!r}" for name, value in arguments.items()]
        sizes = ("shape=array", "shape_size=", "(more than 20 digits)")
        if isinstance(canvas_size := arguments["canvas_size"], tuple):
            sizes += (f"canvas_size={'x'.join(map(str, canvas_size))}",)
        assert any(words in str(error) for words in (*named, *sizes)), error
        assert "expected" in str(error) or "leave it out" in str(error)
        assert "\n" not in str(error)
        return
    (height, width), radius = (config.height, config.width), config.shape_size // 2
    kernel = shapes.kernel(config.shape)
    loaded = not_so_clevr.load_arrays(config)
    assert all(len(loaded[split]["label"]) > 0 for split in ("train", "test"))

    labels = np.concatenate([loaded[split]["label"] for split in ("train", "test")])
    rows, columns = range(radius, height - radius), range(radius, width - radius)
    fits = [i * width + j for i in rows for j in columns]
    assert sorted(labels.tolist()) == fits  # disjoint and complete
    assert config.num_examples == len(fits)

    for split in loaded.values():
        i, j = split["coordinates"].T
        assert (split["one_hot"].sum(1) == 1).all()
        assert (split["one_hot"].reshape(-1, height, width)[np.arange(len(i)), i, j] == 1).all()
        white = split["image"][..., 0] == drawing.WHITE
        assert ((split["image"][..., 0] == 0) | white).all()
        assert (white.sum((1, 2)) == kernel.sum()).all()
        for canvas, row, column in zip(white, i - radius, j - radius, strict=True):
            size = config.shape_size
            np.testing.assert_array_equal(canvas[row : row + size, column : column + size], kernel)


@given(
    PLAUSIBLE,
    PLAUSIBLE,
    st.sampled_from([field.name for field in dataclasses.fields(NotSoClevrConfig) if field.init]),
)
def test_a_name_tells_all_of_its_config(one, other, changed):
    other = one | {changed: other[changed]} if changed in other else one
    try:
        configs = NotSoClevrConfig(**one), NotSoClevrConfig(**other)
    except ValueError:
        return
    for config in configs:
        assert len(config.name) <= 255  # It is the name of a folder.
        assert dataclasses.asdict(NotSoClevrConfig.from_name(config.name)) == dataclasses.asdict(
            config
        )
    same = dataclasses.asdict(configs[0]) == dataclasses.asdict(configs[1])
    assert (configs[0].name == configs[1].name) == same


def test_only_the_default_seed_is_not_in_the_name():
    names = [NotSoClevrConfig(seed=seed).name for seed in range(3)]
    assert names == ["uniform", "uniform_seed1", "uniform_seed2"]


def test_a_split_can_be_replaced_by_another():
    for split in splits.SPLITS:
        assert (
            dataclasses.replace(NotSoClevrConfig(canvas_size=32), split=split).name == f"{split}_32"
        )
    with pytest.raises(ValueError, match="seed=3 has no meaning for split='quadrant'"):
        dataclasses.replace(NotSoClevrConfig(seed=3), split="quadrant")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("quadrant_64", "did you mean 'quadrant'?"),
        ("quadrant_lower_right_32", "did you mean 'quadrant_32'?"),
        ("uniform_032", "did you mean 'uniform_32'?"),
        ("uniform_seed0", "did you mean 'uniform'?"),
        ("diagonal", "Unknown config 'diagonal'; expected one of uniform, quadrant,"),
        ("", "Unknown config ''"),
        ("uniform_32_", "Unknown config 'uniform_32_'"),
        ("../uniform", "Unknown config"),
        ("quadrant_32_square8", "shape='square8' has an even size"),
        ("quadrant_9999", "canvas_size=9999 is out of range"),
        ("quadrant_64x64", "did you mean 'quadrant'?"),
        ("quadrant_48x48", "did you mean 'quadrant_48'?"),
        ("quadrant_48x", "Unknown config 'quadrant_48x'"),
        ("quadrant_0x9", "canvas_size=(0, 9): height=0 is out of range"),
        ("quadrant_48x80_disk9", "Unknown config 'quadrant_48x80_disk9'"),
        ("quadrant_disc8", "shape='disc8' has an even size"),
        ("quadrant_32_disc33", "shape_size=33 does not fit on a canvas of 32 pixels"),
        ("quadrant_cross3", "did you mean 'quadrant_disc3'?"),
        ("uniform_ring1", "did you mean 'uniform_square1'?"),
        ("uniform_bitmap3_ff80", "did you mean 'uniform_square3'?"),
        ("uniform_bitmap3_5a", "expected 4 hexadecimal digits"),
        ("uniform_bitmap3_5a81", "expected one or more white pixels, and zeros after the last"),
        ("uniform_bitmap3_0000", "expected one or more white pixels"),
        ("uniform_test20", "did you mean 'uniform'?"),
        ("uniform_test100", "test_percent=100 is out of range"),
        ("rows_test50", "test_percent=50 has no meaning for split='rows'"),
        ("checkerbord", "did you mean 'checkerboard'?"),
        ("uniform_seed1_test50", "Unknown config"),
        ("uniform_upper_left", "held_out='upper_left' has no meaning"),
        (5, "Unknown config 5"),
        (None, "Unknown config None"),
    ],
)
def test_bad_names_are_named(name, hint):
    with pytest.raises(ValueError, match="expected|leave it out") as error:
        not_so_clevr.load_arrays(name)
    assert hint in str(error.value)


@pytest.mark.parametrize("config", ["nope", "quadrant_64", 5, tfds.core.BuilderConfig(name="mine")])
def test_a_bad_config_raises_before_anything_is_written(tmp_path, config):
    with pytest.raises(ValueError, match="Unknown config"):
        tfds.builder("not_so_clevr", config=config, data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_builder_takes_any_config_by_name_or_object(tmp_path):
    config = NotSoClevrConfig(split="uniform", canvas_size=16, shape="square5", seed=3)
    assert config.name == "uniform_16_square5_seed3"
    for given_config in (config, config.name):
        builder = tfds.builder("not_so_clevr", config=given_config, data_dir=tmp_path)
        assert builder.info.full_name == "not_so_clevr/uniform_16_square5_seed3/1.0.0"
        assert builder.info.features["image"].shape == (16, 16, 1)
        assert pickle.loads(pickle.dumps(builder)).data_dir == builder.data_dir
    named = tfds.builder(
        "not_so_clevr", config=NotSoClevrConfig(split="quadrant"), data_dir=tmp_path
    )
    assert named.info.full_name == "not_so_clevr/quadrant/1.0.0"


def test_a_config_is_found_beside_the_builder_too_and_can_be_pickled():
    assert (
        not_so_clevr_dataset_builder.NotSoClevrConfig
        is not_so_clevr.NotSoClevrConfig
        is NotSoClevrConfig
    )
    config = NotSoClevrConfig(split="uniform", canvas_size=16, shape="square5", seed=3)
    assert dataclasses.asdict(pickle.loads(pickle.dumps(config))) == dataclasses.asdict(config)


def test_a_config_changed_by_hand_is_checked_again_and_gets_its_own_folder(tmp_path):
    config = NotSoClevrConfig()
    config.canvas_size = 20
    assert (
        Builder(config=config, data_dir=tmp_path).info.full_name == "not_so_clevr/uniform_20/1.0.0"
    )
    config.shape = "disc4"
    with pytest.raises(ValueError, match="shape='disc4' has an even size"):
        Builder(config=config, data_dir=tmp_path)


@pytest.mark.parametrize("name", ["split", "held_out", "device"])
@pytest.mark.parametrize("value", [np.array("quadrant"), np.array(["cpu", "gpu"]), {}])
def test_a_word_of_another_type_is_named(name, value, tmp_path):
    with pytest.raises(ValueError, match=f"{name}=.* is unknown; expected one of "):
        if name == "device":
            Builder(config="quadrant", device=value, data_dir=tmp_path)
        else:
            NotSoClevrConfig(**({"split": "quadrant"} | {name: value}))
