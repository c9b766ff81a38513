"""CoordGate (Howard et al. 2024, arXiv 2401.04680): coordinates that multiply the features.

Tests whether gates do what channels of coordinates do.

| task           | parameters |
|----------------|------------|
| classification |      4,481 |
| regression     |        272 |
| rendering      |      4,481 |
| localisation   |        272 |

    not-so-clevr train coordgate --task regression --config quadrant

A gated sum over the canvas can hold the exact coordinates of a pixel (a test sets these weights by
hand). Trained by this recipe it fits train and gets about half of `quadrant_32` in regression. The
recipes are a start; `rule` is the outcome of a search (docs/board.md).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import coordinate_channels, tile

_RECIPES = {
    "classification": Recipe(
        epochs=20, steps=2793, batch_size=16, learning_rate=5e-3, schedule="cosine"
    ),
    "regression": Recipe(epochs=20, steps=1406, learning_rate=0.01, schedule="cosine"),
    "rendering": Recipe(
        epochs=20, steps=2793, batch_size=16, learning_rate=5e-3, schedule="cosine"
    ),
    "localisation": Recipe(epochs=20, steps=1406, learning_rate=0.01, schedule="cosine"),
}


@keras.saving.register_keras_serializable(package="not_so_clevr")
class CoordGate(keras.layers.Layer):
    """Multiplies each pixel by a gate: a network of one hidden layer on its coordinates.

    Args:
        hidden: the number of hidden units (ReLU). The gates, one per channel, are a ReLU, too.

    Input shape:
        `[B, H, W, C]`. The output has the same.
    """

    def __init__(self, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = hidden

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        relu = {"activation": "relu", "kernel_initializer": "he_normal"}
        self.encoder = layers.Dense(self.hidden, name="encoder", **relu)
        self.encoder.build((*input_shape[:-1], 2))
        self.gate = layers.Dense(input_shape[-1], name="gate", **relu)
        self.gate.build((*input_shape[:-1], self.hidden))

    def call(self, inputs: Any) -> Any:
        coordinates = coordinate_channels(inputs, False, "channels_last")
        return inputs * self.gate(self.encoder(coordinates))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"hidden": self.hidden}


@with_recipes(source="Howard et al. 2024", tuned=_RECIPES)
def build(task: Task) -> keras.Model:
    """Returns the network for a task.

    Regression and localisation: a 3x3 convolution of 8 filters, a gate, a 1x1 convolution to 2, and
    the sum over the canvas. Otherwise the coordinates at each pixel, twice a 1x1 convolution of 32
    filters with a gate and a 1x1 convolution (ReLU) behind it, and a logit.
    """
    inputs = keras.Input(task.input_shape)
    if task.target == "coordinates":
        x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
        x = layers.Dense(2, use_bias=False)(CoordGate(16)(x))
        return keras.Model(inputs, ops.sum(x, axis=(1, 2)))

    x = tile(inputs, task.height, task.width)
    for _ in range(2):
        x = CoordGate(16)(layers.Dense(32, kernel_initializer="he_normal")(x))
        x = layers.Dense(32, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(layers.Dense(1)(x)))
