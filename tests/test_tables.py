"""Numbers and tables as text."""

import pytest

from not_so_clevr import tables


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100 %"), (0.99999, "99.9 %"), (0.9994, "99.9 %"), (0.5, "50.0 %"), (0.0, "0.0 %"), (0.0004, "0.0 %")],
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
    ("half", "scale", "text"),
    [
        (None, 1, ""),
        (0.0, 1, ""),
        (0.0123, 100, " ± 1.2"),
        (2.0, 1, " ± 2.0"),
        (12.0, 1, " ± 12"),
        (0.11, 1, " ± 0.11"),
        (4.514, 100, " ± 451"),
    ],
)
def test_half_an_interval_has_two_digits(half, scale, text):
    assert tables.plus_minus(half, scale) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [("\x1b[31mred", "\\x1b[31mred"), ("a\rb\n", "a\\rb\\n"), ("\ud800", "\\ud800"), ("<i>&|é", "&lt;i>&amp;\\|é")],
)
def test_what_strangers_wrote_does_no_harm_in_a_table(text, cell, tmp_path):
    assert tables.markdown(["a"], [[text]]).splitlines()[-1] == f"| {cell} |"
    for ending in ("md", "csv", "json"):
        tables.write(tmp_path / f"board.{ending}", [{"a": text}], lambda rows: tables.markdown(["a"], [[rows[0]["a"]]]))
