"""Runs the notebooks of docs/ from top to bottom and saves their outputs, without the machine's.

python docs/notebooks.py [NAME ...]     # e.g. tour; all if none is given
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import nbclient
import nbformat
import tensorflow_datasets as tfds

import not_so_clevr  # noqa: F401  Registers the data set.

FOLDER = pathlib.Path(__file__).parent
NAMES = ("tour", "coordconv")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def file(name: str) -> pathlib.Path:
    """Returns the file of a notebook."""
    return FOLDER / f"{name}.ipynb"


def execute(name: str, folder: pathlib.Path) -> Any:
    """Runs a notebook in a folder, with the data set below it, and returns it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails, with the cell and its traceback.
    """
    data = folder / "tensorflow_datasets"
    builder = tfds.builder("not_so_clevr/quadrant", data_dir=data)
    builder.download_and_prepare()  # Not in the notebook, to keep its progress bars out.

    notebook = nbformat.read(file(name), as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, record_timing=False, resources=resources)
    client.execute(env=os.environ | {"TFDS_DATA_DIR": str(data)})

    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # TensorFlow describes the machine on stderr.
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    return notebook


def main(names: Sequence[str]) -> None:
    for name in names or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(name, pathlib.Path(folder)), file(name))


if __name__ == "__main__":
    main(sys.argv[1:])
