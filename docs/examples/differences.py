"""How much of the first layer of a CoordConv classifier looks at something else than differences of coordinates.

python differences.py runs/classification/quadrant_32/coordconv-*/seed*

It prints the share of each run, and which share of test is right, as JSON. A first layer that sees only i - row and
j - column gives 0, random weights give 0.5 on average.
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
    """Returns the share of the first kernel's energy that is left when i and row, j and column have opposite weights."""
    first, second = (layer.kernel for layer in network.layers if hasattr(layer, "kernel") and layer.kernel.shape[-1] == 32)
    i, j, row, column = np.squeeze(first) * np.linalg.norm(np.squeeze(second), axis=1)  # Each filter as the next layer sees it
    return float(np.sum((i + row) ** 2 + (j + column) ** 2) / 2 / np.sum([i**2, j**2, row**2, column**2]))


shares = {}
for folder in map(pathlib.Path, sys.argv[1:]):
    result = results.Result.read(folder / results.FILE)
    network = registry.find("coordconv").build(tasks.Classification(as_config(result.config).canvas_size))
    network.load_weights(folder / results.WEIGHTS)
    shares[result.id] = {"share": round(share(network), 6), "accuracy": result.metrics["test"]["accuracy"]}
print(json.dumps(shares, indent=1))
