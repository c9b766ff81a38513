"""Counts the dead units of a trained baseline: 0 after their ReLU on every tenth training example.

python dead_units.py runs/rendering/quadrant/coordconv-article/seed2

Prints the dead units of each layer as JSON, e.g. "16 of 16".
"""

import json
import pathlib
import sys

import keras
import numpy as np

import not_so_clevr
from not_so_clevr import results
from not_so_clevr.benchmark import registry
from not_so_clevr.dataset import tasks
from not_so_clevr.dataset.config import as_config


def dead_units(network: keras.Model, x: np.ndarray) -> dict[str, str]:
    relu = keras.activations.relu
    layers = [each for each in network.layers if getattr(each, "activation", None) is relu]
    activations = keras.Model(network.input, [layer.output for layer in layers])
    alive = [np.zeros(layer.output.shape[-1], bool) for layer in layers]
    for part in np.array_split(x, len(x) // 8 + 1):
        for seen, output in zip(alive, keras.tree.flatten(activations(part)), strict=True):
            units = keras.ops.convert_to_numpy(output).reshape(-1, len(seen))
            seen |= (units > 0).any(axis=0)
    names = [layer.name for layer in layers]
    return {name: f"{sum(~seen)} of {len(seen)}" for name, seen in zip(names, alive, strict=True)}


dead = {}
for folder in map(pathlib.Path, sys.argv[1:]):
    result = results.Result.read(folder / results.FILE)
    task = tasks.as_task(result.task, as_config(result.config).canvas_size)
    network = registry.find(result.model).build(task, **result.settings["model"])
    network.load_weights(folder / results.WEIGHTS)
    x, _ = task.xy(not_so_clevr.load_arrays(result.config)["train"])
    dead[result.id] = dead_units(network, x[::10])
print(json.dumps(dead, indent=1))
