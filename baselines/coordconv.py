"""CoordConv networks for the three tasks (Liu et al. 2018, arXiv 1807.03247, sections 3 and 4; code: uber-research/CoordConv).

| task           | parameters | expected: train and test, `uniform` and `quadrant`, every seed                |
|----------------|------------|-------------------------------------------------------------------------------|
| classification |      7,553 | every pixel right                                                             |
| regression     |        906 | every example within half a pixel                                             |
| rendering      |      7,553 | every pixel of every canvas right                                             |

    not-so-clevr train coordconv --task regression --config quadrant --seeds 10

The recipe `article` is the published one, with the scales of the released code; it fails now and then, in rendering always.
docs/recipes.md tells why, and what `tuned` does about it. A 1x1 convolution is written as `Dense`: the same function and
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from not_so_clevr.recipe import Recipe, announce
from not_so_clevr.tasks import Task

from .layers import CoordConv2D

_TUNED = {
    "classification": Recipe(epochs=6, learning_rate=0.005, schedule="cosine", weight_decay=3.0),
    "regression": Recipe(epochs=3, learning_rate=0.01, schedule="cosine"),
    "rendering": Recipe(epochs=8, batch_size=16, learning_rate=0.01, schedule="cosine", weight_decay=0.6),
}
_ARTICLE = {
    "classification": Recipe(epochs=100, l2=1e-3, model={"published": True}),
    "regression": Recipe(epochs=50, l2=1e-3, model={"published": True}),
    "rendering": Recipe(epochs=100, l2=1e-3, model={"published": True, "two_stage": True, "size": 2}),
}


@announce(source="Liu et al. 2018", tuned=_TUNED, article=_ARTICLE)
def build(task: Task, *, published: bool = False, **options: Any) -> keras.Model:
    """Returns the network for the task.

    Args:
        task: any.
        published: initialise and scale as the released code does: he_normal, coordinates in pixels, targets of centre / 64.
        **options: for rendering, those of `_painter`.
    """
    network = {"classification": _classifier, "regression": _regressor, "rendering": _painter}[task.name]
    return network(task, published, **options)


def _classifier(task: Task, published: bool) -> keras.Model:
    """Tile the coordinates, add coordinate channels, convolve: 1x1, 32, 32, 64, 64, 1 filters. The logit of each pixel."""
    inputs = keras.Input(task.input_shape)
    return keras.Model(inputs, layers.Flatten()(_logits(inputs, task, published)))


def _painter(task: Task, published: bool, two_stage: bool = False, size: int = 3, multiplier: int = 1) -> keras.Model:
    """The network of the classifier, which either paints the square itself or, as in the paper, the pixel at its centre.

    Args:
        task: rendering.
        published: see `build`.
        two_stage: if true, a softmax over the pixels follows, and convolutions of 8m, 8m, 16m, 16m and 1 filters.
        size: f, of those filters, in pixels.
        multiplier: m.
    """
    inputs = keras.Input(task.input_shape)
    logits = _logits(inputs, task, published)
    if not two_stage:
        return keras.Model(inputs, logits)
    x = layers.Reshape(task.output_shape)(layers.Softmax()(layers.Flatten()(logits)))
    for filters in (8, 8, 16, 16):
        x = layers.Conv2D(filters * multiplier, size, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Conv2D(1, size, padding="same", kernel_initializer="he_normal")(x))


def _logits(inputs: Any, task: Task, published: bool) -> Any:
    half = (task.canvas_size - 1) / 2
    x = layers.Rescaling(half, offset=half)(inputs) if published else inputs  # In pixels
    x = layers.UpSampling2D(task.canvas_size)(layers.Reshape((1, 1, 2))(x))
    x = CoordConv2D(32, 1, activation="relu", kernel_initializer="he_normal")(x)
    for filters in (32, 64, 64):
        x = layers.Dense(filters, activation="relu", kernel_initializer="he_normal")(x)
    return layers.Dense(1, kernel_initializer="he_normal")(x)


def _regressor(task: Task, published: bool, pooling: str = "max") -> keras.Model:
    """Add coordinate channels, convolve: 1x1, 8 filters, three times; 3x3, 8 and 2 filters; no ReLU; global max pooling.

    Everything before the maximum is linear, so the answer is right as soon as the response to the hot pixel is higher than
    that to any other pixel, by more than the coordinates vary. Where it is lower, the answer is that of some other pixel, the
    same for every image, and no gradient reaches the response to the hot pixel: the dead end at the mean coordinates, where
    the article saw trainings end, and most trainings from random weights do. So ours start where the hot pixel wins: the
    first layers hand the one-hot image and the coordinates on as they are, and both outputs look at the image only.

    Args:
        task: regression.
        published: see `build`.
        pooling: "max", or "mean", with which it must fail.
    """
    size, gain = task.canvas_size, 4.0
    inputs = keras.Input(task.input_shape)

    def hand_on() -> Any:  # One for each layer, or all would draw the same noise.
        return "he_normal" if published else HandOn()

    x = inputs if published else layers.Rescaling(gain)(inputs)
    x = CoordConv2D(8, 1, kernel_initializer=hand_on())(x)
    x = layers.Dense(8, kernel_initializer=hand_on())(x)
    x = layers.Dense(8, kernel_initializer=hand_on())(x)
    x = layers.Conv2D(8, 3, padding="same", kernel_initializer=hand_on())(x)
    x = layers.Conv2D(
        2,
        3,
        padding="same",
        kernel_initializer="he_normal" if published else HandOn(channels=[0, 0]),
        bias_initializer="zeros" if published else keras.initializers.Constant(-gain),
    )(x)
    poolings = {"max": layers.GlobalMaxPooling2D, "mean": layers.GlobalAveragePooling2D}
    if pooling not in poolings:
        raise ValueError(f"pooling={pooling!r} is unknown; expected one of {', '.join(poolings)}")
    x = poolings[pooling]()(x)
    if published:  # Centre / 64, on the scale of the task
        x = layers.Rescaling(2 * 64 / (size - 1), offset=-1.0)(x)
    return keras.Model(inputs, x)


@keras.saving.register_keras_serializable(package="not_so_clevr")
class HandOn(keras.initializers.Initializer):
    """Kernels that copy channels: filter n hands on input channel `channels[n]`, at the middle of the window.

    Args:
        channels: one for each filter; if None, filter n hands on channel n, as far as there are both.
        noise: standard deviation of what is added everywhere, times the square root of the fan-in.
        seed: of the noise; if None, that of `keras.utils.set_random_seed`.
    """

    def __init__(self, channels: Sequence[int] | None = None, noise: float = 0.1, seed: int | None = None) -> None:
        self.channels = channels
        self.noise = noise
        self.seed = seed
        self._noise = keras.initializers.VarianceScaling(noise**2, "fan_in", "truncated_normal", seed)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        *window, inputs, filters = shape
        channels = range(min(inputs, filters)) if self.channels is None else self.channels
        kernel = np.zeros(shape, "float32")
        for filter, channel in enumerate(channels):
            kernel[(*(length // 2 for length in window), channel, filter)] = 1
        return self._noise(shape, dtype) + keras.ops.cast(kernel, dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        return {"channels": self.channels, "noise": self.noise, "seed": self.seed}
