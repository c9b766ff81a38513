"""CoordConv networks for the three tasks (Liu et al. 2018, arXiv 1807.03247, sections 3 and 4; code: uber-research/CoordConv).

| task           | parameters | expected: train and test, `uniform` and `quadrant`, every seed                |
|----------------|------------|-------------------------------------------------------------------------------|
| classification |      7,553 | every pixel right                                                             |
| regression     |        906 | every example within half a pixel                                             |
| rendering      |      7,553 | every pixel of every canvas right                                             |

    not-so-clevr train coordconv --task regression --config quadrant --seeds 10

The recipes `article` and `paper` are those of the article's code (ashwindcruz/coord-conv) and of the paper's, with their
initialisation and scales. docs/recipes.md tells where they fail and why, and what `tuned` does about it. A 1x1 convolution is
written as `Dense`: the same function and weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import CoordConv2D

_TUNED = {
    "classification": Recipe(epochs=6, learning_rate=0.005, schedule="cosine", weight_decay=3.0),
    "regression": Recipe(epochs=3, learning_rate=0.01, schedule="cosine"),
    "rendering": Recipe(epochs=8, batch_size=16, learning_rate=0.01, schedule="cosine", weight_decay=0.6),
}
_AS_ARTICLE = {"origin": "article"}
_ARTICLE = {
    "classification": Recipe(epochs=100, weight_decay=1e-3, model=_AS_ARTICLE),
    "regression": Recipe(epochs=50, weight_decay=1e-3, model=_AS_ARTICLE),
    "rendering": Recipe(epochs=100, weight_decay=1e-3, model={**_AS_ARTICLE, "two_stage": True, "size": 2, "multiplier": 2}),
}
_AS_PAPER = {"origin": "paper"}
_PAPER = {
    "classification": Recipe(epochs=50, batch_size=16, learning_rate=0.005, model=_AS_PAPER),
    "regression": Recipe(epochs=100, batch_size=256, learning_rate=0.01, l2=4.13e-5, model=_AS_PAPER),
    "rendering": Recipe(epochs=50, batch_size=16, model={**_AS_PAPER, "two_stage": True, "size": 1}),
}
_OPTIONS = {"classification": (), "regression": ("pooling",), "rendering": ("two_stage", "softmax", "size", "multiplier")}
_INITIALIZERS = {"ours": "he_normal", "article": "glorot_uniform", "paper": "he_normal"}


@with_recipes(source="Liu et al. 2018", tuned=_TUNED, article=_ARTICLE, paper=_PAPER)
def build(
    task: Task,
    *,
    origin: str = "ours",
    pooling: str | None = None,
    two_stage: bool | None = None,
    softmax: bool | None = None,
    size: int | None = None,
    multiplier: int | None = None,
) -> keras.Model:
    """Returns the network for the task.

    Args:
        task: any.
        origin: whose initialisation and scales: "ours"; or those of the released code of the "article", glorot_uniform, or of
            the "paper", he_normal, both of which give the network coordinates in pixels.
        pooling: for regression: "max", the default, or "mean".
        two_stage: for rendering: whether a second half, of convolutions, paints the square around the pixel that the first half
            finds, as published; default false.
        softmax: for two stages: whether the second sees the softmax of the first over the pixels, or its logits, for which the
            paper's code has a switch; default true.
        size: of their filters, in pixels; default 3.
        multiplier: of their number; default 1.

    Raises:
        ValueError: one sentence, if an argument is not as above.
    """
    if origin not in _INITIALIZERS:
        raise ValueError(f"origin={origin!r} is unknown; expected one of {', '.join(_INITIALIZERS)}")
    network: Any = {"classification": _classifier, "regression": _regressor, "rendering": _painter}[task.name]
    options = {"pooling": pooling, "two_stage": two_stage, "softmax": softmax, "size": size, "multiplier": multiplier}
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in _OPTIONS[task.name]:
            raise ValueError(f"{name} is no setting for {task.name}; leave it out")
    return network(task, origin, **given)


def _classifier(task: Task, origin: str) -> keras.Model:
    """Tile the coordinates, add coordinate channels, convolve: 1x1, 32, 32, 64, 64, 1 filters. The logit of each pixel."""
    inputs = keras.Input(task.input_shape)
    return keras.Model(inputs, layers.Flatten()(_logits(inputs, task, origin)))


def _painter(
    task: Task, origin: str, two_stage: bool = False, softmax: bool = True, size: int = 3, multiplier: int = 1
) -> keras.Model:
    """The network of the classifier, which either paints the square itself or, as in the paper, the pixel at its centre.

    Args:
        task: rendering.
        origin: see `build`.
        two_stage: if true, convolutions of 8m, 8m, 16m, 16m and 1 filters follow.
        softmax: whether before them there is a softmax over the pixels.
        size: f, of those filters, in pixels.
        multiplier: m.
    """
    inputs = keras.Input(task.input_shape)
    x = logits = _logits(inputs, task, origin)
    if not two_stage:
        return keras.Model(inputs, logits)
    start = _INITIALIZERS[origin]
    if softmax:
        x = layers.Reshape(task.output_shape)(layers.Softmax()(layers.Flatten()(logits)))
    for filters in (8, 8, 16, 16):
        x = layers.Conv2D(filters * multiplier, size, padding="same", activation="relu", kernel_initializer=start)(x)
    return keras.Model(inputs, layers.Conv2D(1, size, padding="same", kernel_initializer=start)(x))


def _logits(inputs: Any, task: Task, origin: str) -> Any:
    start, half = _INITIALIZERS[origin], (task.canvas_size - 1) / 2
    x = inputs if origin == "ours" else layers.Rescaling(half, offset=half)(inputs)  # In pixels
    x = layers.UpSampling2D(task.canvas_size)(layers.Reshape((1, 1, 2))(x))
    x = CoordConv2D(32, 1, activation="relu", kernel_initializer=start)(x)
    for filters in (32, 64, 64):
        x = layers.Dense(filters, activation="relu", kernel_initializer=start)(x)
    return layers.Dense(1, kernel_initializer=start)(x)


def _regressor(task: Task, origin: str, pooling: str = "max") -> keras.Model:
    """Add coordinate channels, convolve: 1x1, 8 filters, three times; 3x3, 8 and 2 filters; no ReLU; global max pooling.

    Everything before the maximum is linear, so the answer is right as soon as the response to the hot pixel is higher than
    that to any other pixel, by more than the coordinates vary. Where it is lower, the answer is that of some other pixel, the
    same for every image, and no gradient reaches the response to the hot pixel: the dead end at the mean coordinates, where
    the article saw trainings end, and most trainings from random weights do. So ours start where the hot pixel wins: the
    first layers hand the one-hot image and the coordinates on as they are, and both outputs look at the image only. The
    article multiplies the image by 1000, to the same end, and does not pad the 3x3 convolutions.

    Args:
        task: regression.
        origin: see `build`. The targets are centre / 64 in the paper, and in pixels in the article.
        pooling: "max", or "mean", with which it must fail.
    """
    ours, last = origin == "ours", task.canvas_size - 1
    gain = {"ours": 4.0, "article": 1000.0, "paper": 1.0}[origin]
    to_coordinates = {"ours": (1.0, 0.0), "article": (2 / last, -1.0), "paper": (2 * 64 / last, -1.0)}[origin]
    padding = "valid" if origin == "article" else "same"

    def start(channels: Sequence[int] | None = None) -> Any:  # One for each layer, or all would draw the same noise.
        return HandOn(channels) if ours else _INITIALIZERS[origin]

    inputs = keras.Input(task.input_shape)
    x = layers.Rescaling(gain)(inputs)
    x = CoordConv2D(8, 1, kernel_initializer=start())(x)
    x = layers.Dense(8, kernel_initializer=start())(x)
    x = layers.Dense(8, kernel_initializer=start())(x)
    x = layers.Conv2D(8, 3, padding=padding, kernel_initializer=start())(x)
    bias = keras.initializers.Constant(-gain) if ours else "zeros"
    x = layers.Conv2D(2, 3, padding=padding, kernel_initializer=start([0, 0]), bias_initializer=bias)(x)
    poolings = {"max": layers.GlobalMaxPooling2D, "mean": layers.GlobalAveragePooling2D}
    if pooling not in poolings:
        raise ValueError(f"pooling={pooling!r} is unknown; expected one of {', '.join(poolings)}")
    scale, offset = to_coordinates
    return keras.Model(inputs, layers.Rescaling(scale, offset)(poolings[pooling]()(x)))


@keras.saving.register_keras_serializable(package="not_so_clevr")
class HandOn(keras.initializers.Initializer):
    """Kernels that copy channels: filter n hands on input channel `channels[n]`, at the middle of the window.

    Args:
        channels: one for each filter; if None, filter n hands on channel n, as far as there are both.
        noise: standard deviation of what is added everywhere, times the square root of the fan-in.
        seed: of the noise; if None, that of `keras.utils.set_random_seed`.

    Raises:
        ValueError: if there is no noise; or, when it is called, if a channel is none of the inputs.
    """

    def __init__(self, channels: Sequence[int] | None = None, noise: float = 0.1, seed: int | None = None) -> None:
        self.channels = channels
        self.noise = noise
        self.seed = seed
        self._noise = keras.initializers.VarianceScaling(noise**2, "fan_in", "truncated_normal", seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        *window, inputs, filters = shape
        channels = range(min(inputs, filters)) if self.channels is None else self.channels
        if not all(0 <= channel < inputs for channel in channels):
            raise ValueError(f"channels={list(channels)} are not all among the {inputs} inputs; expected 0 to {inputs - 1}")
        kernel = np.zeros(shape, "float32")
        for filter, channel in enumerate(channels):
            kernel[(*(length // 2 for length in window), channel, filter)] = 1
        return self._noise(shape, dtype) + keras.ops.cast(kernel, dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        return {"channels": self.channels, "noise": self.noise, "seed": self.seed}
