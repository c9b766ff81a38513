"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597), with and without coordinates.

Tests whether coordinates at the input help a network that has many other ways to fit.

| recipe        | first convolution | without it the position can only come from         |
|---------------|-------------------|----------------------------------------------------|
| `coordinates` | CoordConv         |                                                    |
| `plain`       | ordinary          | zero padding, at the border of each scale          |

    not-so-clevr train unet --task rendering --config quadrant --recipe plain

The input is the image, or the pair of coordinates at each pixel. 120,753 parameters, 144 more with
coordinates, and 72 less for an image. The recipes are a start; `rule` is the outcome of a search
(docs/board.md).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import CoordConv2D, tile

_TASKS = ("classification", "rendering", "painting", "detection")
_START = Recipe(epochs=20, steps=2793, batch_size=16, learning_rate=3e-3, schedule="cosine")
_HALVINGS = 3


@with_recipes(
    source="Ronneberger et al. 2015",
    coordinates=dict.fromkeys(_TASKS, _START),
    plain=dict.fromkeys(_TASKS, _START.replace({"coordinates": False})),
)
def build(task: Task, *, coordinates: bool = True, filters: int = 8) -> keras.Model:
    """Returns the network: two 3x3 convolutions per scale, halved and doubled three times.

    Args:
        task: one that answers with pixels, on a canvas whose height and width are multiples of 8.
        coordinates: whether the first convolution is a CoordConv.
        filters: F; the scales have F, 2F, 4F and 8F filters, where the paper has F = 64 and one
            scale more.

    Raises:
        ValueError: if the canvas has another size.
    """
    if task.height % 2**_HALVINGS or task.width % 2**_HALVINGS:
        wrong = f"canvas_size={task.canvas_size} cannot be halved {_HALVINGS} times"
        raise ValueError(f"{wrong}; expected multiples of {2**_HALVINGS}")

    def twice(x: Any, filters: int, first: type[layers.Layer] = layers.Conv2D) -> Any:
        for convolution in (first, layers.Conv2D):
            x = convolution(
                filters, 3, padding="same", activation="relu", kernel_initializer="he_normal"
            )(x)
        return x

    inputs = keras.Input(task.input_shape)
    is_image = len(task.input_shape) == 3
    x = inputs if is_image else tile(inputs, task.height, task.width)
    skipped = []
    for scale in range(_HALVINGS):
        first = CoordConv2D if coordinates and scale == 0 else layers.Conv2D
        x = twice(x, filters * 2**scale, first)
        skipped.append(x)
        x = layers.MaxPooling2D()(x)
    x = twice(x, filters * 2**_HALVINGS)
    for skip in reversed(skipped):
        up = layers.Conv2DTranspose(skip.shape[-1], 2, 2, kernel_initializer="he_normal")
        x = twice(layers.Concatenate()([skip, up(x)]), skip.shape[-1])
    return keras.Model(inputs, layers.Reshape(task.output_shape)(layers.Dense(1)(x)))
