"""What `not-so-clevr export` writes, read by pyarrow, by Hugging Face's datasets and by mlcroissant."""

import hashlib
import io
import json
import resource
import stat
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import subprocesses
from PIL import Image

import not_so_clevr
from not_so_clevr import files
from not_so_clevr.checks import UserError
from not_so_clevr.dataset import export as exporting
from not_so_clevr.dataset.export import export

NAME = "quadrant_16_square3"
FILES = ["README.md", "croissant.json", "test.parquet", "train.parquet"]


def read(folder, split):
    """Returns the columns of a split as arrays, read without any code of ours."""
    columns = pq.read_table(folder / f"{split}.parquet").to_pydict()
    for name in ("image", "one_hot"):
        assert {image["path"] for image in columns[name]} == {None}
        pngs = [Image.open(io.BytesIO(image["bytes"])) for image in columns[name]]
        assert {(png.format, png.mode) for png in pngs} == {("PNG", "L")}
        columns[name] = pngs
    return {name: np.array([*map(np.asarray, values)]) for name, values in columns.items()}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name].reshape(values.shape), values)


@pytest.mark.parametrize("name", [NAME, "uniform_uber_12_square3", "uniform_2_square1", "quadrant"])
def test_an_export_holds_the_examples_of_load_arrays_in_their_order(name, tmp_path):
    folder = export(name, tmp_path / "new folder" / "export")
    assert sorted(file.name for file in folder.iterdir()) == FILES
    for split, expected in not_so_clevr.load_arrays(name).items():
        assert_same(read(folder, split), expected)


@pytest.mark.parametrize(("rows", "drawn_bytes"), [(7, 1), (5, 3 * 16**2), (100, 10**9)])
def test_examples_are_drawn_and_written_in_parts(rows, drawn_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_ROWS", rows)
    monkeypatch.setattr(exporting, "_DRAWN_BYTES", drawn_bytes)
    seen = []
    folder = export(NAME, tmp_path / "a", on_progress=lambda *each: seen.append(each))
    for split, expected in not_so_clevr.load_arrays(NAME).items():
        assert_same(read(folder, split), expected)
        groups = pq.ParquetFile(folder / f"{split}.parquet").metadata.num_row_groups
        assert groups == -(-len(expected["label"]) // rows)
    assert seen[0] == (NAME, 0, 196)
    assert seen[-1] == (NAME, 196, 196)
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


def test_the_bytes_are_the_same_every_time(tmp_path):
    first, second = (export(NAME, tmp_path / each) for each in "ab")
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_schema_is_that_of_hugging_face(tmp_path):
    schema = pq.read_schema(export(NAME, tmp_path / "a") / "train.parquet")
    found = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert found["image"] == found["one_hot"] == {"_type": "Image"}
    assert found["label"] == {"dtype": "int64", "_type": "Value"}
    assert found["coordinates"]["feature"] == {"dtype": "int64", "_type": "Value"}
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"


def test_the_card_names_the_file_of_each_split(tmp_path):
    card = (export(NAME, tmp_path / "a") / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "size_categories:\n- n<1K\n" in card
    assert f"- config_name: {NAME}\n" in card
    assert "  - split: train\n    path: train.parquet\n  - split: test\n" in card
    assert "| `train` | 147 |\n| `test` | 49 |\n" in card
    assert "@inproceedings{liu2018coordconv" in card


def test_croissant_describes_the_files(tmp_path):
    folder = export(NAME, tmp_path / "a")
    described = json.loads((folder / "croissant.json").read_text())
    assert described["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert {each["contentUrl"] for each in described["distribution"]} == {
        "train.parquet",
        "test.parquet",
    }
    for each in described["distribution"]:
        content = (folder / each["contentUrl"]).read_bytes()
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
        assert each["contentSize"] == f"{len(content)} B"


def test_what_exists_is_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    for path in before:
        with pytest.raises(
            UserError, match=f"^{path} already exists; give the name of a new folder.$"
        ):
            export(NAME, path)
    assert sorted(tmp_path.iterdir()) == before
    assert not list((tmp_path / "empty").iterdir())


def test_what_appears_meanwhile_is_left_alone(tmp_path):
    target = tmp_path / "a"
    with (
        pytest.raises(OSError, match=f"^Cannot write {target}: Directory not empty.$"),
        files.new_folder(target) as new,
    ):
        (new / "ours").touch()
        target.mkdir()
        (target / "theirs").touch()
    assert [*tmp_path.rglob("*")] == [target, target / "theirs"]


def test_a_new_folder_may_be_read_by_others_and_have_a_long_name(tmp_path):
    (tmp_path / "usual").mkdir()
    folder = export(NAME, tmp_path / ("x" * 255))
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_an_interrupt_leaves_nothing(tmp_path):
    def interrupt(name, done, total):
        if done:
            raise KeyboardInterrupt

    sentence = f"^{NAME} was interrupted and nothing was kept; run the same command to start again"
    with pytest.raises(KeyboardInterrupt, match=sentence):
        export(NAME, tmp_path / "a", on_progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_gives_one_sentence_and_leaves_nothing(tmp_path):
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match=f"^Cannot write {tmp_path / 'a'}: File too large.$"):
            export(NAME, tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_the_command_says_where_the_data_set_is(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "a"
    done = subprocesses.in_process(["export", NAME, "-o", folder], monkeypatch, capsys)
    assert (done.returncode, done.stdout) == (0, f"The data set is in {folder}\n")


def test_an_export_needs_neither_tensorflow_nor_tfds(tmp_path):
    code = f"""
import sys
from not_so_clevr.dataset.export import export
export("{NAME}", {str(tmp_path / "a")!r})
print(*{{"tensorflow", "tensorflow_datasets", "keras"}} & set(sys.modules))
"""
    assert subprocesses.run(code) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quadrant", NAME])
def test_datasets_reads_an_export_without_a_network(name, tmp_path):
    code = f"""
import socket
def refuse(*_):
    raise OSError("There is no network")
socket.socket.connect = refuse
import datasets, numpy as np, not_so_clevr
loaded = datasets.load_dataset({str(export(name, tmp_path / "a"))!r})
arrays = not_so_clevr.load_arrays("{name}")
assert list(loaded) == list(arrays)
for split, expected in arrays.items():
    found = loaded[split].with_format("numpy")[:]
    assert list(found) == list(expected)
    for key, values in expected.items():
        assert found[key].dtype == values.dtype
        np.testing.assert_array_equal(found[key].reshape(values.shape), values)
print(loaded["train"].config_name, loaded["test"][0]["image"].size[0])
"""
    size = not_so_clevr.load_arrays(name)["test"]["image"].shape[1]
    assert subprocesses.run(code, HF_HOME=tmp_path / "cache") == f"{name} {size}"


@pytest.mark.slow
def test_mlcroissant_finds_nothing_to_warn_of(tmp_path):
    file = export(NAME, tmp_path / "a") / "croissant.json"
    command = [sys.executable, "-m", "mlcroissant.scripts.validate", "--jsonld", file]

    def validate():
        return subprocess.run(command, capture_output=True, text=True)

    done = validate()
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line.partition("] ")[2]) == (0, "Done."), done.stderr
    file.write_text(file.read_text().replace('"license"', '"licence"'))
    assert "license" in validate().stderr  # It would have warned.


@pytest.mark.slow
def test_mlcroissant_reads_the_examples(tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    described = mlcroissant.Dataset(export(NAME, tmp_path / "a") / "croissant.json")
    for split, expected in not_so_clevr.load_arrays(NAME).items():
        records = [*described.records(split)]
        found = {name: np.array([each[f"{split}/{name}"] for each in records]) for name in expected}
        assert_same(found, expected)
