"""Ordinary convolution (Liu et al. 2018, arXiv 1807.03247, sections 3 and 4; code: uber-research/CoordConv).

| model        | task           | expected                                                                          |
|--------------|----------------|-----------------------------------------------------------------------------------|
| `conv`       | regression     | fits, more or less, what it was trained on; does not carry over to a new quadrant |
| `tiled_conv` | classification | must fail: every pixel sees the same, and one in 4096 is right by chance          |

    not-so-clevr train conv --task regression --config quadrant
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

_AS_ARTICLE = {"origin": "article"}
_AS_ARTICLE_QUADRANT = {"origin": "article", "network": "quadrant"}


@with_recipes(
    source="Liu et al. 2018",
    tuned={"regression": Recipe(epochs=20, schedule="cosine")},
    article={"regression": Recipe(epochs=100, weight_decay=1e-3, model=_AS_ARTICLE)},
    article_quadrant={"regression": Recipe(epochs=100, learning_rate=5e-4, weight_decay=5e-4, model=_AS_ARTICLE_QUADRANT)},
    paper={"regression": Recipe(epochs=100, batch_size=256, l2=4.13e-5)},  # See published.toml
    paper_quadrant={"regression": Recipe(epochs=100, batch_size=256, l2=4.13e-5, model={"network": "quadrant"})},
)
def conv(task: Task, *, network: str = "uniform", origin: str = "paper", multiplier: int = 1) -> keras.Model:
    """Returns one of the two networks for regression, of the paper or of the article.

    Args:
        task: regression, on a canvas of at least 16 x 16 pixels; of 64 x 64 for "quadrant" of the article.
        network: "uniform": 3x3 convolutions of 16m filters, max pooling between them, and two dense layers. "quadrant": nine
            convolutions, partly strided, and mean pooling; eight and no pooling in the article.
        origin: "paper"; or "article", whose code has the same layers, but neither pads nor pools with a stride, starts from
            glorot_uniform, multiplies the image by 1000, and answers in pixels.
        multiplier: m.

    Raises:
        ValueError: one sentence, if an argument is not as above.
    """
    networks = {
        ("paper", "uniform"): _uniform,
        ("paper", "quadrant"): _quadrant,
        ("article", "uniform"): _article_uniform,
        ("article", "quadrant"): _article_quadrant,
    }
    if (origin, network) not in networks:
        raise ValueError(f"origin={origin!r}, network={network!r} is unknown; expected paper or article, uniform or quadrant")
    if (origin, network) == ("article", "quadrant") and task.canvas_size != 64:
        raise ValueError(f"canvas_size={task.canvas_size} does not fit the article's network for quadrant; use 64")
    inputs = keras.Input(task.input_shape)
    x = networks[origin, network](inputs, 16 * multiplier)
    return keras.Model(inputs, layers.Rescaling(2 / (task.canvas_size - 1), -1.0)(x) if origin == "article" else x)


def _uniform(x: Any, filters: int) -> Any:
    for pool in (True, True, True, False):
        x = _convolution(filters, 3)(x)
        if pool:
            x = layers.MaxPooling2D()(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    return layers.Dense(2)(x)


def _quadrant(x: Any, filters: int) -> Any:
    x = _convolution(filters, 5, 2)(x)
    x = _convolution(filters, 1)(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    for size, stride in ((3, 1), (3, 2)):
        x = _convolution(filters, size, stride)(x)
    x = layers.Conv2D(filters, 3, 2, padding="same", kernel_initializer="he_normal")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    for size, stride in ((3, 2), (1, 1), (3, 2)):
        x = _convolution(filters, size, stride)(x)
    x = layers.GlobalAveragePooling2D()(_convolution(2, 3)(x))
    return layers.Rescaling(2.0, offset=-1.0)(x)  # The last ReLU gives no less than 0.


def _convolution(filters: int, size: int, stride: int = 1) -> layers.Layer:
    return layers.Conv2D(filters, size, stride, padding="same", activation="relu", kernel_initializer="he_normal")


def _article_uniform(x: Any, filters: int) -> Any:
    x = layers.Rescaling(1000.0)(x)
    for pool in (True, True, True, False):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        if pool:
            x = layers.MaxPooling2D(2, strides=1)(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    return layers.Dense(2)(x)


def _article_quadrant(x: Any, filters: int) -> Any:
    x = layers.Rescaling(1000.0)(x)
    for size, stride in ((5, 2), (1, 1)):
        x = layers.Conv2D(filters, size, stride, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    for size, stride in ((3, 1), (3, 2), (3, 2)):
        x = layers.Conv2D(filters, size, stride, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    for size, stride in ((3, 2), (1, 1)):
        x = layers.Conv2D(filters, size, stride, activation="relu")(x)
    return layers.Flatten()(layers.Conv2D(2, 2, activation="relu")(x))  # Of what is left of 64 x 64 pixels, 2 x 2


_RECIPE = Recipe(epochs=6, learning_rate=0.005, schedule="cosine", weight_decay=3.0)


@with_recipes(source="the article", tuned={"classification": _RECIPE, "rendering": _RECIPE})
def tiled_conv(task: Task) -> keras.Model:
    """Returns the CoordConv network without coordinate channels: tile, and 1x1 convolutions of 32, 32, 64, 64 and 1 filters."""
    inputs = keras.Input(task.input_shape)
    x = layers.UpSampling2D(task.canvas_size)(layers.Reshape((1, 1, 2))(inputs))
    for filters in (32, 32, 64, 64):
        x = layers.Dense(filters, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(layers.Dense(1, kernel_initializer="he_normal")(x)))
