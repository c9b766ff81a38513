"""Runs docs/tour.ipynb from top to bottom and saves its outputs, without details of the machine.

python docs/tour.py
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import Any

import nbclient
import nbformat
import tensorflow_datasets as tfds

import not_so_clevr  # noqa: F401  Registers the data set.

NOTEBOOK = pathlib.Path(__file__).with_name("tour.ipynb")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(folder: pathlib.Path) -> Any:
    """Runs the notebook in a folder, with the data set below it, and returns it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails, with the cell and its traceback.
    """
    data = folder / "tensorflow_datasets"
    builder = tfds.builder("not_so_clevr/quadrant", data_dir=data)
    builder.download_and_prepare()  # Not in the notebook, to keep its progress bars out.

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, record_timing=False, resources=resources)
    client.execute(env=os.environ | {"TFDS_DATA_DIR": str(data)})

    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # TensorFlow describes the machine on stderr.
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(execute(pathlib.Path(folder)), NOTEBOOK)
