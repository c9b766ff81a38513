"""CoordConv networks for four tasks (Liu et al. 2018, arXiv 1807.03247, sections 3 and 4).

| task           | parameters | expected of train and test on `uniform` and `quadrant`, every seed |
|----------------|------------|--------------------------------------------------------------------|
| classification |      7,553 | every pixel right                                                  |
| regression     |        906 | every example within half a pixel                                  |
| rendering      |      7,553 | every pixel of every canvas right                                  |
| localisation   |        665 | every example within half a pixel                                  |

    not-so-clevr train coordconv --task regression --config quadrant --seeds 10

The recipes `article` and `paper` follow the code of the article (ashwindcruz/coord-conv) and of the
paper (uber-research/CoordConv), with their initialisation and scales. docs/recipes.md explains
where they fail and why, and what `tuned` changes. 1x1 convolutions are written as `Dense`, which
has the same function and weights.

The paper has no localisation. Ours finds the shape by ordinary convolution, as `conv` does in
detection, and reads its coordinates off the coordinate channels (`ReadCoords`). The readout does
the work: it has no weights, so it is right wherever the convolution is, and convolution is
equivariant. It is the soft-argmax of Levine et al. 2016 (arXiv 1504.00702) and DSNT (Nibali et al.
2018, arXiv 1801.07372). Painting and detection need no coordinates: see `conv`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import CoordConv2D, ReadCoords, tile

_TUNED = {
    "classification": Recipe(
        epochs=6, steps=370, learning_rate=0.005, schedule="cosine", weight_decay=3.0
    ),
    "regression": Recipe(epochs=3, steps=148, learning_rate=0.01, schedule="cosine"),
    "rendering": Recipe(
        epochs=8, steps=1029, batch_size=16, learning_rate=0.01, schedule="cosine", weight_decay=0.6
    ),
    "localisation": Recipe(epochs=9, steps=592, learning_rate=0.03, schedule="cosine"),
}
_AS_ARTICLE = Recipe(epochs=100, weight_decay=1e-3, model={"origin": "article"})
_ARTICLE = {
    "classification": _AS_ARTICLE,
    "regression": _AS_ARTICLE.replace({"epochs": 50}),
    "rendering": _AS_ARTICLE.replace({"two_stage": True, "size": 2, "multiplier": 2}),
}
_AS_PAPER = Recipe(epochs=50, batch_size=16, model={"origin": "paper"})
_PAPER = {
    "classification": _AS_PAPER.replace({"learning_rate": 0.005}),
    "regression": _AS_PAPER.replace(
        {"epochs": 100, "batch_size": 256, "learning_rate": 0.01, "l2": 4.13e-5}
    ),
    "rendering": _AS_PAPER.replace({"two_stage": True, "size": 1}),
}
_INITIALIZERS = {"ours": "he_normal", "article": "glorot_uniform", "paper": "he_normal"}


@with_recipes(source="Liu et al. 2018", tuned=_TUNED, article=_ARTICLE, paper=_PAPER)
def build(
    task: Task,
    *,
    origin: str = "ours",
    pooling: str | None = None,
    relu: bool | None = None,
    gain: float | None = None,
    coordinates: str | None = None,
    radius: bool | None = None,
    separate: bool | None = None,
    two_stage: bool | None = None,
    softmax: bool | None = None,
    size: int | None = None,
    multiplier: int | None = None,
) -> keras.Model:
    """Returns the network for a task.

    Args:
        task: classification, regression, rendering or localisation.
        origin: whose initialisation and scales: "ours"; or those of the code of the "article",
            glorot_uniform, or the "paper", he_normal, both with coordinates in pixels.
        pooling: for regression: "max", the default; "mean"; or "soft_argmax", which reads the
            coordinates off a single map (`ReadCoords`) and has 73 weights less.
        relu: for regression: whether a ReLU follows each convolution but the last; default false.
        gain: for regression: the factor of the image; default 4, 1000 for the "article", and 1 for
            the "paper".
        coordinates: for classification and rendering: the layers of the first stage that see the
            coordinates: "first", the default, or "all".
        radius: for the same: whether those layers also see the distance from the middle; default
            false.
        separate: for the same: whether filters of their own see the coordinates; default false.
            With 1x1 filters this changes the scale of the first weights, and nothing else.
        two_stage: for rendering: whether convolutions paint the square around the pixel found by
            the first stage, as published; default false.
        softmax: for two stages: whether the second sees the softmax of the first over the pixels
            instead of its logits (a switch in the paper's code); default true.
        size: of filters, in pixels. For two stages: of the second, default 3. For localisation: at
            least that of the shape, default 9.
        multiplier: of their number; default 1.

    Raises:
        ValueError: if an argument has another value, or is not for this task.
    """
    if origin not in _INITIALIZERS:
        raise ValueError(f"origin={origin!r} is unknown; expected one of ours, article, paper")
    options = {
        "pooling": pooling,
        "relu": relu,
        "gain": gain,
        "coordinates": coordinates,
        "radius": radius,
        "separate": separate,
        "two_stage": two_stage,
        "softmax": softmax,
        "size": size,
        "multiplier": multiplier,
    }
    given = {name: value for name, value in options.items() if value is not None}

    networks: Any = {
        "classification": _classify,
        "regression": _regress,
        "rendering": _render,
        "localisation": _localise,
    }
    if task.name not in networks:
        raise ValueError(f"coordconv is not for {task.name}; expected one of {', '.join(networks)}")
    network = networks[task.name]
    for name in given:
        if name not in inspect.signature(network).parameters:
            raise ValueError(f"{name} is not a setting for {task.name}; leave it out")
    if task.name == "rendering" and not two_stage:
        for name in ("softmax", "size", "multiplier"):
            if name in given:
                raise ValueError(f"{name} is a setting of the second stage; add two_stage=true")
    return network(task, origin, **given)


def _classify(
    task: Task,
    origin: str,
    coordinates: str = "first",
    radius: bool = False,
    separate: bool = False,
) -> keras.Model:
    """Tile the coordinates, add coordinate channels, five 1x1 convolutions: a logit per pixel."""
    inputs = keras.Input(task.input_shape)
    logits = _logits(inputs, task, origin, coordinates, radius, separate)
    return keras.Model(inputs, layers.Flatten()(logits))


def _render(
    task: Task,
    origin: str,
    coordinates: str = "first",
    radius: bool = False,
    separate: bool = False,
    two_stage: bool = False,
    softmax: bool = True,
    size: int = 3,
    multiplier: int = 1,
) -> keras.Model:
    """As `_classify`; a second stage may have convolutions of 8m, 8m, 16m, 16m and 1 filters."""
    inputs = keras.Input(task.input_shape)
    x = logits = _logits(inputs, task, origin, coordinates, radius, separate)
    if not two_stage:
        return keras.Model(inputs, logits)
    if softmax:
        x = layers.Reshape(task.output_shape)(layers.Softmax()(layers.Flatten()(logits)))

    options = {"padding": "same", "kernel_initializer": _INITIALIZERS[origin]}
    for filters in (8, 8, 16, 16):
        x = layers.Conv2D(filters * multiplier, size, activation="relu", **options)(x)
    return keras.Model(inputs, layers.Conv2D(1, size, **options)(x))


def _logits(x: Any, task: Task, origin: str, coordinates: str, radius: bool, separate: bool) -> Any:
    if coordinates not in ("first", "all"):
        raise ValueError(f"coordinates={coordinates!r} is unknown; expected one of first, all")
    start, half = _INITIALIZERS[origin], [(task.height - 1) / 2, (task.width - 1) / 2]
    if origin != "ours":
        x = layers.Rescaling(half, offset=half)(x)  # In pixels
    x = tile(x, task.height, task.width)

    def layer(filters: int, activation: str | None, sees: bool) -> layers.Layer:
        options: Any = {"activation": activation, "kernel_initializer": start}
        if not sees:
            return layers.Dense(filters, **options)
        return CoordConv2D(filters, 1, radius=radius, separate=separate, **options)

    everywhere = coordinates == "all"
    x = layer(32, "relu", True)(x)
    for filters in (32, 64, 64):
        x = layer(filters, "relu", everywhere)(x)
    return layer(1, None, everywhere)(x)


def _regress(
    task: Task, origin: str, pooling: str = "max", relu: bool = False, gain: float | None = None
) -> keras.Model:
    """Add coordinate channels; 1x1 (three times) and 3x3 convolutions of 8 filters; 3x3 of 2; pool.

    Without ReLU everything before the maximum is linear. So the answer is right as soon as the hot
    pixel responds more strongly than any other, by more than the coordinates vary. While it is
    weaker, the answer is another pixel's, the same for every image, and no gradient reaches the
    response of the hot pixel: a dead end at the mean coordinates. The article saw trainings end
    there, and most trainings from random weights do.

    Ours therefore start with the hot pixel ahead: the first layers copy the one-hot image and the
    coordinates, and both outputs look at the image only. The article multiplies the image by 1000
    for the same reason, and does not pad the 3x3 convolutions.

    The paper's targets are centre / 64, the article's are pixels. Mean pooling must fail. A
    soft-argmax reads the coordinates off one map instead, on the [-1, 1] scale.
    """
    poolings = {
        "max": layers.GlobalMaxPooling2D,
        "mean": layers.GlobalAveragePooling2D,
        "soft_argmax": ReadCoords,
    }
    if pooling not in poolings:
        expected = ", ".join(poolings)
        raise ValueError(f"pooling={pooling!r} is unknown; expected one of {expected}")
    ours, lasts = origin == "ours", (max(task.height - 1, 1), max(task.width - 1, 1))
    if gain is None:
        gain = {"ours": 4.0, "article": 1000.0, "paper": 1.0}[origin]
    scale, offset = {
        "ours": (1.0, 0.0),
        "article": ([2 / last for last in lasts], -1.0),
        "paper": ([2 * 64 / last for last in lasts], -1.0),
    }[origin]
    padding = "valid" if origin == "article" else "same"
    activation = "relu" if relu else None
    outputs = [0] if pooling == "soft_argmax" else [0, 0]  # The image, for each output

    def start(channels: Sequence[int] | None = None) -> Any:  # New each time, for other noise
        return HandOn(channels) if ours else _INITIALIZERS[origin]

    inputs = keras.Input(task.input_shape)
    x = layers.Rescaling(gain)(inputs)
    x = CoordConv2D(8, 1, activation=activation, kernel_initializer=start())(x)
    x = layers.Dense(8, activation=activation, kernel_initializer=start())(x)
    x = layers.Dense(8, activation=activation, kernel_initializer=start())(x)
    x = layers.Conv2D(8, 3, padding=padding, activation=activation, kernel_initializer=start())(x)
    x = layers.Conv2D(
        len(outputs),
        3,
        padding=padding,
        kernel_initializer=start(outputs),
        bias_initializer=keras.initializers.Constant(-gain) if ours else "zeros",
    )(x)
    x = poolings[pooling]()(x)
    if pooling == "soft_argmax":
        return keras.Model(inputs, x)
    return keras.Model(inputs, layers.Rescaling(scale, offset)(x))


def _localise(task: Task, origin: str, size: int = 9) -> keras.Model:
    """A convolution of 8 filters that see the shape, a logit per pixel, and its coordinates."""
    if origin != "ours":
        raise ValueError(f"origin={origin!r} has no network for localisation; leave it out")
    inputs = keras.Input(task.input_shape)
    x = layers.Conv2D(8, size, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, ReadCoords()(layers.Dense(1)(x)))


@keras.saving.register_keras_serializable(package="not_so_clevr")
class HandOn(keras.initializers.Initializer):
    """Kernels that copy channels: filter n copies channel `channels[n]` of the middle pixel.

    Args:
        channels: one per filter; None for channel n, as far as there is one.
        noise: standard deviation of the noise in all weights, times the square root of the fan-in.
        seed: of the noise; None for that of `keras.utils.set_random_seed`.

    Raises:
        ValueError: if the noise is not positive; or, when called, if a channel does not exist.
    """

    def __init__(
        self, channels: Sequence[int] | None = None, noise: float = 0.1, seed: int | None = None
    ) -> None:
        if not noise > 0:
            raise ValueError(f"noise must be positive, got {noise}")
        self.channels = channels
        self.noise = noise
        self.seed = seed
        self._noise = keras.initializers.VarianceScaling(
            noise**2, "fan_in", "truncated_normal", seed
        )

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        *window, inputs, filters = shape
        channels = range(min(inputs, filters)) if self.channels is None else self.channels
        if not all(0 <= channel < inputs for channel in channels):
            raise ValueError(f"channels must be 0 to {inputs - 1}, got {list(channels)}")

        middle = tuple(length // 2 for length in window)
        kernel = np.zeros(shape, "float32")
        for filter, channel in enumerate(channels):
            kernel[(*middle, channel, filter)] = 1
        return self._noise(shape, dtype) + keras.ops.cast(kernel, dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        return {"channels": self.channels, "noise": self.noise, "seed": self.seed}
