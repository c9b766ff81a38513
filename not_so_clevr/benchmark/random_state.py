"""The states of random numbers outside of a network: of Python, NumPy, PyTorch and `keras.random`.

Layers with a seed generator of their own have their state in a variable of the network.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


def get() -> dict[str, Any]:
    """Returns the states, for JSON."""
    version, words, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    states: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
    }
    if (variable := variable_of_keras()) is not None:
        states["keras"] = keras.ops.convert_to_numpy(variable).tolist()
    if keras.backend.backend() == "torch":
        import torch

        states["torch"] = torch.get_rng_state().tolist()
        states["cuda"] = [each.tolist() for each in torch.cuda.get_rng_state_all()]
    return states


def put(states: Mapping[str, Any]) -> None:
    """Sets the states to those of `get`. Raises TypeError, ValueError or KeyError for others."""
    if "keras" in states:
        from keras.src.random import seed_generator

        seed_generator.global_seed_generator().state.assign(np.asarray(states["keras"]))
    version, words, gauss = states["python"]  # After Keras, which draws its first state from it
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), *rest))
    if "torch" in states and keras.backend.backend() == "torch":
        import torch

        torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
        if len(states["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(
                [torch.tensor(each, dtype=torch.uint8) for each in states["cuda"]]
            )


def variable_of_keras() -> Any:
    """Returns the variable that `keras.random` draws from without a seed, None if it has not."""
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    return None if generator is None else generator.state
