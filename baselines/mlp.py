"""Dense layers: weights of its own for every pixel.

Tests what a network without any structure does: it must fail where it was not trained.

| task           | parameters on 32x32 |
|----------------|---------------------|
| classification |             148,992 |
| regression     |             147,970 |
| rendering      |             148,992 |
| localisation   |             147,970 |
| painting       |             279,808 |
| detection      |             279,808 |

    not-so-clevr train mlp --task regression --config quadrant

A pixel that never was a target has untrained weights. The recipes are a start; `rule` is the
outcome of a search (docs/board.md).
"""

from __future__ import annotations

import math

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

_TASKS = (
    *("classification", "regression", "rendering"),
    *("localisation", "painting", "detection"),
)
_START = Recipe(epochs=60, steps=4366, schedule="cosine")


@with_recipes(
    source="Liu et al. 2018, as a control",
    tuned=dict.fromkeys(_TASKS, _START),
)
def build(task: Task, *, width: int = 128) -> keras.Model:
    """Returns two hidden layers (ReLU) of that width, for any task."""
    inputs = keras.Input(task.input_shape)
    x = layers.Flatten()(inputs)
    for _ in range(2):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.Dense(math.prod(task.output_shape))(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(x))
