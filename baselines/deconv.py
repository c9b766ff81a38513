"""Deconvolution and its fair rivals: from coordinates to pixels by doubling the canvas.

Source: Liu et al. 2018, arXiv 1807.03247, sections 3 and 4; code: uber-research/CoordConv.

| model                | layers                             | expected                                                |
|----------------------|------------------------------------|---------------------------------------------------------|
| `deconv`             | transposed convolutions, stride 2  | `uniform`: some of test, not all; `quadrant`: about 0 % |
| `upsample_conv`      | upsample by 2, then convolution    | as `deconv`                                             |
| `upsample_coordconv` | upsample by 2, then CoordConv      | better: only the layer differs from `upsample_conv`     |

    not-so-clevr train deconv --task classification --config uniform --recipe article

46,465 (size 2, multiplier 1) to 1,632,001 (size 4, multiplier 3) trainable parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import CoordConv2D

_TUNED = {
    "classification": Recipe(epochs=60, batch_size=16, learning_rate=0.005, schedule="cosine"),
    "rendering": Recipe(epochs=60, batch_size=16, learning_rate=0.005, schedule="cosine"),
}
_FAIR = {task: recipe.replace({"epochs": 30}) for task, recipe in _TUNED.items()}
_AS_ARTICLE = {"origin": "article", "size": 2}
_ARTICLE = {
    "classification": Recipe(epochs=200, learning_rate=2e-3, weight_decay=2e-3, model={**_AS_ARTICLE, "multiplier": 2}),
    "rendering": Recipe(epochs=200, learning_rate=2e-3, weight_decay=2e-3, model={**_AS_ARTICLE, "multiplier": 3}),
}
_AS_PAPER = Recipe(
    epochs=1000,
    batch_size=16,
    learning_rate=0.005,
    schedule="step",
    step_epochs=200,
    model={"origin": "paper", "multiplier": 2},
)
_PAPER = {"classification": _AS_PAPER, "rendering": _AS_PAPER}


@with_recipes(source="Liu et al. 2018", tuned=_TUNED, article=_ARTICLE, paper=_PAPER)
def deconv(task: Task, *, origin: str = "ours", size: int = 3, multiplier: int = 1) -> keras.Model:
    """Returns transposed convolutions of stride 2: 64m, 64m, 64m, 32m, 32m and 1 filters for a canvas of 64 x 64 pixels.

    Args:
        task: classification or rendering, on a canvas whose size is a power of two.
        origin: whose initialisation and scales: "ours"; or those of the released code of the "paper", coordinates in pixels;
            or of the "article", as in the paper, but glorot_uniform and no batch normalisation.
        size: f, of the filters, in pixels.
        multiplier: m, of the number of filters.
    """
    if origin not in ("ours", "article", "paper"):
        raise ValueError(f"origin={origin!r} is unknown; expected one of ours, article, paper")
    start, half = "glorot_uniform" if origin == "article" else "he_normal", (task.canvas_size - 1) / 2

    def double(x: Any, filters: int) -> Any:
        return layers.Conv2DTranspose(filters, size, strides=2, padding="same", kernel_initializer=start)(x)

    inputs = keras.Input(task.input_shape)
    x = inputs if origin == "ours" else layers.Rescaling(half, offset=half)(inputs)  # In pixels
    return keras.Model(inputs, _painted(x, task, double, multiplier, batch_normalization=origin != "article"))


@with_recipes(source="Liu et al. 2018, released code", tuned=_FAIR)
def upsample_conv(task: Task, *, size: int = 3, multiplier: int = 1) -> keras.Model:
    """Returns the network of `deconv`, upsampling and convolution for its transposed convolution. Arguments as there."""

    def double(x: Any, filters: int) -> Any:
        return layers.Conv2D(filters, size, padding="same", kernel_initializer="he_normal")(layers.UpSampling2D()(x))

    inputs = keras.Input(task.input_shape)
    return keras.Model(inputs, _painted(inputs, task, double, multiplier))


@with_recipes(source="Liu et al. 2018, released code", tuned=_FAIR)
def upsample_coordconv(task: Task, *, size: int = 3, multiplier: int = 1) -> keras.Model:
    """Returns the network of `upsample_conv`, every convolution a CoordConv. Arguments as for `deconv`."""

    def double(x: Any, filters: int) -> Any:
        return CoordConv2D(filters, size, padding="same", kernel_initializer="he_normal")(layers.UpSampling2D()(x))

    inputs = keras.Input(task.input_shape)
    return keras.Model(inputs, _painted(inputs, task, double, multiplier))


def _painted(x: Any, task: Task, double: Callable[[Any, int], Any], multiplier: int, batch_normalization: bool = True) -> Any:
    doublings = task.canvas_size.bit_length() - 1
    if task.canvas_size != 2**doublings or doublings < 3:
        raise ValueError(f"canvas_size={task.canvas_size} cannot be reached by doubling; use 8, 16, 32, 64 or 128 and so on.")
    x = layers.Reshape((1, 1, 2))(x)
    for filters in (64,) * (doublings - 3) + (32, 32):
        x = double(x, filters * multiplier)
        if batch_normalization:
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        x = layers.ReLU()(x)
    return layers.Reshape(task.output_shape)(double(x, 1))
