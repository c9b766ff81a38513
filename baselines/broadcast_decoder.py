"""The spatial broadcast decoder (Watters et al. 2019, arXiv 1901.07017).

Tests whether convolutions that see the target and the pixel compute as well as 1x1 ones.

| task           | parameters | expected on `quadrant_32`                  |
|----------------|------------|--------------------------------------------|
| classification |      7,569 | every pixel right, with most seeds         |
| rendering      |      7,569 | all of train, most of test                 |

    not-so-clevr train broadcast_decoder --task classification --config quadrant

The paper has 64 filters; 16 make the network as large as `coordconv`. The recipes are a start;
`rule` is the outcome of a search (docs/board.md).
"""

from __future__ import annotations

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import tile_with_coordinates

_CONVOLUTIONS = 4  # Each takes a pixel from every border.
_TUNED = {
    "classification": Recipe(
        epochs=6, steps=735, batch_size=16, learning_rate=0.005, schedule="cosine", weight_decay=1.0
    ),
    "rendering": Recipe(epochs=6, steps=735, batch_size=16, learning_rate=0.01, schedule="cosine"),
}


@with_recipes(source="Watters et al. 2019", tuned=_TUNED)
def build(task: Task, *, filters: int = 16) -> keras.Model:
    """Returns the network: tile onto a larger canvas, add coordinates, four 3x3 convolutions.

    They are not padded and end on the canvas of the task. A 1x1 convolution follows.

    Args:
        task: classification or rendering.
        filters: of each 3x3 convolution.
    """
    margin = 2 * _CONVOLUTIONS
    inputs = keras.Input(task.input_shape)
    x = tile_with_coordinates(inputs, task.height + margin, task.width + margin)
    for _ in range(_CONVOLUTIONS):
        x = layers.Conv2D(filters, 3, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(layers.Dense(1)(x)))
