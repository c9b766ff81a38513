"""Oracles: networks that are given the solution, for comparison.

| model         | task                       | parameters | tests                              |
|---------------|----------------------------|------------|------------------------------------|
| `difference`  | classification, rendering  |         65 | how hard learning a threshold is   |
| `no_training` | classification, regression,|          0 | that the task is exact in float32  |
|               | localisation               |            |                                    |

    not-so-clevr train no_training --task classification --config quadrant

`no_training` is right on every config; in localisation on those whose shape is symmetric. It cannot
render, because a task does not say the shape.
Piekniewski's "Autopsy of a deep learning paper" (2018) asked for such a row.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import AddCoords, tile_with_coordinates

_DIFFERENCE = {
    "classification": Recipe(
        epochs=2, steps=147, batch_size=16, learning_rate=0.01, schedule="cosine"
    ),
    "rendering": Recipe(
        epochs=20, steps=2793, batch_size=16, learning_rate=0.03, schedule="cosine"
    ),
}
_ONE = Recipe(epochs=1)


def _squared_differences(inputs: Any, task: Task) -> Any:
    """Returns (target - pixel)^2 along both axes, on the [-1, 1] scale, `[B, H, W, 2]`."""
    target_pixel = tile_with_coordinates(inputs, task.height, task.width)
    return ops.square(ops.subtract(*ops.split(target_pixel, 2, axis=-1)))


@with_recipes(source="oracle", tuned=_DIFFERENCE)
def difference(task: Task) -> keras.Model:
    """Returns (target - pixel)^2, a 1x1 convolution of 16 filters (ReLU), and a logit."""
    inputs = keras.Input(task.input_shape)
    x = _squared_differences(inputs, task)
    x = layers.Dense(16, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(layers.Dense(1)(x)))


@with_recipes(
    source="oracle", tuned=dict.fromkeys(("classification", "regression", "localisation"), _ONE)
)
def no_training(task: Task) -> keras.Model:
    """Returns the solution, without a weight.

    Classification: minus the squared distance to each pixel, in pixels. Otherwise the mean of the
    coordinates, weighted by the image.
    """
    inputs = keras.Input(task.input_shape)
    if task.name == "classification":
        pixels = [-((size - 1) ** 2) / 4 for size in (task.height, task.width)]
        distances = layers.Rescaling(pixels)(_squared_differences(inputs, task))
        return keras.Model(inputs, layers.Flatten()(ops.sum(distances, axis=-1)))

    image, coordinates = ops.split(AddCoords()(inputs), [1], axis=-1)
    moments = ops.sum(ops.multiply(image, coordinates), axis=(1, 2))
    return keras.Model(inputs, ops.divide(moments, ops.sum(image, axis=(1, 2))))
