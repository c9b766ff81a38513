"""AddCoords and CoordConv in one, two and three dimensions.

Source: Liu et al. 2018, arXiv 1807.03247, section 3. Coordinates run from -1 at the first pixel to
1 at the last, along each axis on its own, whatever the lengths of the others (the released code of
the paper is wrong there). Along an axis of length 1 the coordinate is 0. The radius is the distance
from the middle, where all coordinates are 0.

A convolution of the concatenation [x, coordinates] is the sum of a convolution of x and one of the
coordinates. The second is the same for every example, so `CoordConv` computes it once per batch
and concatenates nothing.

`CoordConv1D`, `CoordConv2D` and `CoordConv3D` take all arguments of the Keras convolutions they are
named after, and two keyword arguments:

- `radius`: if true, the filters also see the distance from the middle. Default false.
- `separate`: if true, one-pixel filters of their own see the coordinates of the middle pixel of
  each window, which takes fewer weights (footnote 2 of the paper). If false, the default, the
  filters see the coordinates of the whole window, as if they were concatenated to the input.

Spatial axes may have unknown length; integers are cast to the compute dtype.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_PACKAGE = "not_so_clevr"


@keras.saving.register_keras_serializable(package=_PACKAGE)
class AddCoords(keras.layers.Layer):
    """Appends the coordinates of each pixel to its channels.

    Args:
        radius: if true, also appends the distance from the middle.
        data_format: "channels_last", "channels_first", or None for the Keras default.

    Input shape:
        `[B, *spatial, C]`, or `[B, C, *spatial]` if channels come first, with one to three spatial
        axes of any, even unknown, length. Integers are cast to the compute dtype.

    Output shape:
        The same, with C + rank channels, or C + rank + 1 with the radius.

    Raises:
        ValueError: if `radius` is not a bool; when built, if there are not 1 to 3 spatial axes.

    Examples:
        >>> tuple(AddCoords()(keras.ops.zeros((8, 28, 30, 3))).shape)
        (8, 28, 30, 5)
    """

    def __init__(self, radius: bool = False, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radius = _flag("radius", radius)
        self.data_format = _data_format(data_format)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.input_spec = _spatial_spec(input_shape)

    def call(self, inputs: Any) -> Any:
        inputs = ops.cast(inputs, self.compute_dtype)
        coordinates = coordinate_channels(inputs, self.radius, self.data_format)
        return _concatenate(inputs, coordinates, self.data_format)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return _with_coordinates(input_shape, self.radius, self.data_format)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Returns the mask of the inputs; where it covers the channels, the new ones are valid."""
        if previous_mask is None or self.data_format == "channels_last":
            return previous_mask
        valid = ops.ones_like(previous_mask[:, :1])
        new = [valid] * (len(inputs.shape) - 2 + self.radius)
        return ops.concatenate([previous_mask, *new], axis=1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"radius": self.radius, "data_format": self.data_format}


@keras.saving.register_keras_serializable(package=_PACKAGE)
class ReadCoords(keras.layers.Layer):
    """Returns the mean coordinates of the pixels under the softmax of each channel.

    AddCoords backwards, without weights: its coordinate channels are the readout. Source: the
    spatial softmax of Levine et al. 2016, arXiv 1504.00702; DSNT (Nibali et al. 2018, arXiv
    1801.07372).

    Input shape:
        `[B, *spatial, C]` logits, with one to three spatial axes.

    Output shape:
        `[B, C * rank]`: the coordinates of the first channel, then those of the second.

    Raises:
        ValueError: when built, if there are not 1 to 3 spatial axes.

    Examples:
        >>> tuple(ReadCoords()(keras.ops.zeros((8, 28, 30, 3))).shape)
        (8, 6)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.input_spec = _spatial_spec(input_shape)

    def call(self, inputs: Any) -> Any:
        # In half precision, the shares of thousands of pixels do not add up to 1.
        inputs = ops.cast(inputs, "float64" if self.compute_dtype == "float64" else "float32")
        coordinates = coordinate_channels(inputs, False, "channels_last")
        channels, rank = inputs.shape[-1], len(inputs.shape) - 2

        logits = ops.reshape(inputs, (ops.shape(inputs)[0], -1, channels))
        shares = ops.softmax(ops.transpose(logits, (0, 2, 1)), axis=-1)
        means = ops.matmul(shares, ops.reshape(coordinates, (-1, rank)))
        return ops.cast(ops.reshape(means, (-1, channels * rank)), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[-1]
        return input_shape[0], None if channels is None else channels * (len(input_shape) - 2)


class _CoordConv(keras.layers.Layer):
    """Makes a CoordConv of the Keras convolution that a class also inherits from."""

    def __init__(
        self, *args: Any, radius: bool = False, separate: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.radius = _flag("radius", radius)
        self.separate = _flag("separate", separate)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != self.rank + 2:
            expected = f"Expected an input of rank {self.rank + 2}"
            raise ValueError(f"{expected}. Received: {input_shape=}.")

        if self.separate:
            self.coordinate_kernel = self.add_weight(
                name="coordinate_kernel",
                shape=(1,) * self.rank + (self.rank + self.radius, self.filters),
                initializer=_clone(self.kernel_initializer),
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
            )
            return super().build(input_shape)

        super().build(_with_coordinates(input_shape, self.radius, self.data_format))
        channels = _channel_axis(self.data_format)
        self.input_spec = keras.layers.InputSpec(
            ndim=self.rank + 2, axes={channels: input_shape[channels]}
        )

    def call(self, inputs: Any) -> Any:
        inputs = ops.cast(inputs, self.compute_dtype)
        coordinates = coordinate_channels(inputs, self.radius, self.data_format)
        kernel = ops.convert_to_tensor(self.kernel)
        channels = inputs.shape[_channel_axis(self.data_format)]

        if self.separate:
            coordinates = self._take_middles(coordinates)
            added = ops.conv(coordinates, self.coordinate_kernel, data_format=self.data_format)
            outputs = self._convolve(inputs, kernel) + added
        elif self.groups > 1:  # Each group sees its part of the concatenation: no sum of two.
            together = _concatenate(inputs, coordinates, self.data_format)
            outputs = self._convolve(together, kernel)
        else:
            added = self._convolve(coordinates, kernel[..., channels:, :])
            outputs = self._convolve(inputs, kernel[..., :channels, :]) + added

        if self.use_bias:
            shape = [1] * (self.rank + 2)
            shape[_channel_axis(self.data_format)] = self.filters
            outputs = outputs + ops.reshape(self.bias, shape)
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"radius": self.radius, "separate": self.separate}

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if self.separate and self.built:
            store["coordinate_kernel"] = self.coordinate_kernel

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        if self.separate and self.built:
            self.coordinate_kernel.assign(store["coordinate_kernel"])

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        each_pixel_alone = set(self.kernel_size + self.strides) == {1} and self.groups == 1
        if (
            each_pixel_alone and self.data_format == "channels_last"
        ):  # A matrix product; docs/speed.md
            return ops.matmul(inputs, ops.reshape(kernel, kernel.shape[-2:]))

        if inputs.shape[0] == 0:  # TensorFlow with oneDNN returns the shape of the inputs.
            one = ops.zeros((1, *ops.shape(inputs)[1:]), inputs.dtype)
            return self._convolve(one, kernel)[:0]
        padding = self.padding
        if padding == "causal":  # In one dimension only
            before = (self.kernel_size[0] - 1) * self.dilation_rate[0]
            widths = [[0, 0], [0, 0], [0, 0]]
            widths[self._spatial_axes()[0]][0] = before
            inputs = ops.pad(inputs, widths)
            padding = "valid"
        if inputs.shape[_channel_axis(self.data_format)] == 1 and self.strides[-1] > 1:
            # TensorFlow 2.21 with oneDNN may get one channel wrong (docs/layers.md): add zeros.
            inputs = ops.concatenate([inputs, 0 * inputs], axis=_channel_axis(self.data_format))
            kernel = ops.concatenate([kernel, 0 * kernel], axis=-2)
        strides = list(self.strides)
        return ops.conv(inputs, kernel, strides, padding, self.data_format, self.dilation_rate)

    def _take_middles(self, coordinates: Any) -> Any:
        """Returns the coordinates of the middle pixel of each window; of the last one if causal."""
        for axis, kernel, stride, dilation in zip(
            self._spatial_axes(), self.kernel_size, self.strides, self.dilation_rate, strict=True
        ):
            length, reach = ops.shape(coordinates)[axis], (kernel - 1) * dilation
            windows, first = -(-length // stride), 0
            if self.padding == "valid":
                windows, first = (length - reach - 1) // stride + 1, reach // 2
            elif self.padding == "same":
                missing = ops.maximum((windows - 1) * stride + reach + 1 - length, 0)
                first = reach // 2 - missing // 2
            middles = first + stride * ops.arange(windows)
            coordinates = ops.take(coordinates, middles, axis=axis)
        return coordinates

    def _spatial_axes(self) -> range:
        first = 1 if self.data_format == "channels_last" else 2
        return range(first, first + self.rank)


@keras.saving.register_keras_serializable(package=_PACKAGE)
class CoordConv1D(_CoordConv, keras.layers.Conv1D):
    """`keras.layers.Conv1D` that sees the coordinates of its inputs; see `CoordConv2D`.

    Input shape:
        `[B, L, C]`, or `[B, C, L]` if channels come first.

    Output shape:
        As for `keras.layers.Conv1D`, with `filters` channels.

    Raises:
        ValueError: as for `CoordConv2D`.

    Examples:
        >>> tuple(CoordConv1D(32, 3, padding="causal")(keras.ops.zeros((8, 100, 3))).shape)
        (8, 100, 32)
    """


@keras.saving.register_keras_serializable(package=_PACKAGE)
class CoordConv2D(_CoordConv, keras.layers.Conv2D):
    """`keras.layers.Conv2D` that sees the coordinates of its inputs.

    Args:
        *args: as for `keras.layers.Conv2D`: filters, kernel_size, strides and so on.
        radius: if true, the filters also see the distance from the middle.
        separate: if true, one-pixel filters of their own see the coordinates of the middle pixel of
            each window.
        **kwargs: as for `keras.layers.Conv2D`.

    Input shape:
        `[B, H, W, C]`, or `[B, C, H, W]` if channels come first.

    Output shape:
        As for `keras.layers.Conv2D`, with `filters` channels.

    Raises:
        ValueError: as for `keras.layers.Conv2D`; if `radius` or `separate` is not a bool; or,
            when built, if the input has another rank.

    Examples:
        >>> tuple(CoordConv2D(32, 1, radius=True)(keras.ops.zeros((8, 28, 30, 3))).shape)
        (8, 28, 30, 32)
    """


@keras.saving.register_keras_serializable(package=_PACKAGE)
class CoordConv3D(_CoordConv, keras.layers.Conv3D):
    """`keras.layers.Conv3D` that sees the coordinates of its inputs; see `CoordConv2D`.

    Input shape:
        `[B, D, H, W, C]`, or `[B, C, D, H, W]` if channels come first.

    Output shape:
        As for `keras.layers.Conv3D`, with `filters` channels.

    Raises:
        ValueError: as for `CoordConv2D`.

    Examples:
        >>> tuple(CoordConv3D(32, 3, strides=2)(keras.ops.zeros((8, 9, 11, 13, 3))).shape)
        (8, 4, 5, 6, 32)
    """


def tile(inputs: Any, height: int, width: int) -> Any:
    """Returns the inputs, `[B, C]`, at each pixel: `[B, H, W, C]`."""
    x = keras.layers.Reshape((1, 1, inputs.shape[-1]))(inputs)
    return keras.layers.UpSampling2D((height, width))(x)


def tile_with_coordinates(inputs: Any, height: int, width: int) -> Any:
    """Returns the inputs, `[B, C]`, at each pixel, with its coordinates: `[B, H, W, C + 2]`."""
    return AddCoords()(tile(inputs, height, width))


def coordinate_channels(inputs: Any, radius: bool, data_format: str) -> Any:
    """Returns the coordinates of the pixels of `inputs`, as a batch of one in its dtype.

    Args:
        inputs: `[B, *spatial, C]`, or `[B, C, *spatial]` if channels come first.
        radius: whether to add the distance from the middle.
        data_format: "channels_last" or "channels_first".

    Returns:
        `[1, *spatial, D]`, or `[1, D, *spatial]` if channels come first; D is the number of spatial
        axes, plus 1 with the radius.
    """
    wide = "float64" if keras.backend.standardize_dtype(inputs.dtype) == "float64" else "float32"
    rank = len(inputs.shape) - 2
    spatial = ops.shape(inputs)[1:-1] if data_format == "channels_last" else ops.shape(inputs)[2:]
    axes = []
    for axis, length in enumerate(spatial):
        # From 1 - n to n - 1 by steps of 2: the middle is exactly 0, and so is a single pixel.
        line = ops.cast(2 * ops.arange(length) - (length - 1), wide)
        line = line / ops.cast(ops.maximum(length - 1, 1), wide)
        line = ops.reshape(line, [-1 if other == axis else 1 for other in range(rank)])
        axes.append(ops.broadcast_to(line, spatial))
    if radius:
        axes.append(ops.sqrt(sum(ops.square(line) for line in axes)))
    coordinates = ops.stack(axes, axis=-1 if data_format == "channels_last" else 0)
    return ops.cast(ops.expand_dims(coordinates, axis=0), inputs.dtype)


def _spatial_spec(input_shape: tuple[int | None, ...]) -> keras.layers.InputSpec:
    """Returns the spec of inputs with this rank. Raises ValueError without 1 to 3 spatial axes."""
    if not 3 <= len(input_shape) <= 5:
        raise ValueError(f"Expected an input of rank 3, 4 or 5. Received: {input_shape=}.")
    return keras.layers.InputSpec(ndim=len(input_shape))


def _flag(name: str, value: object) -> bool:
    """Returns a bool as it is. Raises ValueError for anything else, such as 2 and "no"."""
    if not isinstance(value, bool):
        raise ValueError(f"Argument `{name}` must be True or False. Received: {name}={value!r}.")
    return value


def _clone(initializer: Any) -> Any:
    """Returns a new initializer: the same one would draw the same numbers again."""
    is_initializer = isinstance(initializer, keras.initializers.Initializer)
    return initializer.clone() if is_initializer else initializer


def _concatenate(inputs: Any, coordinates: Any, data_format: str) -> Any:
    shape, channels = list(ops.shape(inputs)), _channel_axis(data_format)
    shape[channels] = coordinates.shape[channels]
    return ops.concatenate([inputs, ops.broadcast_to(coordinates, shape)], axis=channels)


def _data_format(data_format: str | None) -> str:
    if data_format is None:
        data_format = keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        expected = 'Expected data_format to be "channels_last" or "channels_first"'
        raise ValueError(f"{expected}. Received: {data_format!r}.")
    return data_format


def _channel_axis(data_format: str) -> int:
    return -1 if data_format == "channels_last" else 1


def _with_coordinates(
    input_shape: tuple[int | None, ...], radius: bool, data_format: str
) -> tuple[int | None, ...]:
    shape, channels = list(input_shape), _channel_axis(data_format)
    count = shape[channels]
    shape[channels] = None if count is None else count + len(shape) - 2 + radius
    return tuple(shape)
