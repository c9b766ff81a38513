"""Convolution with mean pooling, padded in four ways.

Islam et al. 2020, arXiv 2001.08248; Kayhan and van Gemert 2020, arXiv 2003.07064.

Tests how much of the position leaks in at the border.

| recipe     | padding                            | expected                                     |
|------------|------------------------------------|----------------------------------------------|
| `zero`     | zeros                              | knows roughly where: a few pixels off        |
| `reflect`  | the pixels inside, mirrored        | right between training centres, not beyond   |
| `valid`    | none: the canvas shrinks           | as `reflect`, but less exact                 |
| `circular` | the pixels of the opposite border  | must fail: the same answer for every image   |

    not-so-clevr train padded_conv --task regression --config quadrant --recipe circular

7,154 parameters on every canvas. The recipes are a start; `rule` is the outcome of a search
(docs/board.md).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from not_so_clevr.benchmark import Recipe, Task, with_recipes

_PADDINGS = ("zero", "circular", "reflect", "valid")
_TASKS = ("regression", "localisation")
_START = Recipe(epochs=15, steps=1036, learning_rate=3e-3, schedule="cosine")


@keras.saving.register_keras_serializable(package="not_so_clevr")
class Pad(keras.layers.Layer):
    """Pads all four borders with pixels of the canvas.

    Args:
        margin: the number of pixels, less than height and width.
        mode: "circular", the pixels of the opposite border; or "reflect", the pixels inside,
            mirrored at the outermost ones, which are not repeated.

    Input shape:
        `[B, H, W, C]`.

    Output shape:
        `[B, H + 2 margin, W + 2 margin, C]`.
    """

    def __init__(self, margin: int, mode: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin = margin
        self.mode = mode

    def call(self, inputs: Any) -> Any:
        m = self.margin
        if self.mode == "circular":
            x = ops.concatenate([inputs[:, -m:], inputs, inputs[:, :m]], axis=1)
            return ops.concatenate([x[:, :, -m:], x, x[:, :, :m]], axis=2)
        before, after = ops.flip(inputs[:, 1 : m + 1], 1), ops.flip(inputs[:, -m - 1 : -1], 1)
        x = ops.concatenate([before, inputs, after], axis=1)
        before, after = ops.flip(x[:, :, 1 : m + 1], 2), ops.flip(x[:, :, -m - 1 : -1], 2)
        return ops.concatenate([before, x, after], axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, *sizes, channels = input_shape
        return (batch, *(size and size + 2 * self.margin for size in sizes), channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"margin": self.margin, "mode": self.mode}


@with_recipes(
    source="Islam et al. 2020",
    zero=dict.fromkeys(_TASKS, _START),
    circular=dict.fromkeys(_TASKS, _START.replace({"padding": "circular"})),
    reflect=dict.fromkeys(_TASKS, _START.replace({"padding": "reflect"})),
    valid=dict.fromkeys(_TASKS, _START.replace({"padding": "valid"})),
)
def build(task: Task, *, padding: str = "zero") -> keras.Model:
    """Returns four 3x3 convolutions of 16 filters (ReLU), mean pooling, and two coordinates.

    They are dilated, the more the larger the canvas, so that every pixel can be seen from a border.

    Args:
        task: regression or localisation, on a canvas of at least 13 x 13 pixels.
        padding: "zero", "circular", "reflect" or "valid".

    Raises:
        ValueError: if the padding is unknown, or the canvas is smaller.
    """
    if padding not in _PADDINGS:
        expected = ", ".join(_PADDINGS)
        raise ValueError(f"padding={padding!r} is unknown; expected one of {expected}")
    reach = (min(task.height, task.width) - 1) // 2
    if reach < 6:
        raise ValueError(f"canvas_size={task.canvas_size} is too small; expected at least 13 x 13")

    inputs = x = keras.Input(task.input_shape)
    for dilation in [1, *(max(1, reach * part // 15) for part in (2, 4, 8))]:
        if padding in ("circular", "reflect"):
            x = Pad(dilation, padding)(x)
        x = layers.Conv2D(
            16,
            3,
            dilation_rate=dilation,
            padding="same" if padding == "zero" else "valid",
            activation="relu",
            kernel_initializer="he_normal",
        )(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2)(x))
