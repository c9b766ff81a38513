"""What TFDS' users expect of any data set."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import subprocesses
import tensorflow_datasets as tfds

import not_so_clevr
from not_so_clevr.dataset import drawing
from not_so_clevr.dataset.config import CONFIGS

NAME = "not_so_clevr/quadrant_32"
KEYS = {"image", "one_hot", "label", "coordinates"}
UP_TO_64 = [config.name for config in CONFIGS if config.canvas_size <= 64]


@pytest.fixture(scope="module")
def array_record_dir(tmp_path_factory):
    """A folder with the data set in the array_record format; `data_dir` has it as tfrecord."""
    return tmp_path_factory.mktemp("array_record")


@pytest.mark.parametrize("config", UP_TO_64)
def test_arrays_equal_what_tfds_loads(config, data_dir):
    loaded = tfds.load(f"not_so_clevr/{config}", data_dir=data_dir, batch_size=-1)
    arrays = not_so_clevr.load_arrays(config)
    assert loaded.keys() == arrays.keys() == {"train", "test"}
    for split in arrays:
        order = np.argsort(loaded[split]["label"])
        assert loaded[split].keys() == arrays[split].keys() == KEYS
        for key in KEYS:
            stored = loaded[split][key].numpy()
            assert stored.dtype == arrays[split][key].dtype
            np.testing.assert_array_equal(stored[order], arrays[split][key])


def test_features_are_those_of_the_data_set_card(data_dir):
    _, info = tfds.load("not_so_clevr/quadrant", data_dir=data_dir, with_info=True)
    assert {key: (f.shape, f.np_dtype) for key, f in info.features.items()} == {
        "image": ((64, 64, 1), np.uint8),
        "one_hot": ((4096,), np.uint8),
        "label": ((), np.int64),
        "coordinates": ((2,), np.int64),
    }
    assert info.features["label"].num_classes == 4096
    assert info.supervised_keys == ("coordinates", "one_hot")
    assert str(info.version) == "1.0.0"
    assert info.release_notes.keys() == {"1.0.0"}
    assert info.splits["train"].num_examples == 2352
    assert info.splits["test"].num_examples == 784
    assert "Kim, Ricci and Serre" in info.description
    assert "1807.03247" in info.citation
    assert (
        info.config_description == "9x9 squares on 64x64 canvases, lower right quadrant held out."
    )


def test_default_config_is_uniform(data_dir):
    assert (
        tfds.builder("not_so_clevr", data_dir=data_dir).info.full_name
        == "not_so_clevr/uniform/1.0.0"
    )


def test_as_supervised_gives_coordinates_and_one_hot(data_dir):
    for coordinates, one_hot in tfds.load(
        NAME, data_dir=data_dir, split="test", as_supervised=True
    ):
        assert one_hot.numpy().argmax() == coordinates[0] * 32 + coordinates[1]


def test_slices_share_out_the_split_and_are_no_corner_of_the_canvas(data_dir):
    slices = tfds.load(NAME, data_dir=data_dir, split=["train[:10%]", "train[10%:]"], batch_size=-1)
    first, rest = (part["label"].numpy().tolist() for part in slices)
    assert len(first) == round(0.1 * 432)
    assert (
        sorted(first + rest) == not_so_clevr.load_arrays("quadrant_32")["train"]["label"].tolist()
    )
    assert np.ptp(np.array(first) // 32) > 16


def test_loading_is_the_same_always(data_dir, tmp_path):
    loads = [
        tfds.load(NAME, data_dir=folder, split="train", batch_size=-1)
        for folder in (data_dir, data_dir, tmp_path)
    ]
    for other in loads[1:]:
        for key in KEYS:
            np.testing.assert_array_equal(loads[0][key], other[key])


def test_read_config_and_shuffle_files(data_dir):
    read_config = tfds.ReadConfig(shuffle_seed=1, interleave_cycle_length=1, add_tfds_id=True)
    shuffled = tfds.load(
        NAME, data_dir=data_dir, split="train", shuffle_files=True, read_config=read_config
    )
    assert len({example["tfds_id"].numpy() for example in shuffled}) == 432


def test_decoders_can_skip_what_is_not_needed(data_dir):
    partial = tfds.decode.PartialDecoding({"coordinates": True})
    examples = tfds.load(NAME, data_dir=data_dir, split="test", decoders=partial)
    assert set(examples.element_spec) == {"coordinates"}


def test_builder_from_directory_needs_none_of_our_code(data_dir):
    folder = tfds.builder(NAME, data_dir=data_dir).data_dir
    tfds.load(NAME, data_dir=data_dir)
    code = f"""
import sys, tensorflow_datasets as tfds
for builder in (tfds.builder_from_directory({folder!r}), tfds.builder("{NAME}", data_dir={str(data_dir)!r})):
    print(len(list(builder.as_dataset(split="test"))), end=" ")
print(len(tfds.load("{NAME}", data_dir={str(data_dir)!r}, split="train")), "not_so_clevr" in sys.modules)
"""
    assert subprocesses.run(code) == "144 144 432 False"


def test_data_source_reads_array_records_without_tensorflow(array_record_dir):
    code = f"""
import sys, tensorflow_datasets as tfds, not_so_clevr
builder_kwargs = {{"file_format": "array_record"}}
source = tfds.data_source(
    "{NAME}", split="test", data_dir={str(array_record_dir)!r}, download=DOWNLOAD, builder_kwargs=builder_kwargs
)
examples = list(source)
print(len(source), sorted(source[0]), "tensorflow" in sys.modules)
assert len({{int(example["label"]) for example in examples}}) == 144
assert all(example["image"].shape == (32, 32, 1) and example["image"].sum() == 81 * 255 for example in examples)
assert all(example["one_hot"][example["label"]] == 1 == example["one_hot"].sum() for example in examples)
"""
    expected = "144 ['coordinates', 'image', 'label', 'one_hot']"
    assert subprocesses.run(code.replace("DOWNLOAD", "True")).endswith(
        f"{expected} True"
    )  # It writes with TensorFlow,
    assert (
        subprocesses.run(code.replace("DOWNLOAD", "False")) == f"{expected} False"
    )  # and reads without.


def test_as_dataframe_and_show_examples(data_dir):
    examples, info = tfds.load(NAME, data_dir=data_dir, split="train", with_info=True)
    frame = tfds.as_dataframe(examples.take(4), info)
    assert set(frame.columns) == KEYS
    assert frame._repr_html_().count("<img src=") == 4
    figure = tfds.show_examples(examples, info)
    shown = figure.axes[0].images[0]
    assert shown.get_cmap().name == "gray"
    assert {int(value) for value in np.unique(shown.get_array())} == {0, drawing.WHITE}


def test_benchmark(data_dir):
    assert (
        tfds.benchmark(
            tfds.load(NAME, data_dir=data_dir, split="test").batch(16), batch_size=16
        ).stats
        is not None
    )


@pytest.mark.slow
def test_tfds_build_on_the_command_line(tmp_path):
    tfds_command = pathlib.Path(sys.executable).with_name("tfds")
    command = [tfds_command, "build", NAME, "--imports", "not_so_clevr", "--data_dir", tmp_path]
    subprocess.run(command, check=True, capture_output=True, env=subprocesses.environment())
    assert (tmp_path / NAME / "1.0.0" / "dataset_info.json").exists()
    subprocess.run(
        [*command, "--overwrite"], check=True, capture_output=True, env=subprocesses.environment()
    )
    assert len(tfds.load(NAME, data_dir=tmp_path, split="test")) == 144


def test_mocked_data_has_as_many_examples_as_asked_for_and_writes_nothing(tmp_path):
    with tfds.testing.mock_data(num_examples=3, data_dir=tmp_path):
        assert len(list(tfds.load(NAME, split="train"))) == 3
    assert not list(tmp_path.rglob("*"))


def test_mocked_data_need_only_the_files_about_a_data_set(data_dir, tmp_path):
    tfds.load(NAME, data_dir=data_dir)
    no_shards = shutil.ignore_patterns("not_so_clevr-*")
    shutil.copytree(data_dir / NAME, tmp_path / NAME, ignore=no_shards)
    with tfds.testing.mock_data(num_examples=3, data_dir=tmp_path):
        examples, info = tfds.load(NAME, split="train", with_info=True)
    assert (len(examples), info.splits["train"].num_examples) == (3, 432)


@pytest.mark.parametrize("version", ["2.0.0", "1.1.*", "one", 3])
def test_a_version_that_does_not_exist_is_named(version, tmp_path):
    sentence = rf"not_so_clevr has no version {version!r}; expected one of 1\.0\.0\.$"
    with pytest.raises(ValueError, match=sentence):
        tfds.builder(NAME, version=version, data_dir=tmp_path)
    assert tfds.builder(NAME, version="1.*.*", data_dir=tmp_path).version == "1.0.0"
