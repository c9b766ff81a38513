"""Ordinary convolution (Liu et al. 2018, arXiv 1807.03247, sections 3 and 4).

| model        | task           | expected                                                       |
|--------------|----------------|----------------------------------------------------------------|
| `conv`       | regression     | fits train roughly; does not generalise to a new quadrant      |
|              | localisation   | as regression                                                  |
|              | painting       | every pixel of every canvas right: the shape is the kernel     |
|              | detection      | every pixel right: the shape looks the same wherever it is     |
| `tiled_conv` | classification | must fail: all pixels look alike, so (0, 0) is always first    |

    not-so-clevr train conv --task regression --config quadrant

Code of the paper: uber-research/CoordConv.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

_ARTICLE = Recipe(epochs=100, weight_decay=1e-3, model={"origin": "article"})
_ARTICLE_QUADRANT = Recipe(
    epochs=100,
    learning_rate=5e-4,
    weight_decay=5e-4,
    model={"origin": "article", "network": "quadrant"},
)
_PAPER = Recipe(epochs=100, batch_size=256, l2=4.13e-5)  # See published.toml

_article_conv = functools.partial(layers.Conv2D, activation="relu")
_paper_conv = functools.partial(_article_conv, padding="same", kernel_initializer="he_normal")
_paper_normalization = functools.partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-5)


_TUNED = {
    "regression": Recipe(epochs=20, steps=1406, schedule="cosine"),
    "localisation": Recipe(epochs=20, steps=1406, schedule="cosine"),
    "painting": Recipe(epochs=2, steps=74, learning_rate=0.1, schedule="cosine"),
    "detection": Recipe(epochs=2, steps=74, learning_rate=0.01, schedule="cosine"),
}


@with_recipes(
    source="Liu et al. 2018",
    tuned=_TUNED,
    article={"regression": _ARTICLE},
    article_quadrant={"regression": _ARTICLE_QUADRANT},
    paper={"regression": _PAPER},
    paper_quadrant={"regression": _PAPER.replace({"network": "quadrant"})},
)
def conv(
    task: Task,
    *,
    network: str | None = None,
    origin: str | None = None,
    multiplier: int | None = None,
    size: int | None = None,
) -> keras.Model:
    """Returns a network without coordinates for a task.

    Args:
        task: regression or localisation, on a canvas of at least 16 x 16 pixels, of 64 x 64 for the
            article's "quadrant"; or painting or detection, on any canvas.
        network: for regression and localisation: "uniform", the default: 3x3 convolutions of 16m
            filters, max pooling between them, and two dense layers; or "quadrant": nine
            convolutions, partly strided, and mean pooling; in the article eight, without pooling.
        origin: for regression and localisation: "paper", the default; or "article", whose code has
            the same layers, but no padding, pooling without stride, glorot_uniform, images
            multiplied by 1000, and answers in pixels.
        multiplier: m; default 1.
        size: for painting and detection: of the filters, in pixels: at least that of the shape;
            default 9.

    Raises:
        ValueError: if an argument has another value, or is not for this task.
    """
    networks = {
        "regression": _locate,
        "localisation": _locate,
        "painting": _paint,
        "detection": _detect,
    }
    options = {"network": network, "origin": origin, "multiplier": multiplier, "size": size}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if task.name not in networks:
        raise ValueError(f"conv is not for {task.name}; expected one of {', '.join(networks)}")

    build: Any = networks[task.name]
    for name in given:
        if name not in inspect.signature(build).parameters:
            raise ValueError(f"{name} is not a setting for {task.name}; leave it out")
    return _model(task, build(task, **given))


def _paint(task: Task, size: int = 9) -> list[layers.Layer]:
    """One convolution: its kernel is the shape."""
    return [layers.Conv2D(1, size, padding="same")]


def _detect(task: Task, size: int = 9) -> list[layers.Layer]:
    """A convolution of 8 filters that see the shape, and a 1x1 convolution: a logit per pixel."""
    return [
        layers.Conv2D(8, size, padding="same", activation="relu"),
        layers.Dense(1),
        layers.Flatten(),
    ]


def _locate(
    task: Task, network: str = "uniform", origin: str = "paper", multiplier: int = 1
) -> list[layers.Layer]:
    networks: dict[tuple[str, str], Callable[[int], list[layers.Layer]]] = {
        ("paper", "uniform"): functools.partial(_uniform, _paper_conv, 2),
        ("paper", "quadrant"): _quadrant,
        ("article", "uniform"): functools.partial(_uniform, _article_conv, 1),
        ("article", "quadrant"): _article_quadrant,
    }
    if (origin, network) not in networks:
        expected = "expected paper or article, uniform or quadrant"
        raise ValueError(f"origin={origin!r}, network={network!r} is unknown; {expected}")
    if (origin, network) == ("article", "quadrant") and task.canvas_size != 64:
        wrong = f"canvas_size={task.canvas_size} does not fit the article's network for quadrant"
        raise ValueError(f"{wrong}; use 64")

    stack = networks[origin, network](16 * multiplier)
    if origin == "article":
        to_coordinates = [2 / (task.height - 1), 2 / (task.width - 1)]
        stack = [layers.Rescaling(1000.0), *stack, layers.Rescaling(to_coordinates, -1.0)]
    return stack


def _model(task: Task, stack: list[layers.Layer]) -> keras.Model:
    inputs = x = keras.Input(task.input_shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


def _uniform(convolution: Any, pool_stride: int, filters: int) -> list[layers.Layer]:
    stack: list[layers.Layer] = []  # Layers draw their seeds in the order of their creation.
    for _ in range(3):
        stack += [convolution(filters, 3), layers.MaxPooling2D(strides=pool_stride)]
    stack += [convolution(filters, 3), layers.Flatten()]
    return [*stack, layers.Dense(64, activation="relu"), layers.Dense(2)]


def _quadrant(filters: int) -> list[layers.Layer]:
    return [
        _paper_conv(filters, 5, 2),
        _paper_conv(filters, 1),
        _paper_normalization(),
        _paper_conv(filters, 3),
        _paper_conv(filters, 3, 2),
        _paper_conv(filters, 3, 2, activation=None),
        _paper_normalization(),
        layers.ReLU(),
        _paper_conv(filters, 3, 2),
        _paper_conv(filters, 1),
        _paper_conv(filters, 3, 2),
        _paper_conv(2, 3),
        layers.GlobalAveragePooling2D(),
        layers.Rescaling(2.0, offset=-1.0),  # The output of the last ReLU is never negative.
    ]


def _article_quadrant(filters: int) -> list[layers.Layer]:
    return [
        _article_conv(filters, 5, 2),
        _article_conv(filters, 1),
        layers.BatchNormalization(),
        _article_conv(filters, 3),
        _article_conv(filters, 3, 2),
        _article_conv(filters, 3, 2),
        layers.BatchNormalization(),
        _article_conv(filters, 3, 2),
        _article_conv(filters, 1),
        _article_conv(2, 2),  # On 2 x 2, all that is left of 64 x 64 pixels
        layers.Flatten(),
    ]


_TILED = Recipe(epochs=6, steps=370, learning_rate=0.005, schedule="cosine", weight_decay=3.0)


@with_recipes(source="the article", tuned={"classification": _TILED, "rendering": _TILED})
def tiled_conv(task: Task) -> keras.Model:
    """Returns the CoordConv network without coordinates: tile, then five 1x1 convolutions.

    They have 32, 32, 64, 64 and 1 filters.
    """
    hidden = functools.partial(layers.Dense, activation="relu", kernel_initializer="he_normal")
    stack = [
        layers.Reshape((1, 1, 2)),
        layers.UpSampling2D((task.height, task.width)),
        *(hidden(filters) for filters in (32, 32, 64, 64)),
        layers.Dense(1, kernel_initializer="he_normal"),
        layers.Reshape(task.output_shape),
    ]
    return _model(task, stack)
