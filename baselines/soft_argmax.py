"""Soft-argmax: the mean of the coordinates of all pixels, weighted by a softmax.

| model         | source                                  | parameters | tests whether the readout |
|---------------|-----------------------------------------|------------|---------------------------|
| `soft_argmax` | Levine et al. 2016, arXiv 1504.00702    |          1 | suffices alone            |
| `dsnt`        | Nibali et al. 2018, arXiv 1801.07372    |        672 | can train convolutions    |

    not-so-clevr train soft_argmax --task regression --config quadrant

Both should be within half a pixel on all of `uniform` and `quadrant`: the coordinates are in the
readout, so nothing has to be learnt about places. The recipes are a start; `rule` is the outcome of
a search (docs/board.md).
"""

from __future__ import annotations

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import ReadCoords

_TASKS = ("regression", "localisation")


@with_recipes(
    source="Levine et al. 2016",
    tuned=dict.fromkeys(_TASKS, Recipe(epochs=3, steps=148, learning_rate=1.0, schedule="cosine")),
)
def soft_argmax(task: Task) -> keras.Model:
    """Returns the soft-argmax of the image times a weight, the inverse temperature.

    The mean over the white pixels of a symmetric shape is its centre, so localisation is as easy.
    """
    inputs = keras.Input(task.input_shape)
    x = layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs)
    return keras.Model(inputs, ReadCoords()(x))


@with_recipes(
    source="Nibali et al. 2018",
    tuned=dict.fromkeys(_TASKS, Recipe(epochs=3, steps=148, learning_rate=0.01, schedule="cosine")),
)
def dsnt(task: Task, *, head: str = "soft_argmax") -> keras.Model:
    """Returns two 3x3 convolutions of 8 filters, a 1x1 convolution, and the soft-argmax.

    The loss is that of the task, without the paper's penalty on the shape of the heat map.

    Args:
        task: regression or localisation.
        head: what reads the coordinates off the heat map: "soft_argmax"; or "dense", a fully
            connected layer, with weights of its own for every pixel, as the paper's rival.

    Raises:
        ValueError: if the head is unknown.
    """
    if head not in ("soft_argmax", "dense"):
        raise ValueError(f"head={head!r} is unknown; expected one of soft_argmax, dense")
    inputs = x = keras.Input(task.input_shape)
    for _ in range(2):
        x = layers.Conv2D(8, 3, padding="same", activation="relu", kernel_initializer="he_normal")(
            x
        )
    x = layers.Dense(1, use_bias=False)(x)  # A bias would change no softmax.
    if head == "dense":
        return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    return keras.Model(inputs, ReadCoords()(x))
