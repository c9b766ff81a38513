"""Deconvolution and its fair rivals: from coordinates to pixels by doubling the canvas.

Liu et al. 2018, arXiv 1807.03247, sections 3 and 4. Code of the paper: uber-research/CoordConv.

| model                | layers                            | expected                              |
|----------------------|-----------------------------------|---------------------------------------|
| `deconv`             | transposed convolutions, stride 2 | part of `uniform`; 0 % of `quadrant`  |
| `upsample_conv`      | upsample by 2, then convolution   | as `deconv`                           |
| `upsample_coordconv` | upsample by 2, then CoordConv     | better, with only the layer different |

    not-so-clevr train deconv --task classification --config uniform --recipe article

`deconv` and `upsample_conv` have 46,465 (size 2, multiplier 1) to 1,632,001 (size 4, multiplier 3)
trainable parameters, `upsample_coordconv` 48,521 to 1,656,609.

The recipe `liang` has another network, that of Liang et al. 2025, arXiv 2501.18797 (code:
qiyaoliang/DisentangledCompGen). It renders a bump from its coordinates, and fails where they held
out the centre of the canvas.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import CoordConv2D

_TASKS = ("classification", "rendering")
_TUNED = Recipe(epochs=60, steps=8673, batch_size=16, learning_rate=0.005, schedule="cosine")
_FAIR = dict.fromkeys(_TASKS, dataclasses.replace(_TUNED, epochs=30, steps=4263))
_ARTICLE = Recipe(
    epochs=200, learning_rate=2e-3, weight_decay=2e-3, model={"origin": "article", "size": 2}
)
_PAPER = Recipe(
    epochs=1000,
    batch_size=16,
    learning_rate=0.005,
    schedule="step",
    step_epochs=200,
    model={"origin": "paper", "multiplier": 2},
)
_LIANG = Recipe(
    steps=3150,
    learning_rate=1e-3,
    weight_decay=0.01,
    loss="brightness",
    model={"origin": "liang"},
)


@with_recipes(
    source="Liu et al. 2018",
    tuned=dict.fromkeys(_TASKS, _TUNED),
    article={
        "classification": _ARTICLE.replace({"multiplier": 2}),
        "rendering": _ARTICLE.replace({"multiplier": 3}),
    },
    paper=dict.fromkeys(_TASKS, _PAPER),
    liang={"rendering": _LIANG},
)
def deconv(
    task: Task,
    *,
    origin: str = "ours",
    size: int | None = None,
    multiplier: int | None = None,
    depth: int | None = None,
) -> keras.Model:
    """Returns transposed convolutions of stride 2.

    For a canvas of 64 x 64 pixels they have 64m, 64m, 64m, 32m, 32m and 1 filters.

    Args:
        task: classification or rendering, on a canvas whose size is a power of two.
        origin: whose initialisation and scales: "ours"; those of the code of the "paper", with
            coordinates in pixels; or of the "article", the same with glorot_uniform and without
            batch normalisation; or "liang", another network: see `_liang`.
        size: of the filters, in pixels; default 3. Not for "liang".
        multiplier: m; default 1. Not for "liang".
        depth: for "liang": the number of hidden layers behind the first; default 4.

    Raises:
        ValueError: if the origin is unknown or does not have a setting, or the canvas does not fit.
    """
    if origin not in ("ours", "article", "paper", "liang"):
        expected = "expected one of ours, article, paper, liang"
        raise ValueError(f"origin={origin!r} is unknown; {expected}")
    liang = origin == "liang"
    settings = {"size": size, "multiplier": multiplier} if liang else {"depth": depth}
    for name, value in settings.items():
        if value is not None:
            raise ValueError(f"{name}={value} is not a setting for origin={origin!r}; leave it out")
    if liang:
        return _liang(task, 4 if depth is None else depth)
    size, multiplier = 3 if size is None else size, 1 if multiplier is None else multiplier
    start = "glorot_uniform" if origin == "article" else "he_normal"

    def double(x: Any, filters: int) -> Any:
        layer = layers.Conv2DTranspose(filters, size, 2, padding="same", kernel_initializer=start)
        return layer(x)

    return _model(
        task,
        double,
        multiplier,
        in_pixels=origin != "ours",
        batch_normalization=origin != "article",
    )


def _liang(task: Task, depth: int) -> keras.Model:
    """Returns the network of Liang et al. for a canvas of 7, 14, 28 ... pixels.

    A 7x7 transposed convolution turns the coordinates, in pixels, into 7 x 7; 4x4 ones of stride 2
    double that, and 3x3 ones fill up the depth: 64 filters, ReLU, weights as PyTorch starts them.
    """
    size, doublings = task.height, (task.height // 7).bit_length() - 1
    if task.width != size or size != 7 * 2**doublings or depth < doublings:
        wrong = f"canvas_size={task.canvas_size} cannot be reached from 7 in {depth} layers"
        raise ValueError(f"{wrong}; expected a square canvas of 7, 14, 28 ... pixels")

    def layer(filters: int, size: int, **options: Any) -> layers.Layer:
        bias = 1 / (filters * size**2) ** 0.5
        return layers.Conv2DTranspose(
            filters,
            size,
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
            bias_initializer=keras.initializers.RandomUniform(-bias, bias),
            **options,
        )

    inputs = keras.Input(task.input_shape)
    x = layers.Rescaling((size - 1) / 2, offset=(size - 1) / 2)(inputs)
    x = layer(64, 7, activation="relu")(layers.Reshape((1, 1, 2))(x))
    for number in range(depth):
        strides = 2 if number < doublings else 1
        width = 4 if number < doublings else 3
        x = layer(64, width, strides=strides, padding="same", activation="relu")(x)
    return keras.Model(inputs, layer(1, 3, padding="same")(x))


@with_recipes(source="Liu et al. 2018, released code", tuned=_FAIR)
def upsample_conv(task: Task, *, size: int = 3, multiplier: int = 1) -> keras.Model:
    """Returns `deconv` with upsampling and convolution as its layers. Arguments as there."""
    return _upsample(task, layers.Conv2D, size, multiplier)


@with_recipes(source="Liu et al. 2018, released code", tuned=_FAIR)
def upsample_coordconv(task: Task, *, size: int = 3, multiplier: int = 1) -> keras.Model:
    """Returns `upsample_conv` with CoordConv as its convolution. Arguments as for `deconv`."""
    return _upsample(task, CoordConv2D, size, multiplier)


def _upsample(
    task: Task, convolution: type[layers.Layer], size: int, multiplier: int
) -> keras.Model:
    def double(x: Any, filters: int) -> Any:
        layer = convolution(filters, size, padding="same", kernel_initializer="he_normal")
        return layer(layers.UpSampling2D()(x))

    return _model(task, double, multiplier)


def _model(
    task: Task,
    double: Callable[[Any, int], Any],
    multiplier: int,
    *,
    in_pixels: bool = False,
    batch_normalization: bool = True,
) -> keras.Model:
    """Returns a model that applies `double`, given the filters, until one pixel is the canvas."""
    size = task.height
    doublings = size.bit_length() - 1
    if task.width != size or size != 2**doublings or doublings < 3:
        wrong = f"canvas_size={task.canvas_size} cannot be reached by doubling a pixel"
        raise ValueError(f"{wrong}; expected a square canvas, its size a power of 2, at least 8")

    inputs = x = keras.Input(task.input_shape)
    if in_pixels:
        x = layers.Rescaling((size - 1) / 2, offset=(size - 1) / 2)(x)
    x = layers.Reshape((1, 1, 2))(x)
    for filters in (64,) * (doublings - 3) + (32, 32):
        x = double(x, filters * multiplier)
        if batch_normalization:
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        x = layers.ReLU()(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(double(x, 1)))
