"""What a run leaves on disk, to be compared with what another one left."""

import json
import os

import h5py
import numpy as np

from not_so_clevr import results


def weights(folder):
    """Every array in model.weights.h5, those of the optimizer, too."""
    arrays = {}
    with h5py.File(folder / results.WEIGHTS) as file:
        file.visititems(lambda name, node: arrays.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return arrays


def assert_same_run(one, other):
    """There are the same files, and all but the times is the same, to the last bit."""
    assert set(os.listdir(one)) == set(os.listdir(other))
    assert _without_times(one) == _without_times(other)
    for arrays, others in ((weights(one), weights(other)), (np.load(one / results.ERRORS), np.load(other / results.ERRORS))):
        assert set(arrays) == set(others)
        assert len(arrays)
        for name in arrays:
            np.testing.assert_array_equal(arrays[name], others[name], err_msg=name)


def _without_times(folder):
    run = json.loads((folder / results.FILE).read_text())
    for epoch in run["history"]:
        del epoch["seconds"]
    del run["seconds"], run["examples_per_second"]
    return run
