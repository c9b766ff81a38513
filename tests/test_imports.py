import pickle

import pytest
import subprocesses

import not_so_clevr
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

HEAVY = ["tensorflow", "keras", "jax", "torch", "matplotlib", "pandas", "rich", "typer"]
CONFIG = "quadrant_8_square3"


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


def test_the_command_line_imports_neither_tfds_nor_a_framework_before_it_is_needed():
    code = """
import sys, not_so_clevr.cli
print(*{"tensorflow_datasets", "tensorflow", "keras", "matplotlib"} & set(sys.modules))
"""
    assert subprocesses.run(code) == ""


# Whichever is imported first, and from wherever: the builder is registered once, and no import
# fails.
@pytest.mark.parametrize(
    "statement",
    [
        "import not_so_clevr, tensorflow_datasets",
        "import tensorflow_datasets, not_so_clevr",
        "import not_so_clevr.dataset.not_so_clevr_dataset_builder",
        "import importlib.util, not_so_clevr; importlib.util.find_spec('tensorflow_datasets'); "
        "import tensorflow_datasets",
        "import importlib, not_so_clevr; importlib.reload(not_so_clevr); "
        "import tensorflow_datasets; importlib.reload(not_so_clevr)",
        "import sys, not_so_clevr; first = not_so_clevr; "
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('not_so_clevr')]; "
        "import not_so_clevr, tensorflow_datasets",  # Two finders
        "import importlib, not_so_clevr, tensorflow_datasets; importlib.reload(tensorflow_datasets)",
        "import pickle; pickle.loads(CONFIG); pickle.loads(BUILDER)",
        "import threading, not_so_clevr; name = 'not_so_clevr.dataset.not_so_clevr_dataset_builder'; "
        "other = threading.Thread(target=__import__, args=[name]); other.start(); "
        "import tensorflow_datasets; other.join()",
    ],
)
def test_tfds_knows_the_data_set_whatever_is_imported_first(statement, tmp_path):
    config = not_so_clevr.NotSoClevrConfig(split="quadrant", canvas_size=8, shape="square3")
    builder = Builder(config=config, data_dir=tmp_path)
    code = (
        f"CONFIG, BUILDER = {pickle.dumps(config)!r}, {pickle.dumps(builder)!r}\n{statement}\n"
        "import sys, tensorflow_datasets as tfds\n"
        f"builder = tfds.builder('not_so_clevr/{CONFIG}')\n"
        "assert type(tfds.__loader__).__module__.startswith('_frozen_importlib')\n"
        "print(builder.info.full_name, "
        "tfds.core.registered.list_imported_builders().count('not_so_clevr'))"
    )
    expected = f"not_so_clevr/{CONFIG}/1.0.0 1"
    assert subprocesses.run(code, TFDS_DATA_DIR=tmp_path).splitlines()[-1] == expected


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
