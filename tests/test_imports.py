import pytest
import subprocesses

HEAVY = ["tensorflow", "keras", "jax", "torch", "matplotlib", "pandas", "rich", "typer"]


def heavy_modules_after(statement: str, **variables: object) -> str:
    return subprocesses.run(
        f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])",
        **variables,
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import not_so_clevr",
        "import not_so_clevr; not_so_clevr.load_arrays('quadrant')",
        "import tensorflow_datasets as tfds, not_so_clevr; tfds.builder('not_so_clevr/quadrant').info",
        "import not_so_clevr.results",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement, tmp_path):
    assert (
        heavy_modules_after(statement, TFDS_DATA_DIR=tmp_path) == ""
    )  # Empty, or TFDS would find the builder there.


def test_the_command_line_imports_no_framework_before_it_is_needed():
    assert not {"tensorflow", "keras", "matplotlib"} & set(
        heavy_modules_after("import not_so_clevr.cli").split()
    )


def test_the_picture_needs_no_tensorflow():
    modules = heavy_modules_after(
        "from not_so_clevr.dataset import picture; picture.figure('quadrant')"
    ).split()
    assert "matplotlib" in modules
    assert not {"tensorflow", "keras"} & set(modules)


@pytest.mark.slow
def test_batches_for_another_backend_need_no_tensorflow():
    code = "import not_so_clevr; not_so_clevr.stream_batches('quadrant', task='rendering')[0]"
    modules = heavy_modules_after(f"import os; os.environ['KERAS_BACKEND'] = 'jax'; {code}").split()
    assert "jax" in modules
    assert "tensorflow" not in modules


def test_a_heavy_import_would_be_seen():
    assert "keras" in heavy_modules_after("import not_so_clevr, keras").split()
