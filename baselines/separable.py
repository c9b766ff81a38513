"""Row logits plus column logits (SimCC: Li et al. 2022, arXiv 2107.03332).

Tests whether an output that treats rows and columns apart recombines them.

| recipe    | the rows see        | the columns see     | expected of a held-out quadrant         |
|-----------|---------------------|---------------------|-----------------------------------------|
| `aligned` | the row i alone     | the column j alone  | right: each was seen in training        |
| `mixed`   | both                | both                | part: the rows depend on the column     |

    not-so-clevr train separable --task classification --config quadrant --recipe mixed

`aligned` cannot be right on held-out rows or columns. A threshold of the sum of a row and a column
can paint a square, a disc, a cross and a triangle, but not a ring. 41,792 parameters on 32x32,
50,048 on 64x64 pixels (`aligned`). The recipes are a start; `rule` is the outcome of a search
(docs/board.md).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from not_so_clevr.benchmark import Recipe, Task, with_recipes

_TASKS = ("classification", "rendering")
_START = Recipe(epochs=60, steps=4366, learning_rate=3e-3, schedule="cosine")


@with_recipes(
    source="Li et al. 2022",
    aligned=dict.fromkeys(_TASKS, _START),
    mixed=dict.fromkeys(_TASKS, _START.replace({"mixed": True})),
)
def build(task: Task, *, mixed: bool = False) -> keras.Model:
    """Returns two networks of two hidden layers of 128 units (ReLU), and the sum of their logits.

    Args:
        task: classification or rendering.
        mixed: whether both networks see both coordinates.
    """

    def head(x: Any, units: int) -> Any:
        for _ in range(2):
            x = layers.Dense(128, activation="relu", kernel_initializer="he_normal")(x)
        return layers.Dense(units)(x)

    inputs = keras.Input(task.input_shape)
    i, j = (inputs, inputs) if mixed else ops.split(inputs, 2, axis=-1)
    rows = layers.Reshape((task.height, 1))(head(i, task.height))
    columns = layers.Reshape((1, task.width))(head(j, task.width))
    logits = layers.Add()([rows, columns])
    return keras.Model(inputs, layers.Reshape(task.output_shape)(logits))
