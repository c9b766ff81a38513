import csv
import errno
import json
import os
import pathlib
import re
import signal
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import run_files
import typer
from PIL import Image
from subprocesses import assert_refused, command, in_process
from tensorflow_datasets.core import constants

import not_so_clevr
from not_so_clevr import benchmark
from not_so_clevr.benchmark import run_folder
from not_so_clevr.checks import UserError
from not_so_clevr.cli import data, options, terminal
from not_so_clevr.dataset import picture
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder
from not_so_clevr.dataset.splits import SPLITS

FILE = pathlib.Path(__file__).parents[1] / "baselines" / "results.jsonl"


@pytest.fixture
def run(monkeypatch, capsys):
    """Returns a function that runs the command in this process."""
    return lambda *arguments: in_process(arguments, monkeypatch, capsys)


def test_version(run):
    assert run("--version").stdout == f"not-so-clevr {not_so_clevr.__version__}\n"


@pytest.mark.parametrize(
    ("backend", "sentence"),
    [
        ("pytorch", "KERAS_BACKEND=pytorch is no backend that trains (did you mean 'torch'?); "),
        ("numpy", "KERAS_BACKEND=numpy is no backend that trains; expected tensorflow, jax or"),
        ("torch", "KERAS_BACKEND=torch needs the package torch; run: pip install torch"),
    ],
)
def test_a_backend_that_cannot_be_used_is_named(run, monkeypatch, backend, sentence):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("list")
    assert_refused(result.returncode, result.stderr, sentence)


def test_help_lists_the_commands(run):
    output = run("--help").stdout
    for name in (
        "generate",
        "export",
        "train",
        "reproduce",
        "sweep",
        "list",
        "leaderboard",
        "report",
        "show",
    ):
        assert re.search(rf"^\W*{name} +[A-Z]", output, re.MULTILINE), name


def test_generate_writes_each_config_once_and_says_where(tmp_path, run):
    expected = [
        f"not_so_clevr/{name}/1.0.0: {counts} examples in {tmp_path}/not_so_clevr/{name}/1.0.0"
        for name, counts in (
            ("quadrant_32", "432 train and 144 test"),
            ("uniform_20_square3", "259 train and 65 test"),
        )
    ]
    arguments = ["generate", "quadrant_32", "uniform_20_square3", "--data-dir", tmp_path]
    assert run(*arguments).stdout.splitlines() == expected
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*/1.0.0/*")}
    assert len(written) == 2 * 5
    assert run(*arguments).stdout.splitlines() == expected
    assert written == {file: file.stat().st_mtime_ns for file in written}


def test_an_interrupt_says_so(tmp_path, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Builder, "download_and_prepare", interrupted)
    with pytest.raises(typer.Exit) as error:
        data.generate(["quadrant_32"], data_dir=tmp_path)
    assert error.value.exit_code == 130
    sentence = (
        "not-so-clevr: quadrant_32 was interrupted and nothing was kept; "
        "run the same command to start again."
    )
    assert capsys.readouterr().err.splitlines()[-1] == sentence


@pytest.fixture
def signals():
    """None is ignored, as in a process in the background; they are as they were afterwards."""
    usual = {signal.SIGINT: signal.default_int_handler}
    usual |= dict.fromkeys((signal.SIGTERM, signal.SIGHUP), signal.SIG_DFL)
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_the_command_leaves_nothing(name, tmp_path, run, monkeypatch, signals):
    class Picture:
        def savefig(self, file, **_):
            file.touch()
            os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(picture, "figure", lambda _: Picture())
    result = run("show", "quadrant", "--output", tmp_path / "a.png")
    assert result.returncode == 128 + getattr(signal, name)
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_ends_the_command_says_how_to_go_on(tmp_path, run, monkeypatch, signals):
    killed = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
    monkeypatch.setattr(Builder, "download_and_prepare", killed)
    result = run("generate", "quadrant_32", "--data-dir", tmp_path)
    assert result.returncode == 128 + signal.SIGTERM
    assert result.stderr.endswith("run the same command to start again.\n")


def test_a_signal_that_is_ignored_stays_so(tmp_path, run, monkeypatch, signals):
    """As after nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(data, "as_config", lambda _: os.kill(os.getpid(), signal.SIGHUP))
    monkeypatch.setattr(picture, "figure", lambda _: exec("raise OSError('it went on')"))
    result = run("show", "quadrant", "--output", tmp_path / "a.png")
    assert result.stderr == "not-so-clevr: it went on\n"


def test_generate_takes_its_folder_from_the_environment_as_tfds_does(tmp_path):
    generated = command("generate", "uniform_12_square3", TFDS_DATA_DIR=tmp_path)
    assert str(tmp_path) in generated.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["generate", "quadrant_32", "nope"],
            "Unknown config 'nope'; expected one of uniform, quadrant,",
        ),
        (
            ["generate", "quadrant_32", "--device", "tpu"],
            "device='tpu' is unknown; expected one of auto, cpu, gpu.",
        ),
        (
            ["generate", "quadrant_32", "--device", "gpu"],
            "device='gpu' needs a GPU, and neither Keras'",
        ),
        (
            ["generate", "quadrant_32_square8"],
            "shape='square8' has an even size; expected an odd one",
        ),
        (
            ["generate", "quadrant_32", "--data-dir", "/dev/null/below"],
            "Cannot write the data set to /dev/null/below/",
        ),
        (["export", "quadrnt", "-o", "a"], "Unknown config 'quadrnt' (did you mean 'quadrant'?)"),
        (["export", "quadrant_16", "-o", "/dev/null"], "/dev/null already exists; give the name"),
        (
            ["export", "quadrant_16", "-o", "/dev/null/below"],
            "Cannot write /dev/null/below: Not a directory.",
        ),
        (
            ["show", "quadrant_9000"],
            "canvas_size=9000 is out of range; expected an integer from 1 to 4096.",
        ),
        (
            ["show", "quadrant"],
            "There is no display to open a window on; write a file instead: --output quadrant.png",
        ),
        (
            ["show", "quadrant", "--output", "/dev/null/below/a.png"],
            "Cannot write into /dev/null/below: /dev/null is no",
        ),
        (
            ["show", "quadrant", "--output", "a.txt"],
            "a.txt has no known format; expected a name that",
        ),
        (["show", "quadrant", "--output", "a"], "a has no known format; expected a name that"),
    ],
)
def test_bad_input_gives_one_sentence_and_status_2(arguments, sentence, tmp_path, run, monkeypatch):
    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path))
    result = run(*arguments)
    assert_refused(result.returncode, result.stderr, sentence)
    assert not list(tmp_path.iterdir())


def unboxed(text: str) -> str:
    """Returns what stands in a box, in one line."""
    return " ".join(text.replace("│", " ").split())


def test_a_home_that_nobody_has_is_a_sentence_and_no_traceback(run):
    result = run("generate", "quadrant", "--data-dir=~nobody-has-it/x")
    assert result.returncode == 2
    assert "Invalid value for '--data-dir': ~nobody-has-it/x: there is no such user;" in unboxed(
        result.stderr
    )
    assert "Traceback" not in result.stderr


def test_a_remote_folder_is_left_to_tfds_or_refused(run):
    assert options.path_of_data("gs://bucket/data") == "gs://bucket/data"
    result = run("leaderboard", "gs://bucket/runs")
    assert result.returncode == 2
    assert "gs://bucket/runs is remote; expected a path on this machine." in unboxed(result.stderr)
    with pytest.raises(
        ValueError, match=r"^gs://bucket/runs is remote; expected a path on this machine\.$"
    ):
        run_folder.RunFolder("gs://bucket/runs", "id")


def test_what_a_file_says_is_told_as_it_may_be_printed(tmp_path, run):
    values = run_files.result("net").values() | {"\x1b[2Jx\ny": 1}
    (tmp_path / "result.json").write_text(json.dumps(values))
    result = run("leaderboard", tmp_path)
    assert result.returncode == 2
    assert r"(\x1b[2Jx\ny: unknown field, mistyped or of a newer not-so-clevr)" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_a_file_says_is_printed_so_whoever_reads_it(tmp_path, run):
    (tmp_path / "grid.toml").write_text('model = "conv"\ntask = "x"\nconfig = "y"\n\x1b = 1\n')
    (tmp_path / "\u202eb.toml").write_text("x")
    for name in ("grid.toml", "\u202eb.toml"):
        result = run("sweep", tmp_path / name, "--only-print")
        assert result.returncode == 2
        assert result.stderr.replace("\n", "").isprintable()


def test_options_of_beam_are_checked_though_there_is_nothing_to_generate(tmp_path, run):
    pytest.importorskip("apache_beam")
    assert run("generate", "quadrant_8_square3", "--data-dir", tmp_path).returncode == 0
    result = run(
        "generate",
        "quadrant_8_square3",
        "--data-dir",
        tmp_path,
        "--beam-pipeline-options",
        "nonsense=1",
    )
    assert result.returncode == 2
    assert "Unknown Beam option 'nonsense'" in result.stderr


def test_a_closed_stream_gets_nothing_and_fails_nothing(tmp_path, run, monkeypatch):
    """As with >&- in a shell: Python has None for it."""
    run_files.result("net").write(tmp_path)
    with monkeypatch.context() as patch:
        for name in ("stdin", "stdout"):
            patch.setattr(sys, name, None)
        result = run("leaderboard", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        result = run("leaderboard", tmp_path / "absent")
    assert (result.returncode, result.stdout) == (2, "")


@pytest.mark.parametrize("columns", ["0", "1", "30"])
def test_a_terminal_of_any_width_gets_whole_numbers(columns, tmp_path, run, monkeypatch):
    """0 is no width, but what some terminals say; a narrow one wraps lines of its own accord."""
    run_files.result("net", wrong=0.5).write(tmp_path)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result = run("leaderboard", tmp_path)
    assert re.search(r"\bnet +0 of 1 \[0, 98\] +100 % +51\.0 %", result.stdout), result.stdout


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_terminal_of_size_0_gets_the_help(name, run, monkeypatch):
    monkeypatch.setenv(name, "0")
    assert "generate" in run("--help").stdout


def test_a_full_disk_below_the_output_is_a_sentence(run, monkeypatch):
    def write(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(data, "as_config", write)
    result = run("show", "quadrant")
    assert (result.returncode, result.stderr) == (2, "not-so-clevr: No space left on device.\n")


def beside_reference(folder):
    """Two runs of the user's, one of them named as a reference result."""
    for model in ("coordconv", "net"):
        run_files.result(model, config="quadrant", wrong=0.5).write(folder / model)
    return folder


def test_the_leaderboard_shows_reference_results_beside_the_runs_and_marks_these(tmp_path, run):
    folder, csv_file = beside_reference(tmp_path / "runs"), tmp_path / "board.csv"
    shown = run("leaderboard", folder, "-o", csv_file).stdout
    board, _, published = shown.partition("Published elsewhere:")
    rows = [line.split(" | ") for line in board.splitlines() if line.startswith("| class")]
    yours = {row[2] for row in rows if "(yours)" in row[2]}
    assert yours == {"coordconv (yours)", "net (yours)"}
    assert {"coordconv", "deconv", "tiled_conv"} <= {row[2] for row in rows}
    assert {(row[0], row[1]) for row in rows} == {("| classification", "quadrant")}
    quoted = [line.split(" | ") for line in published.splitlines() if line.count(" | ") > 1][2:]
    assert {(line[1], line[3]) for line in quoted} == {("classification", "quadrant")}

    written = list(csv.DictReader(csv_file.open()))
    own = [row["model"] for row in written if row["reference"] == "False"]
    assert sorted(own) == ["coordconv", "net"]
    assert len(written) == len(rows)


def test_the_leaderboard_can_do_without_reference_results(tmp_path, run):
    shown = run("leaderboard", beside_reference(tmp_path), "--no-reference").stdout
    board = shown.partition("Published elsewhere:")[0]
    assert [line.split(" | ")[2] for line in board.splitlines()[2:-1]] == ["coordconv", "net"]


def test_the_reference_results_themselves_are_shown_once(run):
    shown = run("leaderboard", FILE, "--task", "regression", "--config", "quadrant").stdout
    labels = [line.split(" | ")[2] for line in shown.splitlines() if line.startswith("| regr")]
    assert len(set(labels)) == len(labels) > 5
    assert "(yours)" not in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "net"], {"net"}),
        (["--model", "deconv-a*", "--model", "net"], {"net (yours)", "deconv-article"}),
        (["--model", "net", "--model", "coordconv-art*"], {"net (yours)", "coordconv-article"}),
        (["--task", "c*", "--config", "quad*", "--model", "ne*"], {"net"}),
    ],
)
def test_patterns_choose_the_rows(arguments, expected, tmp_path, run):
    done = run("leaderboard", beside_reference(tmp_path), *arguments)
    board = done.stdout.partition("Published elsewhere:")[0]
    rows = [line.split(" | ")[2] for line in board.splitlines() if line.startswith("| class")]
    assert set(rows) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--task", "clasification"],
            "--task clasification matches no run (did you mean 'classification'?); "
            "expected one of classification, or a pattern with *.",
        ),
        (["--config", "uniform"], "--config uniform matches no run; expected one of quadrant,"),
        (["--model", ""], "--model '' matches no run; expected one of "),
        (
            ["--model", "coordcon"],
            "--model coordcon matches no run (did you mean 'coordconv'?); expected one of broadcast_decoder, coordconv,",
        ),
        (
            ["--model", "deconv"],
            "--model deconv is none of your models; expected one of coordconv, net, or a pattern",
        ),
    ],
)
@pytest.mark.parametrize("name", ["leaderboard", "report"])
def test_a_pattern_that_matches_nothing_is_one_sentence(name, arguments, sentence, tmp_path, run):
    output = ["-o", tmp_path / "report.html"] if name == "report" else []
    result = run(name, beside_reference(tmp_path / "runs"), *arguments, *output)
    assert_refused(result.returncode, result.stderr, sentence)
    assert not (tmp_path / "report.html").exists()


def test_a_terminal_without_the_letters_of_a_name_shows_the_rest(tmp_path):
    text = json.dumps(run_files.result("d\N{GREEK SMALL LETTER EPSILON}conv").values())
    (tmp_path / "result.json").write_text(text)
    result = command("leaderboard", tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert "| d?conv |" in result.stdout


@pytest.mark.parametrize("backend", ["svg", "pdf"])
def test_show_opens_no_window_without_a_display_whatever_the_backend(backend):
    assert command("show", "quadrant", MPLBACKEND=backend).returncode == 2


def test_show_writes_the_picture(tmp_path, run):
    picture = tmp_path / "pictures" / "quadrant.png"
    result = run("show", "quadrant", "--output", picture)
    assert result.stdout == f"The picture is in {picture}\n"
    assert Image.open(picture).size == (1800, 780)
    assert list(picture.parent.iterdir()) == [picture]


@pytest.mark.parametrize(
    "config",
    [
        "quadrant",
        "uniform_10",
        "quadrant_33_square5",
        "border_20x30_triangle5",
        "columns_16_bitmap3_5e80",
        *(f"{split}_24x18" for split in SPLITS),
    ],
)
def test_the_picture_shows_the_split_and_true_examples(config):
    arrays = not_so_clevr.load_arrays(config)
    split_map, *examples = [axes.images[0] for axes in picture.figure(config).axes if axes.images]
    colours = split_map.get_array()
    for value, split in ((1, "train"), (2, "test")):
        coordinates = arrays[split]["coordinates"]
        assert np.argwhere(colours == value).tolist() == coordinates.tolist()
        for _ in range(min(4, len(coordinates))):
            assert_is_an_example(examples.pop(0), arrays[split])
    assert not examples
    plt.close("all")


def assert_is_an_example(image, arrays):
    i, j = map(int, image.axes.get_title().strip("()").split(","))
    drawn = arrays["image"][(arrays["coordinates"] == (i, j)).all(axis=1)]
    np.testing.assert_array_equal(image.get_array()[None, ..., None], drawn)


@pytest.mark.parametrize("number", [2, 5, 6, 7])
def test_the_picture_of_several_data_sets_shows_the_split_and_an_example_of_each(number):
    configs = [as_config(f"{split}_20x24_disc5") for split in SPLITS][:number]
    shown = picture.figure(*configs).axes
    maps = [axes for axes in shown if "/" in axes.get_title()]
    examples = [axes for axes in shown if axes.get_title().startswith("(")]
    assert [axes.get_title().split("\n")[0] for axes in maps] == [each.name for each in configs]
    for config, above, below in zip(configs, maps, examples, strict=True):
        arrays = not_so_clevr.load_arrays(config)
        colours = above.images[0].get_array()
        for value, split in ((1, "train"), (2, "test")):
            found = np.argwhere(colours == value).tolist()
            assert found == arrays[split]["coordinates"].tolist()
        assert_is_an_example(below.images[0], arrays["test"])
    plt.close("all")


def test_show_draws_several_configs_in_one_picture(tmp_path, run):
    file = tmp_path / "splits.png"
    result = run("show", "rows", "border_48x80_disc9", "centre_16_bitmap3_5e80", "-o", file)
    assert result.stdout == f"The picture is in {file}\n"
    assert Image.open(file).size == (990, 675)


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(UserError, match="no config to show; expected one or more"):
        picture.figure()


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--data-dir", "foo://bar", "foo://bar is neither a local folder nor one of TFDS' (gs://,"),
        ("--data-dir", "", "The path is empty; expected a file or a folder, e.g. ."),
        ("--runs", "", "The path is empty; expected a file or a folder, e.g. ."),
        ("--data-dir", "\udcff", "'\\udcff' is not UTF-8, and TensorFlow cannot open it; rename"),
    ],
)
def test_a_path_that_cannot_be_used_is_told_before_any_work(option, value, sentence, run):
    result = run(
        "train", "coordconv", "--task", "regression", "--config", "quadrant", option, value
    )
    assert result.returncode == 2
    assert sentence in unboxed(result.stderr)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        benchmark.RunOptions(**{option[2:].replace("-", "_"): value})
    if option == "--data-dir":
        with pytest.raises(ValueError, match=re.escape(sentence)):
            Builder(config="quadrant", data_dir=value)


@pytest.mark.parametrize("path", [5, b"runs", ["runs"]])
def test_a_path_of_another_type_is_named(path):
    with pytest.raises(ValueError, match=r"; expected a path, as str or Path\.$") as error:
        benchmark.RunOptions(runs=path)
    assert str(error.value).startswith(repr(path))


def test_the_folder_of_the_environment_is_checked_and_may_begin_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "DATA_DIR", "~/data")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = f"{tmp_path}/data"
    assert Builder(config="quadrant").data_dir == f"{folder}/not_so_clevr/quadrant/1.0.0"
    assert Builder(config="quadrant", data_dir="~/data").data_dir.startswith(f"{folder}/")
    monkeypatch.setattr(constants, "DATA_DIR", "")
    with pytest.raises(ValueError, match="^Environment variable TFDS_DATA_DIR: The path is empty;"):
        Builder(config="quadrant")


def test_an_unreadable_run_is_named_also_before_another_error():
    with (
        pytest.raises(UserError, match="^first\nnot-so-clevr: second$"),
        terminal.telling(["first"]),
    ):
        raise UserError("second")
    with pytest.raises(UserError, match="^first$"), terminal.telling(["first"]):
        pass
    with terminal.telling([]):
        pass


def test_failures_name_their_runs_and_equal_ones_are_one():
    failures = {"a/seed0": "It diverged.", "a/seed1": "It fell.", "b/seed0": "It diverged."}
    with pytest.raises(UserError) as raised:
        terminal.raise_problems(["A file."], terminal.failed(failures))
    assert str(raised.value).split("\nnot-so-clevr: ") == [
        "A file.",
        "a/seed0 and 1 more failed: It diverged.",
        "a/seed1 failed: It fell.",
    ]
