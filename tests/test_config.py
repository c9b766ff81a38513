import dataclasses
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st

import not_so_clevr
from not_so_clevr.dataset import drawing, not_so_clevr_dataset_builder, splits
from not_so_clevr.dataset.config import CONFIGS, NotSoClevrConfig
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

NAMES = [
    "uniform",
    "quadrant",
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
SIZE = st.one_of(st.integers(1, 24), st.integers(1, 24), st.integers(1, 24), WRONG)
PLAUSIBLE = st.fixed_dictionaries(
    {"canvas_size": st.integers(1, 24), "square_size": st.integers(0, 11).map(lambda n: 2 * n + 1)},
    optional={
        "split": st.sampled_from(splits.SPLITS),
        "held_out": st.sampled_from(splits.QUADRANTS),
        "seed": st.one_of(st.just(0), st.integers(0, 2**32 - 1)),
    },
)
ANYTHING = st.fixed_dictionaries(
    {"canvas_size": SIZE, "square_size": SIZE},
    optional={
        "split": st.one_of(st.sampled_from(splits.SPLITS), WRONG),
        "held_out": st.one_of(st.sampled_from(splits.QUADRANTS), WRONG),
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
        assert any(name in str(error) for name in named) or "(more than 20 digits)" in str(error)
        assert "expected" in str(error) or "leave it out" in str(error)
        return
    size, radius = config.canvas_size, config.square_size // 2
    arrays = not_so_clevr.load_arrays(config)
    assert all(len(arrays[split]["label"]) > 0 for split in ("train", "test"))

    labels = np.concatenate([arrays[split]["label"] for split in ("train", "test")])
    fits = [
        i * size + j for i in range(radius, size - radius) for j in range(radius, size - radius)
    ]
    assert sorted(labels.tolist()) == fits  # disjoint and complete
    assert config.num_examples == len(fits)

    for split in arrays.values():
        i, j = split["coordinates"].T
        assert (split["one_hot"].sum(1) == 1).all()
        assert (split["one_hot"].reshape(-1, size, size)[np.arange(len(i)), i, j] == 1).all()
        white = split["image"][..., 0] == drawing.WHITE
        assert ((split["image"][..., 0] == 0) | white).all()
        assert (white.sum((1, 2)) == config.square_size**2).all()
        pixel = np.arange(size)
        np.testing.assert_array_equal(
            (white * pixel[:, None]).sum((1, 2)), i * config.square_size**2
        )
        np.testing.assert_array_equal((white * pixel).sum((1, 2)), j * config.square_size**2)


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
        ("quadrant_32_square8", "square_size=8 is even"),
        ("quadrant_9999", "canvas_size=9999 is out of range"),
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
    config = NotSoClevrConfig(split="uniform", canvas_size=16, square_size=5, seed=3)
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
    config = NotSoClevrConfig(split="uniform", canvas_size=16, square_size=5, seed=3)
    assert dataclasses.asdict(pickle.loads(pickle.dumps(config))) == dataclasses.asdict(config)


def test_a_config_changed_by_hand_is_checked_again_and_gets_its_own_folder(tmp_path):
    config = NotSoClevrConfig()
    config.canvas_size = 20
    assert (
        Builder(config=config, data_dir=tmp_path).info.full_name == "not_so_clevr/uniform_20/1.0.0"
    )
    config.square_size = 4
    with pytest.raises(ValueError, match="square_size=4 is even"):
        Builder(config=config, data_dir=tmp_path)


@pytest.mark.parametrize("name", ["split", "held_out", "device"])
@pytest.mark.parametrize("value", [np.array("quadrant"), np.array(["cpu", "gpu"]), {}])
def test_a_word_of_another_type_is_named(name, value, tmp_path):
    with pytest.raises(ValueError, match=f"{name}=.* is unknown; expected one of "):
        if name == "device":
            Builder(config="quadrant", device=value, data_dir=tmp_path)
        else:
            NotSoClevrConfig(**({"split": "quadrant"} | {name: value}))
