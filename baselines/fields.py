"""Neural fields: networks from the coordinates of a target and of one pixel to its logit.

The numbers of the sources are those of arXiv.

| model          | source                           | parameters | tests whether                   |
|----------------|----------------------------------|------------|---------------------------------|
| `fourier`      | Tancik et al. 2020, 2006.10739   |     16,641 | random frequencies generalise   |
| `siren`        | Sitzmann et al. 2020, 2006.09661 |      8,705 | sines as activations do         |
| `hypernetwork` | Ha et al. 2016, 1609.09106       |      8,577 | weights made from the target do |

    not-so-clevr train siren --task classification --config quadrant

The default recipes are a start; `rule` is the outcome of a search (docs/board.md). With it, in
classification on 32x32, `siren` is right everywhere; `fourier` and `hypernetwork` are right on
train and between its centres, but only on a part of a held-out quadrant.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from not_so_clevr.benchmark import Recipe, Task, with_recipes

from .layers import coordinate_channels, tile_with_coordinates

_TASKS = ("classification", "rendering")
_WIDTH = 64
_START = Recipe(epochs=20, steps=2793, batch_size=16, schedule="cosine")


@keras.saving.register_keras_serializable(package="not_so_clevr")
class FourierFeatures(keras.layers.Layer):
    """Cosines and sines of 2 pi B v, for inputs v and a fixed random matrix B.

    Args:
        frequencies: F, the number of rows of B.
        sigma: standard deviation of its entries, drawn at random once.

    Input shape:
        `[..., C]`.

    Output shape:
        `[..., 2F]`: the cosines, then the sines.
    """

    def __init__(self, frequencies: int, sigma: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frequencies = frequencies
        self.sigma = sigma

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.matrix = self.add_weight(
            name="matrix",
            shape=(input_shape[-1], self.frequencies),
            initializer=keras.initializers.RandomNormal(0.0, self.sigma),
            trainable=False,
        )

    def call(self, inputs: Any) -> Any:
        angles = 2 * math.pi * ops.matmul(inputs, self.matrix)
        return ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 2 * self.frequencies)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"frequencies": self.frequencies, "sigma": self.sigma}


@keras.saving.register_keras_serializable(package="not_so_clevr")
class Sine(keras.layers.Layer):
    """The activation sin(w0 x) of a SIREN. The output has the shape of the input."""

    def __init__(self, w0: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.w0 = w0

    def call(self, inputs: Any) -> Any:
        return ops.sin(self.w0 * inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"w0": self.w0}


@keras.saving.register_keras_serializable(package="not_so_clevr")
class GeneratedNetwork(keras.layers.Layer):
    """A network of one hidden layer (ReLU) on the coordinates of each pixel, its weights given.

    Args:
        height, width: of the canvas, in pixels.
        hidden: N, the number of hidden units.

    Input shape:
        `[B, 4N + 1]`: for each example the weights of its network: the kernel `[2, N]` and the
        bias `[N]` of the hidden layer, the kernel `[N]` and the bias of the output.

    Output shape:
        `[B, H * W]`: a logit per pixel.
    """

    def __init__(self, height: int, width: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = height
        self.width = width
        self.hidden = hidden

    def call(self, inputs: Any) -> Any:
        canvas = ops.zeros((1, self.height, self.width, 1), inputs.dtype)
        pixels = ops.reshape(coordinate_channels(canvas, False, "channels_last"), (-1, 2))
        n = self.hidden
        kernel = ops.reshape(inputs[:, : 2 * n], (-1, 2, n))
        bias = inputs[:, None, 2 * n : 3 * n]

        units = ops.relu(ops.matmul(pixels, kernel) + bias)
        logits = ops.matmul(units, inputs[:, 3 * n : 4 * n, None])
        return ops.squeeze(logits, -1) + inputs[:, 4 * n :]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.height * self.width)

    def get_config(self) -> dict[str, Any]:
        sizes = {"height": self.height, "width": self.width, "hidden": self.hidden}
        return super().get_config() | sizes


@with_recipes(
    source="Tancik et al. 2020",
    tuned=dict.fromkeys(_TASKS, _START.replace({"learning_rate": 5e-3, "weight_decay": 3.0})),
)
def fourier(task: Task, *, sigma: float = 0.3) -> keras.Model:
    """Returns 64 random Fourier features, three hidden layers of 64 units (ReLU), and a logit.

    Args:
        task: classification or rendering.
        sigma: standard deviation of the frequencies, for coordinates from -1 to 1. The paper's 10
            for images, whose coordinates go from 0 to 1, corresponds to 5.
    """
    inputs = keras.Input(task.input_shape)
    x = tile_with_coordinates(inputs, task.height, task.width)
    x = FourierFeatures(_WIDTH, sigma)(x)
    for _ in range(3):
        x = layers.Dense(_WIDTH, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(layers.Dense(1)(x)))


@with_recipes(
    source="Sitzmann et al. 2020",
    tuned=dict.fromkeys(_TASKS, _START),
    paper=dict.fromkeys(_TASKS, _START.replace({"w0": 30.0})),
)
def siren(task: Task, *, w0: float = 5.0) -> keras.Model:
    """Returns three hidden layers of 64 units with sines, and a logit.

    The initialisation is the paper's (section 3.2).

    Args:
        task: classification or rendering.
        w0: the factor in all sines; 30 in the paper and in the recipe `paper`.
    """

    def dense(units: int, fan_in: int, limit: float) -> layers.Layer:
        uniform = keras.initializers.RandomUniform
        bias = 1 / math.sqrt(fan_in)  # The default of PyTorch, as in the released code
        return layers.Dense(
            units,
            kernel_initializer=uniform(-limit, limit),
            bias_initializer=uniform(-bias, bias),
        )

    inputs = keras.Input(task.input_shape)
    x = tile_with_coordinates(inputs, task.height, task.width)
    limit = math.sqrt(6 / _WIDTH) / w0
    x = Sine(w0)(dense(_WIDTH, 4, 1 / 4)(x))
    for _ in range(2):
        x = Sine(w0)(dense(_WIDTH, _WIDTH, limit)(x))
    x = dense(1, _WIDTH, limit)(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(x))


@with_recipes(source="Ha et al. 2016", tuned=dict.fromkeys(_TASKS, _START))
def hypernetwork(task: Task, *, hidden: int = 16) -> keras.Model:
    """Returns two layers of 64 units (ReLU) that make the weights of a network on the pixels.

    Args:
        task: classification or rendering.
        hidden: the number of hidden units of the network on the pixels.
    """
    inputs = x = keras.Input(task.input_shape)
    for _ in range(2):
        x = layers.Dense(_WIDTH, activation="relu", kernel_initializer="he_normal")(x)
    weights = layers.Dense(4 * hidden + 1)(x)
    logits = GeneratedNetwork(task.height, task.width, hidden)(weights)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(logits))
