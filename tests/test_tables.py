"""Numbers and tables as text."""

import csv

import pytest

from not_so_clevr.checks import UserError
from not_so_clevr.results import tables


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.99999, "99.9 %"),
        (0.9994, "99.9 %"),
        (0.5, "50.0 %"),
        (0.0, "0.0 %"),
        (0.0004, "0.0 %"),
    ],
)
def test_only_all_is_100_percent(share, text):
    assert tables.percent(share) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("iou", 1.0, "1"),
        ("iou", 0.99998, "0.9999"),
        ("iou", 0.5, "0.5"),
        ("error", 1.0, "1 px"),
        ("distance", 3e-5, "< 0.001 px"),
        ("distance", 0.0, "0 px"),
    ],
)
def test_no_rounding_makes_a_canvas_perfect(metric, value, text):
    assert tables.amount(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "mean", "half", "text"),
    [
        ("accuracy", 0.5, None, ""),
        ("accuracy", 0.5, 0.0, ""),
        ("accuracy", 0.745, 0.0703, " [67.5, 81.5]"),
        ("accuracy", 0.5, 0.25, " [25, 75]"),
        ("within_half_pixel", 0.338, 1.42, " [0, 100]"),
        ("exact", 0.996, 0.016, " [98, 100]"),
        ("iou", 0.3553, 0.84, " [0, 1]"),
        ("iou", 0.2074, 0.097, " [0.1104, 0.3044]"),
        ("error", 21.21, 0.11, " [21.1, 21.32]"),
        ("distance", 1.0, 2.0, " [0, 3]"),
        ("accuracy", 0.9999, 0.00003, " [99.9, 99.9]"),
        ("iou", 0.99997, 0.00001, " [0.9999, 0.9999]"),
    ],
)
def test_an_interval_ends_where_values_do(metric, mean, half, text):
    assert tables.interval(metric, mean, half) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\n", "a\\rb\\n"),
        ("\ud800", "\\ud800"),
        ("<i>&|é", "&lt;i>&amp;\\|é"),
    ],
)
def test_what_strangers_wrote_does_no_harm_in_a_table(text, cell, tmp_path):
    assert tables.markdown(["a"], [[text]]).splitlines()[-1] == f"| {cell} |"
    for ending in ("md", "csv", "json"):
        tables.write(
            tmp_path / f"board.{ending}",
            [{"a": text}],
            lambda rows: tables.markdown(["a"], [[rows[0]["a"]]]),
        )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\uff1d1", "\x1b]0;x", "\u202egnp"])
def test_no_cell_of_a_csv_file_is_a_formula_or_changes_a_terminal(text, tmp_path):
    tables.write(tmp_path / "board.csv", [{"a": text, "b": -1.5}], str)
    written = (tmp_path / "board.csv").read_text()
    ((cell, number),) = [row for row in csv.reader(written.splitlines()[1:])]
    assert cell[0] not in "=+-@\uff1d"
    assert cell.endswith(
        text.encode("unicode_escape").decode() if text[0] in "\x1b\u202e" else text
    )
    assert written.replace("\n", "").isprintable()
    assert number == "-1.5"


def test_a_table_replaces_no_run(tmp_path):
    file = tmp_path / "result.json"
    file.write_text("{}")
    sentence = "result.json has the name of the result of a run; give another name."
    with pytest.raises(UserError, match=sentence):
        tables.check_file(file)
    with pytest.raises(UserError, match=sentence):
        tables.write(file, [], str)
    assert file.read_text() == "{}"


def test_a_file_that_cannot_be_written_is_told_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.md").mkdir()
    for file, sentence in (
        (
            tmp_path / "folder.md",
            r"folder.md is a folder; expected the name of a file, such as .*folder.md/table.md",
        ),
        (
            tmp_path / "file" / "a.md",
            r"Cannot write into .*file: .*file is not a folder; choose another folder.",
        ),
        (
            tmp_path / "file" / "new" / "a.md",
            r"Cannot write into .*new: .*file is not a folder; choose another folder.",
        ),
    ):
        with pytest.raises(OSError, match=sentence):
            tables.check_file(file)
    new = tmp_path / "new" / "newer" / "a.md"
    assert tables.check_file(new) == tables.check_file(str(new)) == new
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.md"]
