"""Safety: eight processes at once, `kill -9`, no room, no access, damaged files."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import tempfile

import pytest
import subprocesses
import tensorflow_datasets as tfds

from not_so_clevr import files
from not_so_clevr.benchmark import tuning
from not_so_clevr.dataset.generate import generate
from not_so_clevr.results import tables

NAME = "not_so_clevr/quadrant_32"


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def prepared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    tfds.builder(NAME, data_dir=folder, file_format=request.param).download_and_prepare()
    return folder


in_one_format = pytest.mark.parametrize("prepared", ["tfrecord"], indirect=True)


@pytest.mark.slow
def test_eight_processes_at_once_all_get_the_same(tmp_path):
    code = f"""
import hashlib, random
random.seed(0)
import tensorflow_datasets as tfds, not_so_clevr
loaded = tfds.load("{NAME}", data_dir={str(tmp_path)!r}, batch_size=-1)
digest = hashlib.sha256()
for split in ("train", "test"):
    for key in sorted(loaded[split]):
        digest.update(loaded[split][key].numpy().tobytes())
print(digest.hexdigest(), len(loaded["train"]["label"]))
"""
    processes = [subprocesses.start(code) for _ in range(8)]
    last_lines = {subprocesses.finish(process).splitlines()[-1] for process in processes}
    assert len(last_lines) == 1
    assert last_lines.pop().endswith(" 432")
    assert _files(tmp_path / NAME) == {".1.0.0.lock", "1.0.0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["first examples", "first shard written", "complete but not yet in place"]
)
def test_a_kill_leaves_nothing_that_is_taken_for_a_data_set(tmp_path, moment):
    code = f"""
import os, signal
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder
builder = Builder(config="quadrant_32", data_dir={str(tmp_path)!r})
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if {moment!r} == "first examples":
    builder.on_progress = die
elif {moment!r} == "first shard written":
    splits = iter(["train", "test"])
    builder.on_progress = lambda _: next(splits) == "test" and die()
else:
    write_to_directory = builder.info.write_to_directory
    builder.info.write_to_directory = lambda folder: (write_to_directory(folder), die())
builder.download_and_prepare()
"""
    process = subprocesses.start(code)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    left_over = _files(tmp_path / NAME)
    assert "1.0.0" not in left_over
    assert any(name.startswith("incomplete.") for name in left_over)

    assert not tfds.builder(NAME, data_dir=tmp_path).is_prepared()
    assert len(tfds.load(NAME, data_dir=tmp_path, split="test")) == 144
    assert _files(tmp_path / NAME) == {".1.0.0.lock", "1.0.0"}


def test_a_builder_made_before_another_process_generated_reads_what_that_wrote(tmp_path):
    late = tfds.builder(NAME, data_dir=tmp_path)
    tfds.load(NAME, data_dir=tmp_path)
    late.download_and_prepare()
    assert late.info.splits["test"].num_examples == 144


def test_files_without_checksums_are_read_as_by_tfds(prepared, tmp_path):
    shutil.copytree(prepared / NAME, tmp_path / NAME)
    (tmp_path / NAME / "1.0.0" / "SHA256SUMS").unlink()
    builder = tfds.builder(NAME, data_dir=tmp_path)
    assert (
        len(
            builder.as_data_source("test")
            if "array_record" in prepared.name
            else builder.as_dataset("test")
        )
        == 144
    )


def test_reading_before_generating_is_the_error_of_tfds(tmp_path):
    with pytest.raises(AssertionError, match="Please make sure to call"):
        tfds.builder(NAME, data_dir=tmp_path).as_dataset()


@pytest.mark.slow
def test_a_full_disk_gives_one_sentence_and_leaves_nothing(tmp_path):
    code = f"""
import resource, tensorflow_datasets as tfds, not_so_clevr
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    tfds.load("{NAME}", data_dir={str(tmp_path)!r})
except OSError as error:
    print(error)
"""
    message = subprocesses.run(code).splitlines()[-1]
    assert message.startswith(
        f"Cannot write the data set to {tmp_path / NAME / '1.0.0'}: File too large. Make room"
    )
    assert _files(tmp_path / NAME) == {".1.0.0.lock"}


@pytest.mark.slow
def test_a_data_set_that_cannot_be_replaced_stays(tmp_path):
    folder = tmp_path / NAME / "1.0.0"
    tfds.builder(NAME, data_dir=tmp_path).download_and_prepare()
    before = _files(folder)
    code = f"""
import os, signal, sys
import tensorflow_datasets as tfds
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder
builder = Builder(config="quadrant_32", data_dir={str(tmp_path)!r})
def fail(_):
    if sys.argv[1:] == ["killed"]:
        os.kill(os.getpid(), signal.SIGKILL)
    raise OSError(28, "No space left on device")
builder.on_progress = fail
mode = tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
try:
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(download_mode=mode))
except OSError as error:
    print(error)
"""
    message = subprocesses.run(code).splitlines()[-1]
    assert message.startswith(
        f"Cannot write the data set to {folder}: No space left on device. Make room"
    )
    assert _files(folder) == before
    killed = subprocesses.start("import sys; sys.argv = ['', 'killed']\n" + code)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert _files(folder) == before
    overwrite = tfds.download.DownloadConfig(
        download_mode=tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
    )
    tfds.builder(NAME, data_dir=tmp_path).download_and_prepare(download_config=overwrite)
    assert _files(folder) >= before
    assert _files(tmp_path / NAME) == {".1.0.0.lock", "1.0.0"}


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_swap_leaves_the_new_folder_in_place_of_the_old(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    folder, new = tmp_path / "folder", tmp_path / "new"
    for content in ("old", "newer"):
        new.mkdir()
        (new / content).touch()
        files.swap(new, folder)
        assert _files(tmp_path) == {"folder"}
        assert _files(folder) == {content}


def test_a_swap_that_was_killed_is_ended_by_the_next_writer(tmp_path):
    folder = tmp_path / "folder"
    (tmp_path / "folder.replaced").mkdir()
    (tmp_path / "folder.replaced" / "old").touch()
    with files.locked(folder):
        assert _files(folder) == {"old"}
    (tmp_path / "folder.replaced").mkdir()
    with files.locked(folder):
        assert _files(folder) == {"old"}
    assert _files(tmp_path) == {".folder.lock", "folder"}


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b'{"of_a_newer_tfds": 1}', b"\xff", None])
def test_damage_of_what_is_told_about_a_data_set_gives_one_sentence(tmp_path, damage):
    builder = tfds.builder("not_so_clevr/quadrant_8_square3", data_dir=tmp_path)
    builder.download_and_prepare()
    file = builder.data_path / "dataset_info.json"
    file.unlink() if damage is None else file.write_bytes(damage)
    with pytest.raises(
        OSError,
        match=f"{builder.data_path} is damaged .*; (if a newer .*; else )?delete the folder",
    ) as error:
        tfds.load("not_so_clevr/quadrant_8_square3", data_dir=tmp_path)
    assert len(str(error.value).splitlines()) == 1


@contextlib.contextmanager
def another_user():
    """Root may read everything."""
    if os.geteuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize(
    ("name", "check"), [("table.csv", tables.check_file), ("recipe.toml", tuning.check_file)]
)
def test_a_read_only_file_is_not_replaced(name, check):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        file = pathlib.Path(place, name)
        with another_user():
            file.touch()
            assert check(file) == file
            file.chmod(0o444)
            sentence = f"Cannot write {file}: it is read-only; give another name."
            with pytest.raises(OSError, match=re.escape(sentence)):
                check(file)


@pytest.mark.parametrize("file", ["", "dataset_info.json"])
def test_a_data_set_that_may_not_be_read_is_not_called_damaged(file):
    with (
        tempfile.TemporaryDirectory() as place
    ):  # Not below the folders of pytest, which are closed
        name = "not_so_clevr/quadrant_8_square3"
        builder = tfds.builder(name, data_dir=place)
        builder.download_and_prepare()
        for folder in (place, *map(os.fspath, pathlib.Path(builder.data_dir).parents[:2])):
            os.chmod(folder, 0o755)
        path = pathlib.Path(builder.data_dir, file)
        path.chmod(0)
        sentence = f"Cannot read the data set in {builder.data_dir}: Permission denied. Get access"
        with another_user(), pytest.raises(PermissionError, match=sentence):
            tfds.load(name, data_dir=place)
        path.chmod(0o755)


def test_a_folder_that_holds_no_data_set_is_not_to_be_deleted(tmp_path):
    folder = tmp_path / NAME / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "diary.txt").touch()
    with pytest.raises(OSError, match=f"{folder} is in the way: it holds no data set. Move it"):
        tfds.load(NAME, data_dir=tmp_path)


def test_an_error_about_something_else_is_not_taken_for_damage(tmp_path, monkeypatch):
    error = OSError("the network is down")

    def fail(_):
        raise error

    monkeypatch.setattr(tfds.core.DatasetInfo, "initialize_from_bucket", fail)
    with pytest.raises(OSError, match="the network is down$"):
        tfds.builder(NAME, data_dir=tmp_path)


@in_one_format
@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("dataset_info", '"432"', '"422"', "examples of train: 422, expected 432"),
        ("dataset_info", '"432"', '"532"', "examples of train: 532, expected 432"),
        ("dataset_info", '"144"', '"140", "4"', "split test: there is no file .*-of-00002"),
        (
            "dataset_info",
            "{DATASET}-",
            "{DATASET}7",
            "filepathTemplate: '{DATASET}7{SPLIT}.*', exp",
        ),
        ("dataset_info", '"tfrecord"', '"tfrecorf"', "fileFormat: 'tfrecorf' is unknown"),
        ("dataset_info", '"test"', '"tesu"', r"splits: \['tesu', 'train'\], expected \['test"),
        ("dataset_info", '"not_so_clevr"', '"clevr"', "name: 'clevr', expected 'not_so_clevr'"),
        ("dataset_info", '"quadrant_32"', '"quadrant"', "configName: 'quadrant', expected"),
        ("features", '"32"', '"31"', r"image.*dimensions: \['31', '32', '1'\], expected \['32'"),
        ("features", '"1024"', '"1023"', "numClasses: '1023', expected '1024'"),
        ("features", '"label"', '"lable"', r"features: \[.*'lable', .*\], expected \["),
        ("features", '"featuresDict"', '"features"', "it does not describe features: KeyError"),
        ("features", "{", "", "it does not describe features: JSONDecodeError"),
    ],
)
def test_a_value_that_the_config_contradicts_is_named(prepared, tmp_path, file, old, new, reason):
    shutil.copytree(prepared / NAME, tmp_path / NAME)
    path = tmp_path / NAME / "1.0.0" / f"{file}.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(OSError, match=rf"{path} is damaged \(.*{reason}.*\); delete") as error:
        tfds.load(NAME, data_dir=tmp_path)
    assert str(error.value).count("damaged") == 1
    assert len(str(error.value).splitlines()) == 1


def test_an_info_file_that_leads_nowhere_is_damage(tmp_path):
    name = "not_so_clevr/quadrant_8_square3"
    file = pathlib.Path(tfds.builder(name, data_dir=tmp_path).data_dir, "dataset_info.json")
    tfds.load(name, data_dir=tmp_path)
    file.unlink()
    file.symlink_to("nowhere")
    with pytest.raises(OSError, match=f"{file.parent} is damaged .*; delete the folder"):
        tfds.load(name, data_dir=tmp_path)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_a_data_set_may_be_made_with_fewer_examples(tmp_path, file_format):
    few = tfds.download.DownloadConfig(max_examples_per_split=5, try_download_gcs=False)
    builder = tfds.builder(NAME, data_dir=tmp_path, file_format=file_format)
    builder.download_and_prepare(download_config=few)
    again = tfds.builder(NAME, data_dir=tmp_path)
    assert [split.num_examples for split in again.info.splits.values()] == [5, 5]
    file = pathlib.Path(builder.data_dir, "dataset_info.json")
    file.write_text(file.read_text().replace('"5"', '"4"', 1))
    with pytest.raises(OSError, match=r"damaged \(examples of train: 4, expected 432\)"):
        tfds.builder(NAME, data_dir=tmp_path)


def test_a_program_that_is_missing_is_not_taken_for_a_folder_that_cannot_be_written(tmp_path):
    for error in (
        FileNotFoundError(2, "No such file or directory", "java"),
        ConnectionRefusedError(111, "Connection refused"),
    ):
        with pytest.raises(type(error)) as raised, files.exclusive(tmp_path / "1.0.0"):
            raise error
        assert raised.value is error
    below = PermissionError(13, "Permission denied", str(tmp_path / "incomplete.x_1.0.0"))
    sentence = "Cannot write the data set to .*: Permission denied. Make room"
    with pytest.raises(OSError, match=sentence), files.exclusive(tmp_path / "1.0.0"):
        raise below


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_gives_one_sentence(tmp_path, folder):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(
        OSError, match="Cannot write the data set to .*: Not a directory. Make room"
    ) as error:
        tfds.load(NAME, data_dir=tmp_path / folder)
    assert len(str(error.value).splitlines()) == 1
    assert (tmp_path / "file").read_text() == "kept"


@in_one_format
def test_a_read_only_folder_can_be_read(prepared, tmp_path):
    folder = shutil.copytree(prepared / NAME, tmp_path / NAME)
    (folder / ".1.0.0.lock").unlink()
    folder.chmod(0o500)
    try:
        tfds.builder(NAME, data_dir=tmp_path).download_and_prepare()
        assert ".1.0.0.lock" not in _files(
            folder
        )  # Nothing was written, so nothing is needed but to read.
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("damage", ["flip a bit", "cut", "empty", "delete"])
def test_a_damaged_shard_is_named_when_it_is_read(prepared, tmp_path, damage):
    shutil.copytree(prepared / NAME, tmp_path / NAME)
    shard = next((tmp_path / NAME / "1.0.0").glob("*-test.*"))
    content = shard.read_bytes()
    if damage == "flip a bit":
        middle = len(content) // 2
        shard.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif damage == "cut":
        shard.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        shard.write_bytes(b"")
    else:
        shard.unlink()
    builder = tfds.builder(NAME, data_dir=tmp_path)
    read = builder.as_data_source if "array_record" in prepared.name else builder.as_dataset
    with pytest.raises(OSError, match="is damaged"):
        generate([NAME.partition("/")[2]], data_dir=tmp_path)
    with pytest.raises(OSError, match="is damaged") as error:
        read(split="test")
    assert str(shard) in str(error.value)


@in_one_format
@pytest.mark.parametrize(
    "content", [b"", b"abc\n", b"\xff\xfe\n", b"0" * 64 + b"  not_so_clevr-te"]
)
def test_damaged_checksums_are_named(prepared, tmp_path, content):
    shutil.copytree(prepared / NAME, tmp_path / NAME)
    checksums = tmp_path / NAME / "1.0.0" / "SHA256SUMS"
    checksums.write_bytes(content)
    with pytest.raises(OSError, match=f"{checksums} is damaged"):
        files.verify_checksums(checksums.parent)


def test_damage_is_noticed_in_any_config(tmp_path):
    name = "not_so_clevr/quadrant_14_square5"
    tfds.load(name, data_dir=tmp_path)
    shard = next((tmp_path / name).rglob("*-test.*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(OSError, match=f"{shard} is damaged"):
        tfds.load(name, data_dir=tmp_path)
    overwrite = tfds.download.DownloadConfig(download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS)
    mended = tfds.load(
        name,
        data_dir=tmp_path,
        download_and_prepare_kwargs={"download_config": overwrite},
        split="test",
    )
    assert len(list(mended)) == 25
    assert tfds.builder(name, data_dir=tmp_path).builder_config.shape == "square5"


@in_one_format
def test_checksums_are_those_of_sha256sum(prepared):
    folder = prepared / NAME / "1.0.0"
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in lines} == {file.name for file in folder.glob("not_so_clevr-*")}
    if shutil.which("sha256sum"):
        assert os.system(f"cd {folder} && sha256sum --check --quiet SHA256SUMS") == 0


def test_replacing_keeps_the_old_file_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "new folder" / "file"
    with files.replacing(target) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert _files(target.parent) == {"file"}
    with (
        pytest.raises(OSError, match=f"Cannot write {target / 'below'}: Not a directory"),
        files.replacing(target / "below") as t,
    ):
        t.write_text("new")


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    target = tmp_path / ("x" * 251 + ".csv")
    with files.replacing(target) as temporary:
        assert temporary.suffix == ".csv"
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_only_regular_files_are_read(tmp_path):
    """A pipe would wait for a writer, and a device never end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"abc")
    assert files.read(tmp_path / "file", 3) == b"abc"
    for name, most, reason in (
        ("pipe", 9, "not a regular file"),
        ("/dev/zero", 9, "not a regular file"),
        ("file", 2, "more than 2 bytes"),
        ("", 9, "Is a directory"),
    ):
        with pytest.raises(OSError, match=reason) as raised:
            files.read(tmp_path / name, most)
        assert raised.value.filename == str(tmp_path / name)


def test_what_is_written_whole_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, pathlib.Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: done.append(("fsync", os.fstat(number).st_ino)) or fsync(number)
    )
    monkeypatch.setattr(
        pathlib.Path,
        "replace",
        lambda self, target: done.append("replace") or replace(self, target),
    )
    with files.replacing(tmp_path / "file") as temporary:
        temporary.write_text("whole")
        written = temporary.stat().st_ino
    assert done == [("fsync", written), "replace"]


def _files(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
