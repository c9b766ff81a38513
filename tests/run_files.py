"""What a run leaves on disk, to be compared with what another one left; and results that are made up."""

import json
import os

import h5py
import numpy as np

from not_so_clevr import results
from not_so_clevr.dataset.config import as_config
from not_so_clevr.results import Result

CONFIG = "quadrant_16_square3"
TASKS = {
    "classification": ("accuracy", "distance"),
    "regression": ("within_half_pixel", "error"),
    "rendering": ("exact", "iou"),
    "localisation": ("within_half_pixel", "error"),
    "painting": ("exact", "iou"),
    "detection": ("accuracy", "distance"),
}


def weights(folder):
    """Every array in model.weights.h5, those of the optimizer, too."""
    arrays = {}
    with h5py.File(folder / results.WEIGHTS) as file:
        file.visititems(
            lambda name, node: (
                arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None
            )
        )
    return arrays


def assert_same_run(one, other):
    """There are the same files, and all but the times is the same, to the last bit."""
    assert set(os.listdir(one)) == set(os.listdir(other))
    assert _without_times(one) == _without_times(other)
    for arrays, others in (
        (weights(one), weights(other)),
        (np.load(one / results.ERRORS), np.load(other / results.ERRORS)),
    ):
        assert set(arrays) == set(others)
        assert len(arrays)
        for name in arrays:
            np.testing.assert_array_equal(arrays[name], others[name], err_msg=name)


def _without_times(folder):
    run = json.loads((folder / results.FILE).read_text())
    for epoch in run["history"]:
        del epoch["seconds"], epoch["cpu_seconds"]
    del run["seconds"], run["cpu_seconds"], run["examples_per_second"]
    return run


def result(model, *, task="classification", config=CONFIG, seed=0, wrong=0.0, **changes):
    """A run that is right on train, and on test wrong for the first examples, by 3 pixels to the left."""
    right, closeness = TASKS[task]
    about = as_config(config if config.startswith("quadrant") else CONFIG)
    examples = {}
    for split, centres in about.split_centres().items():
        off = 3.0 * (np.arange(len(centres)) < round(wrong * len(centres)) * (split == "test"))
        close = 1 - off / 4 if closeness == "iou" else off
        examples[split] = {"coordinates": centres, right: 1.0 * (off == 0), closeness: close}
        if closeness != "iou":
            examples[split][results.PREDICTED] = np.float32(
                centres - np.stack([0 * off, off], axis=1)
            )
        elif split == "test":
            shown = np.arange(8)
            black = np.zeros((8, about.canvas_size, about.canvas_size), np.uint8)
            examples[split] |= {results.SHOWN: shown, results.PAINTED: black}
    metrics = {
        split: {name: float(columns[name].mean()) for name in (right, closeness)}
        for split, columns in examples.items()
    }
    final = metrics["test"][right]
    history = [
        {"epoch": k, "loss": 1 / k, "test": {right: final * k / 4}, "seconds": 1.0}
        for k in (1, 2, 3, 4)
    ]
    values = {
        "model": model,
        "recipe": "",
        "task": task,
        "config": config,
        "seed": seed,
        "metrics": metrics,
        "accuracy_metric": right,
    }
    values |= {
        "distance_metric": closeness,
        "parameters": 1234,
        "seconds": 10.0 + seed,
        "history": history,
        "examples": examples,
    }
    values |= {"settings": {"epochs": 4, "l2": 0.5}, "command": f"not-so-clevr train {model}"}
    values |= {
        "environment": {
            "device": "abacus",
            "backend": "jax",
            "commit": f"c0ffee{seed}",
            "versions": {"keras": "3.99"},
        }
    }
    return Result(**(values | changes))


def several():
    """Runs of all tasks, of models that are right and of such as are not, with one to three seeds."""
    return [
        *(result("computes", seed=seed) for seed in range(3)),
        *(result("memorises", seed=seed, wrong=share) for seed, share in enumerate((1.0, 0.5))),
        result("computes", task="regression"),
        result("paints", task="rendering", wrong=0.25),
    ]
