"""Which units of a trained baseline are dead: 0 after their ReLU, for every pixel of every tenth example of train.

python dead_units.py runs/rendering/quadrant/coordconv-article/seed2

It prints how many units of each layer are dead, such as "16 of 16", as JSON.
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

dead = {}
for folder in map(pathlib.Path, sys.argv[1:]):
    result = results.Result.read(folder / results.FILE)
    task = tasks.as_task(result.task, as_config(result.config).canvas_size)
    network = registry.find(result.model).build(task, **result.settings["model"])
    network.load_weights(folder / results.WEIGHTS)
    layers = [layer for layer in network.layers if getattr(layer, "activation", None) is keras.activations.relu]
    until_there = keras.Model(network.input, [layer.output for layer in layers])
    x, _ = task.xy(not_so_clevr.load_arrays(result.config)["train"])
    alive = [np.zeros(layer.output.shape[-1], bool) for layer in layers]
    for part in np.array_split(x[::10], len(x) // 80 + 1):
        for seen, output in zip(alive, keras.tree.flatten(until_there(part)), strict=True):
            seen |= (keras.ops.convert_to_numpy(output) > 0).any(axis=tuple(range(output.ndim - 1)))
    dead[result.id] = {layer.name: f"{sum(~seen)} of {len(seen)}" for layer, seen in zip(layers, alive, strict=True)}
print(json.dumps(dead, indent=1))
