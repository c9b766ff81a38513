"""Measures how much of a CoordConv classifier's first layer is not a difference of coordinates.

python differences.py runs/classification/quadrant_32/coordconv-*/seed*

Prints this share and the test accuracy of each run as JSON. The share is 0 if the layer sees only
i - row and j - column, and 0.5 on average for random weights.
"""

import json
import pathlib
import sys

import keras
import numpy as np

from not_so_clevr import results
from not_so_clevr.benchmark import registry
from not_so_clevr.dataset import tasks
from not_so_clevr.dataset.config import as_config


def share(network: keras.Model) -> float:
    """Returns the share of the first kernel's energy in i + row and j + column."""
    kernels = [layer.kernel for layer in network.layers if hasattr(layer, "kernel")]
    first, second = (np.squeeze(each) for each in kernels if each.shape[-1] == 32)
    i, j, row, column = first * np.linalg.norm(second, axis=1)  # As the next layer sees the filters
    energy = np.sum([i**2, j**2, row**2, column**2])
    return float(np.sum((i + row) ** 2 + (j + column) ** 2) / 2 / energy)


shares = {}
for folder in map(pathlib.Path, sys.argv[1:]):
    result = results.Result.read(folder / results.FILE)
    task = tasks.Classification(as_config(result.config).canvas_size)
    network = registry.find("coordconv").build(task)
    network.load_weights(folder / results.WEIGHTS)
    accuracy = result.metrics["test"]["accuracy"]
    shares[result.id] = {"share": round(share(network), 6), "accuracy": accuracy}
print(json.dumps(shares, indent=1))
