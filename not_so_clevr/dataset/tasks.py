"""The six tasks: the input of a model, its target, and how its output is scored.

An example has three representations: the coordinates of the centre, the one-hot pixel there, and
the canvas. A task is an arrow from one of them to another.

| task             | x                              | y                          | model output |
|------------------|--------------------------------|----------------------------|--------------|
| `classification` | coordinates `[2]`              | one-hot `[H * W]`          | pixel logits |
| `regression`     | one-hot image `[H, W, 1]`      | coordinates `[2]`          | coordinates  |
| `rendering`      | coordinates `[2]`              | canvas, 0/1, `[H, W, 1]`   | pixel logits |
| `localisation`   | canvas, 0/1, `[H, W, 1]`       | coordinates `[2]`          | coordinates  |
| `painting`       | one-hot image `[H, W, 1]`      | canvas, 0/1, `[H, W, 1]`   | pixel logits |
| `detection`      | canvas, 0/1, `[H, W, 1]`       | one-hot `[H * W]`          | pixel logits |

The target decides the loss and the metrics. All arrays are float32. Coordinates (row i, column j)
go from -1 at the first pixel of the canvas to 1 at the last, each along its own axis, as in
CoordConv. Source of the first three: Liu et al. 2018, arXiv 1807.03247, sections 3 and 4.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.dataset import drawing, geometry, metrics

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Task(geometry.OnCanvas):
    """A task on canvases of H x W pixels; `TASKS` has the six.

    Attributes:
        canvas_size: in pixels: a number for a square canvas, or (height H, width W).
        name: as on the command line.
        accuracy_metric: the metric that is 1 for an example that is right, else 0.
        distance_metric: the metric that says how close the other examples are.
        source: the feature of the data set that x is: "coordinates", "one_hot" or "image".
        target: the feature that y is.
        input_shape: of one x, without the batch.
        output_shape: of one y and one prediction, without the batch.
        loss: of y and predictions, for `Model.compile`.
        metrics: name -> function of y and predictions, returns `[B]`; see `metrics`.
    """

    canvas_size: geometry.CanvasSize = geometry.CANVAS_SIZE

    name: ClassVar[str]
    accuracy_metric: ClassVar[str]
    distance_metric: ClassVar[str]
    source: ClassVar[str]
    target: ClassVar[str]

    def __post_init__(self) -> None:
        size = geometry.check_canvas_size(self.canvas_size)
        object.__setattr__(self, "canvas_size", size)  # NumPy's integers would overflow.

    @property
    def input_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def output_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def loss(self) -> keras.losses.Loss:
        raise NotImplementedError

    @property
    def metrics(self) -> dict[str, Callable[[Any, Any], Any]]:
        raise NotImplementedError

    def xy(self, examples: Mapping[str, Any]) -> tuple[Any, Any]:
        """Returns (x, y) of an example or a batch of `tfds.load`: NumPy arrays, or tensors.

        Raises:
            UserError: if the canvases of the examples have another size.
        """
        return self._x(examples), self._y(examples)

    def _x(self, examples: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def _y(self, examples: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def pixels(self, predictions: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """Returns the predicted coordinates, in pixels, `[B, 2]`; None for canvases."""
        return None

    def _flat_one_hot(self, examples: Mapping[str, Any]) -> Any:
        """Returns the one-hots, `[..., H * W]`."""
        return self._feature(examples, "one_hot", (self.height * self.width,))

    def _canvas(self, examples: Mapping[str, Any]) -> Any:
        """Returns the canvases, 0 for black and 1 for white, `[..., H, W, 1]`."""
        return self._feature(examples, "image", (self.height, self.width, 1)) / drawing.WHITE

    def _feature(self, examples: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Any:
        """Returns a feature as float32. Raises UserError unless each example has this shape."""
        array = _float32(examples[name])
        # In `tf.data` it may have None for what is not known.
        found = tuple(array.shape)[-len(shape) :]
        if len(found) < len(shape) or any(
            length not in (None, size) for length, size in zip(found, shape, strict=True)
        ):
            raise UserError(
                f"{name} has the shape {tuple(array.shape)}; expected {shape} for each example, "
                "because the task is for canvases of "
                f"{geometry.size_text(self.canvas_size)} pixels; give it the canvas_size of the "
                "data set."
            )
        return array

    def scaled(self, coordinates: Any) -> Any:
        """Returns coordinates in pixels, integers `[..., 2]`, on the [-1, 1] scale: float32.

        Each is scaled along its own axis: -1 is the first row or column, and 1 the last.
        """
        last = np.array([self.height - 1, self.width - 1], np.float32)
        return (2 * _float32(coordinates) - last) / np.maximum(last, 1)


class _FromCoordinates(Task):
    """Tasks whose input is the coordinates, `[2]`."""

    source = "coordinates"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (2,)

    def _x(self, examples: Mapping[str, Any]) -> Any:
        return self.scaled(examples["coordinates"])


class _FromOneHot(Task):
    """Tasks whose input is the one-hot as an image, `[H, W, 1]`."""

    source = "one_hot"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, 1)

    def _x(self, examples: Mapping[str, Any]) -> Any:
        one_hot = self._flat_one_hot(examples)
        batch = [-1] * (len(one_hot.shape) - 1)  # None for a single example
        return _library(one_hot).reshape(one_hot, (*batch, *self.input_shape))


class _FromCanvas(Task):
    """Tasks whose input is the canvas, 0 for black and 1 for white, `[H, W, 1]`."""

    source = "image"

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, 1)

    def _x(self, examples: Mapping[str, Any]) -> Any:
        return self._canvas(examples)


class _ToCoordinates(Task):
    """Tasks whose answer is the coordinates; the loss is the mean squared error."""

    target = "coordinates"
    accuracy_metric = "within_half_pixel"
    distance_metric = "error"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (2,)

    @property
    def loss(self) -> keras.losses.Loss:
        import keras

        return keras.losses.MeanSquaredError()

    @property
    def metrics(self) -> dict[str, Callable[[Any, Any], Any]]:
        functions = (
            metrics.error,
            metrics.within_half_pixel,
            metrics.pair_accuracy,
            metrics.coordinate_accuracy,
        )
        return {f.__name__: functools.partial(f, canvas_size=self.canvas_size) for f in functions}

    def _y(self, examples: Mapping[str, Any]) -> Any:
        return self.scaled(examples["coordinates"])

    def pixels(self, predictions: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        half = np.array([self.height - 1, self.width - 1], np.float32) / np.float32(2)
        return ((predictions + 1) * half).astype(np.float32)


class _ToOneHot(Task):
    """Tasks whose answer is a pixel; the loss is softmax cross-entropy over the pixels."""

    target = "one_hot"
    accuracy_metric = "accuracy"
    distance_metric = "distance"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.height * self.width,)

    @property
    def loss(self) -> keras.losses.Loss:
        import keras

        return keras.losses.CategoricalCrossentropy(from_logits=True)

    @property
    def metrics(self) -> dict[str, Callable[[Any, Any], Any]]:
        distance = functools.partial(metrics.distance, canvas_size=self.canvas_size)
        return {"accuracy": metrics.accuracy, "distance": distance}

    def _y(self, examples: Mapping[str, Any]) -> Any:
        return self._flat_one_hot(examples)

    def pixels(self, predictions: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        rows_columns = np.divmod(predictions.argmax(axis=-1), self.width)
        return np.stack(rows_columns, axis=-1).astype(np.float32)


class _ToCanvas(Task):
    """Tasks whose answer is a canvas; the loss is sigmoid cross-entropy of each pixel."""

    target = "image"
    accuracy_metric = "exact"
    distance_metric = "iou"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, 1)

    @property
    def loss(self) -> keras.losses.Loss:
        import keras

        return keras.losses.BinaryCrossentropy(from_logits=True)

    @property
    def metrics(self) -> dict[str, Callable[[Any, Any], Any]]:
        return {
            "iou": metrics.iou,
            "pixel_accuracy": metrics.pixel_accuracy,
            "exact": metrics.exact,
        }

    def _y(self, examples: Mapping[str, Any]) -> Any:
        return self._canvas(examples)


class Classification(_FromCoordinates, _ToOneHot):
    """Coordinates -> the pixel there."""

    name = "classification"


class Regression(_FromOneHot, _ToCoordinates):
    """One-hot image -> the coordinates of the pixel."""

    name = "regression"


class Rendering(_FromCoordinates, _ToCanvas):
    """Coordinates -> the canvas with the shape there."""

    name = "rendering"


class Localisation(_FromCanvas, _ToCoordinates):
    """Canvas -> the coordinates of the centre of the shape."""

    name = "localisation"


class Painting(_FromOneHot, _ToCanvas):
    """One-hot image -> the canvas with the shape there."""

    name = "painting"


class Detection(_FromCanvas, _ToOneHot):
    """Canvas -> the pixel at the centre of the shape."""

    name = "detection"


TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (Classification, Regression, Rendering, Localisation, Painting, Detection)
}


def as_task(task: str | Task, canvas_size: geometry.CanvasSize) -> Task:
    """Returns a task, from its name or itself, on canvases of that size in pixels.

    Raises:
        UserError: if the task or the size is unknown, or the task has another size.
    """
    if isinstance(task, Task) and type(task) in TASKS.values():
        if task.canvas_size != geometry.check_canvas_size(canvas_size):
            own, other = map(geometry.size_text, (task.canvas_size, canvas_size))
            raise UserError(
                f"The task is for canvases of {own} pixels, but the data set has {other}; "
                f"give its name instead: {task.name!r}."
            )
        return task
    if not isinstance(task, str) or task not in TASKS:
        hint = did_you_mean(task, TASKS)
        raise UserError(f"Unknown task {task!r}{hint}; expected one of {', '.join(TASKS)}.")
    return TASKS[task](canvas_size)


def _float32(array: Any) -> Any:
    library = _library(array)
    return array.astype(np.float32) if library is np else library.cast(array, "float32")


def _library(array: Any) -> Any:
    """Returns NumPy, keras.ops, or TensorFlow for `tf.data` on another backend of Keras."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    import keras

    if keras.ops.is_tensor(array):
        return keras.ops
    import tensorflow as tf

    return tf
