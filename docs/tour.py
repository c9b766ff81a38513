"""Runs docs/tour.ipynb from top to bottom and keeps what its cells show, but nothing of the machine.

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
    """Returns the notebook as it is once its cells have run in a folder, with the data set below it.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails; it shows the cell and its traceback.
    """
    data = folder / "tensorflow_datasets"
    tfds.builder("not_so_clevr/quadrant", data_dir=data).download_and_prepare()  # Here, for its bars are no part of the tour.
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, record_timing=False, resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | {"TFDS_DATA_DIR": str(data)})
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]  # TensorFlow on this machine
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(execute(pathlib.Path(folder)), NOTEBOOK)
