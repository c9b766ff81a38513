"""Large data sets on Apache Beam: the same bytes, whatever the path, the runner and the process."""

import contextlib
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import time

import apache_beam
import numpy as np
import psutil
import pytest
import subprocesses
import tensorflow as tf
import tensorflow_datasets as tfds
from subprocesses import COMMAND

import not_so_clevr
from not_so_clevr.dataset import beam
from not_so_clevr.dataset.config import BEAM_CANVAS_SIZE
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

TWO_PROCESSES = "direct_running_mode=multi_processing,direct_num_workers=2"
LARGE = f"quadrant_{BEAM_CANVAS_SIZE}_square{BEAM_CANVAS_SIZE - 3}"  # 16 examples


def generate(folder, *arguments):
    return subprocesses.in_folder(folder, "generate", *arguments, "--data-dir", folder)


def download_config(**values):
    return tfds.download.DownloadConfig(try_download_gcs=False, **values)


def files(folder: pathlib.Path, config: str) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes()
        for file in (folder / "not_so_clevr" / config / "1.0.0").iterdir()
    }


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    Builder(config="quadrant_32", data_dir=folder).download_and_prepare()
    return files(folder, "quadrant_32")


@pytest.mark.slow
def test_two_worker_processes_write_the_same_files_as_the_local_path(local, tmp_path):
    command = [
        COMMAND,
        "generate",
        "quadrant_32",
        "--data-dir",
        tmp_path,
        "--beam-pipeline-options",
        TWO_PROCESSES,
    ]
    if sys.version_info >= (3, 11):  # It shadows no installed package.
        (tmp_path / "etils.py").write_text("raise SystemError('not the installed one')")
    workers = 0  # At once; each is a child of a shell.
    with subprocess.Popen(command, env=subprocesses.environment(), cwd=tmp_path) as process:
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(process.pid).children(recursive=True)
                found = [
                    child
                    for child in children
                    if child.name() != "sh" and "sdk_worker_main" in " ".join(child.cmdline())
                ]
                workers = max(workers, len(found))
            time.sleep(0.05)
    assert process.returncode == 0
    assert workers == 2
    assert files(tmp_path, "quadrant_32") == local
    assert len(local) == 5


def test_the_default_runner_writes_the_same_array_records(tmp_path):
    for name, options in (("local", None), ("beam", beam.options("direct_num_workers=1"))):
        builder = Builder(
            config="quadrant_32", data_dir=tmp_path / name, file_format="array_record"
        )
        builder.download_and_prepare(download_config=download_config(beam_options=options))
    assert files(tmp_path / "local", "quadrant_32") == files(tmp_path / "beam", "quadrant_32")


@pytest.mark.slow
def test_the_arguments_of_the_program_are_none_of_beam(tmp_path):
    code = f"""
import sys
import tensorflow_datasets as tfds, not_so_clevr
sys.argv = ["train.py", "--runner=NoSuchRunner", "--direct_num_workers=many"]
builder = tfds.builder("not_so_clevr/{LARGE}", data_dir={str(tmp_path)!r})
builder.download_and_prepare()
print(builder.info.splits.total_num_examples)
"""
    assert subprocesses.run(code).splitlines()[-1] == "16"


def test_several_shards_hold_the_same_examples_in_the_same_order(local, tmp_path):
    builder = Builder(config="quadrant_32", data_dir=tmp_path)
    builder.download_and_prepare(
        download_config=download_config(beam_runner=beam.LOCAL_RUNNER, num_shards=3)
    )
    shards = files(tmp_path, "quadrant_32")
    for split in ("train", "test"):
        assert len(builder.info.splits[split].shard_lengths) == 3
        joined = b"".join(
            content for name, content in sorted(shards.items()) if f"-{split}." in name
        )
        assert joined == local[f"not_so_clevr-{split}.tfrecord-00000-of-00001"]


def test_features_are_written_by_name(data_dir):
    """Without that their order, and the checksums, would differ from process to process."""
    tfds.load("not_so_clevr/quadrant_32", data_dir=data_dir)
    (shard,) = (data_dir / "not_so_clevr" / "quadrant_32").rglob("*-test.*")
    for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
        positions = [
            record.index(name) for name in (b"coordinates", b"image", b"label", b"one_hot")
        ]
        assert positions == sorted(positions)


def test_beam_is_for_large_canvases_and_for_those_who_ask(tmp_path):
    for config, is_beam in (
        (LARGE, True),
        (f"quadrant_{BEAM_CANVAS_SIZE - 1}", False),
        ("quadrant_32", False),
    ):
        examples = Builder(config=config, data_dir=tmp_path)._generate_examples("train")
        assert isinstance(examples, apache_beam.PTransform) == is_beam
    seen = []
    builder = Builder(config="quadrant_32", data_dir=tmp_path)
    builder.on_progress = seen.append
    builder.download_and_prepare(download_config=download_config(beam_runner=beam.LOCAL_RUNNER))
    assert sum(seen) == 576
    assert isinstance(builder._generate_examples("train"), apache_beam.PTransform)


def test_the_local_runner_has_one_split_at_a_time_in_memory(local, tmp_path, monkeypatch):
    jobs = []

    def record(self, *arguments):
        jobs.append(sorted(found := split_generators(self, *arguments)))
        return found

    split_generators = Builder._split_generators
    monkeypatch.setattr(Builder, "_split_generators", record)
    builder = Builder(config="quadrant_32", data_dir=tmp_path)
    overwrite = tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
    for values in (
        {"beam_runner": beam.LOCAL_RUNNER},
        {"beam_options": beam.options("runner=FnApiRunner")},
    ):
        builder.download_and_prepare(
            download_config=download_config(download_mode=overwrite, **values)
        )
        assert (
            local.items() <= files(tmp_path, "quadrant_32").items()
        )  # TFDS adds one when it replaces a data set.
    assert jobs == [["train"], ["test"], ["train"], ["test"]]
    Builder(config="quadrant_32", data_dir=tmp_path / "without").download_and_prepare()
    assert jobs[4:] == [["test", "train"]]


@pytest.mark.parametrize("split", ["train", "test"])
def test_examples_that_a_runner_loses_are_missed_and_nothing_is_kept(split, tmp_path, monkeypatch):
    def lossy(draw, starts):
        return pipeline(
            lambda start: list(draw(start))[: -1 if draw.args[1] == split else None], starts
        )

    pipeline = beam.pipeline
    monkeypatch.setattr(beam, "pipeline", lossy)
    builder = Builder(config=LARGE, data_dir=tmp_path)
    counts = {"train": "11 of the 12", "test": "3 of the 4"}[split]
    with pytest.raises(
        OSError, match=f"Beam gave {counts} {split} examples of {LARGE}; nothing was kept"
    ):
        builder.download_and_prepare()
    assert os.listdir(tmp_path / "not_so_clevr" / LARGE) == [".1.0.0.lock"]
    monkeypatch.undo()
    builder.download_and_prepare()
    assert builder.info.splits.total_num_examples == 16


def test_the_mode_that_loses_examples_is_refused(tmp_path):
    options = "direct_running_mode=multi_threading,direct_num_workers=2"
    sentence = "direct_running_mode=multi_threading loses examples; use multi_processing or, for one worker, in_memory."
    builder = Builder(config="quadrant_32", data_dir=tmp_path)
    with pytest.raises(ValueError, match=sentence):
        builder.download_and_prepare(
            download_config=download_config(beam_options=beam.options(options))
        )
    process = generate(tmp_path, "quadrant_32", "--beam-pipeline-options", options)
    assert (process.returncode, process.stderr.splitlines()[-1]) == (2, f"not-so-clevr: {sentence}")
    assert not list(tmp_path.rglob("*1.0.0"))


@pytest.mark.slow
def test_two_processes_at_once_generate_a_large_data_set_once(tmp_path):
    command = [COMMAND, "generate", LARGE, "--data-dir", tmp_path]
    processes = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=subprocesses.environment(),
        )
        for _ in range(2)
    ]
    outputs = {subprocesses.finish(process) for process in processes}
    assert len(outputs) == 1
    assert f"{LARGE}/1.0.0: 12 train and 4 test examples in" in outputs.pop()

    loaded = tfds.load(f"not_so_clevr/{LARGE}", data_dir=tmp_path, batch_size=-1)
    arrays = not_so_clevr.load_arrays(LARGE)
    for split, key in itertools.product(arrays, ("image", "one_hot", "label", "coordinates")):
        order = np.argsort(loaded[split]["label"])
        np.testing.assert_array_equal(loaded[split][key].numpy()[order], arrays[split][key])


@pytest.mark.slow
def test_a_kill_ends_the_workers_and_leaves_nothing_that_is_taken_for_a_data_set(tmp_path):
    code = f"""
import os, psutil, signal
from not_so_clevr.dataset import beam
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder
import tensorflow_datasets as tfds
builder = Builder(config="quadrant_128", data_dir={str(tmp_path)!r})
def die(*_):
    print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
builder.on_progress = die
builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_options=beam.options({TWO_PROCESSES!r})))
"""
    process = subprocesses.start(code)
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    workers = list(map(int, output.splitlines()[-1].split()))
    assert len(workers) >= 2
    ends = time.monotonic() + 60
    while any(map(subprocesses.alive, workers)) and time.monotonic() < ends:
        time.sleep(0.2)
    assert not any(map(subprocesses.alive, workers))
    folder = tmp_path / "not_so_clevr" / "quadrant_128"
    assert "1.0.0" not in os.listdir(folder)
    assert any(name.startswith("incomplete.") for name in os.listdir(folder))
    tfds.load("not_so_clevr/quadrant_128", data_dir=tmp_path)
    assert set(os.listdir(folder)) == {".1.0.0.lock", "1.0.0"}


@pytest.mark.slow
def test_an_interrupt_stops_at_once_and_leaves_nothing(tmp_path):
    code = f"""
import signal
from not_so_clevr.dataset import beam
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder
import tensorflow_datasets as tfds
builder = Builder(config="quadrant_256", data_dir={str(tmp_path)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)  # It may be ignored where tests run in the background.
signals = [signal.SIGINT]  # One: a second would interrupt the cleaning up.
builder.on_progress = lambda _: signals and signal.raise_signal(signals.pop())
try:
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_runner=beam.LOCAL_RUNNER))
except KeyboardInterrupt:
    print("interrupted")
"""
    assert subprocesses.run(code).splitlines()[-1] == "interrupted"
    assert os.listdir(tmp_path / "not_so_clevr" / "quadrant_256") == [".1.0.0.lock"]


@pytest.mark.slow
def test_a_full_disk_gives_one_sentence(tmp_path):
    code = f"""
import resource, tensorflow_datasets as tfds, not_so_clevr
from not_so_clevr.dataset import beam
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder
options = beam.options({TWO_PROCESSES!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    builder = Builder(config="quadrant_32", data_dir={str(tmp_path)!r})
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_options=options))
except OSError as error:
    print([str(error)])
"""
    message = subprocesses.run(code).splitlines()[-1]
    folder = tmp_path / "not_so_clevr" / "quadrant_32"
    assert message.startswith(
        f"['Cannot write the data set to {folder / '1.0.0'}: File too large. Make room"
    )
    assert os.listdir(folder) == [".1.0.0.lock"]


def test_without_beam_a_large_data_set_is_refused_before_any_work(tmp_path):
    code = """
import sys
sys.modules["apache_beam"] = None
sys.argv = ["not-so-clevr", "generate", {arguments}]
from not_so_clevr.cli import main
main()
"""
    for arguments in (
        ["quadrant_32", LARGE],
        ["quadrant_32", "--beam-pipeline-options", "direct_num_workers=2"],
    ):
        arguments = [*arguments, "--data-dir", str(tmp_path)]
        process = subprocesses.start(code.format(arguments=str(arguments)[1:-1]))
        _, errors = process.communicate()
        assert process.returncode == 2, errors
        assert errors.splitlines()[-1].endswith(
            f"{arguments[1] if LARGE in arguments else 'quadrant_32'} is generated with Apache Beam, which is not installed; "
            "run: pip install 'not-so-clevr[beam]'"
        )
        assert "Traceback" not in errors
        assert not os.listdir(tmp_path)


def test_bad_options_give_one_sentence_and_status_2(tmp_path):
    process = generate(tmp_path, "quadrant_32", "--beam-pipeline-options", "runner=Nope")
    sentence = "Beam cannot use the options 'runner=Nope': Unexpected pipeline runner: Nope."
    subprocesses.assert_refused(process.returncode, process.stderr, sentence)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            "direct_num_workers=x",
            "Beam cannot use the options 'direct_num_workers=x': argument --direct_num_workers: invalid",
        ),
        (
            "direct_running_mode=fast",
            "Beam cannot use the options 'direct_running_mode=fast': argument --direct_running_mode:",
        ),
        (
            "direct_workers=2",
            "Unknown Beam option 'direct_workers' in 'direct_workers=2'; expected OPTION=VALUE,..., e.g.",
        ),
        ("", "Unknown Beam option '' in ''; expected OPTION=VALUE,..., e.g."),
    ],
)
def test_options_that_beam_cannot_use_are_named(options, sentence, capsys):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        beam.options(options)
    assert capsys.readouterr().err == ""


def test_options_of_other_runners_are_left_to_them():
    options = beam.options("runner=FlinkRunner,flink_master=localhost:8081,of_a_newer_flink=1")
    assert beam.with_runner(download_config(beam_options=options)).beam_runner is None
    assert beam.with_runner(download_config()).beam_runner == beam.LOCAL_RUNNER
    assert (
        beam.with_runner(download_config(beam_runner="DirectRunner")).beam_runner == "DirectRunner"
    )
