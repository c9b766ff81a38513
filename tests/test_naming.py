"""Names of runs, and settings as text."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr.results import naming

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("model", "recipe", "label"),
    [
        ("coordconv", "", "coordconv"),
        ("coordconv", "article", "coordconv-article"),
        ("my_pkg.my_module:build", "l2=0.1", "my_pkg.my_module.build-l2=0.1"),
        ("../../etc", "a b/c", "etc-a.b.c"),
        ("..", "", "unnamed"),
    ],
)
def test_a_label_is_the_name_of_one_folder(model, recipe, label):
    assert naming.label(model, recipe) == label


def test_a_label_fits_a_file_system_and_a_short_one_stays():
    widths = [128] * 60
    long = naming.label("net", naming.changed("", {"widths": widths}))
    assert long.startswith("net-widths=.128..128..128.")
    assert len(long) == 255
    assert long != naming.label("net", naming.changed("", {"widths": [*widths, 128]}))
    assert naming.label("n" * 255, "") == "n" * 255
    assert len(naming.label("n" * 256, "")) == 255


@given(st.text(min_size=100, max_size=300), st.text(max_size=300))
def test_every_label_can_be_the_name_of_a_folder(model, recipe):
    data = naming.label(model, recipe).encode()
    assert 0 < len(data) <= 255
    assert b"/" not in data


@given(VALUES)
def test_what_is_written_is_read(value):
    assert naming.read(naming.write("x", value)) == ("x", value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-3", 0.001),
        ("true", True),
        ("True", True),
        ("relu", "relu"),
        ("'1'", "1"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_setting_is_a_value_of_python_or_a_word(text, value):
    assert naming.read(f"rate={text}") == ("rate", value)


@pytest.mark.parametrize("text", ["", "rate", "=1", "a b=1", "1=1"])
def test_what_is_no_setting_is_named(text):
    given = f"--set {shlex.quote(text)}"
    with pytest.raises(
        ValueError, match=f"^{given} is not a setting; expected NAME=VALUE, e.g. epochs=10.$"
    ):
        naming.read(text)


def test_changed_settings_stand_in_the_order_of_their_names():
    assert (
        naming.changed("article", {"l2": 0.1, "batch_size": 16}) == "article-batch_size=16-l2=0.1"
    )
    assert naming.changed("", {}) == ""
    assert naming.run_id("regression", "quadrant", "net", 3) == "regression/quadrant/net/seed3"
