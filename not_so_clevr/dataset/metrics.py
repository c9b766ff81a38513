"""Metrics: functions of y_true and y_pred that return one number for each example, float32 `[B]`.

The caller takes the mean over all examples. The functions are written in `keras.ops`, so they take
NumPy arrays and tensors of Keras' backend. A canvas has H x W pixels; distances are Euclidean, in
pixels. All raise UserError if y_true and y_pred differ in shape. The first call imports Keras; this
module does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from not_so_clevr.checks import UserError
from not_so_clevr.dataset.geometry import CanvasSize, height_width


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric and how to read its values.

    Attributes:
        function: of y_true and y_pred, and for distances the canvas size; returns `[B]`.
        unit: "%" for a share that is shown in percent, "px" for a distance, "" for a plain number.
        higher_is_better: whether 1 is perfect; otherwise 0 is.
    """

    function: Callable[..., Any]
    unit: str
    higher_is_better: bool

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def label(self) -> str:
        """The name as a figure shows it."""
        return "IoU" if self.name == "iou" else self.name

    @property
    def highest(self) -> float:
        """The largest value that the metric can have."""
        return 1.0 if self.higher_is_better else math.inf

    def shortfall(self, value: Any) -> Any:
        """Returns how far a value is from perfect, 0 for a perfect one."""
        return 1 - value if self.higher_is_better else value


class _Ops:
    """`keras.ops`, imported at its first use: reading results must not take seconds."""

    def __getattr__(self, name: str) -> Any:
        import keras

        return getattr(keras.ops, name)


ops: Any = _Ops()


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Classification: 1 where the pixel with the highest logit is the right one, else 0.

    Args:
        y_true: one-hot, `[B, H * W]`.
        y_pred: logits (or probabilities), `[B, H * W]`.
    """
    _check(y_true, y_pred)
    return _float(ops.argmax(y_true, axis=-1) == ops.argmax(y_pred, axis=-1))


def distance(y_true: Any, y_pred: Any, canvas_size: CanvasSize | None = None) -> Any:
    """Classification: distance from the pixel with the highest logit to the right one.

    Arguments as for `accuracy`, and `canvas_size` as for `error`; by default the canvas is square.
    """
    _check(y_true, y_pred)
    width = round(y_true.shape[-1] ** 0.5) if canvas_size is None else height_width(canvas_size)[1]
    true, predicted = ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)
    rows, columns = true // width - predicted // width, true % width - predicted % width
    return ops.sqrt(_float(rows * rows + columns * columns))


def error(y_true: Any, y_pred: Any, canvas_size: CanvasSize) -> Any:
    """Regression: distance between predicted and true coordinates, without rounding.

    Args:
        y_true: coordinates (row i, column j) on the [-1, 1] scale, `[B, 2]`.
        y_pred: the same, predicted.
        canvas_size: in pixels, one number or (height H, width W).
    """
    _check(y_true, y_pred)
    return ops.sqrt(
        ops.sum(ops.square(_pixels(y_pred, canvas_size) - _pixels(y_true, canvas_size)), axis=-1)
    )


def within_half_pixel(y_true: Any, y_pred: Any, canvas_size: CanvasSize) -> Any:
    """Regression: 1 where `error` is below half a pixel, else 0; stricter than `pair_accuracy`.

    Arguments as for `error`.
    """
    return _float(error(y_true, y_pred, canvas_size) < 0.5)


def pair_accuracy(y_true: Any, y_pred: Any, canvas_size: CanvasSize) -> Any:
    """Regression: 1 where both coordinates, rounded to whole pixels, are right, else 0.

    Arguments as for `error`.
    """
    return _float(ops.all(_rounded_right(y_true, y_pred, canvas_size), axis=-1))


def coordinate_accuracy(y_true: Any, y_pred: Any, canvas_size: CanvasSize) -> Any:
    """Regression: the share (0, 1/2 or 1) of the two rounded coordinates that are right.

    Its mean is the article's accuracy. Arguments as for `error`.
    """
    return ops.mean(_float(_rounded_right(y_true, y_pred, canvas_size)), axis=-1)


def iou(y_true: Any, y_pred: Any) -> Any:
    """Rendering: intersection over union of the white pixels; white is a logit above 0.

    Args:
        y_true: canvases, 0 or 1, `[B, H, W, 1]`.
        y_pred: logits, `[B, H, W, 1]`.
    """
    _check(y_true, y_pred)
    true, predicted = y_true > 0.5, y_pred > 0
    intersection = ops.sum(_float(ops.logical_and(true, predicted)), axis=(1, 2, 3))
    union = ops.sum(_float(ops.logical_or(true, predicted)), axis=(1, 2, 3))
    return intersection / union  # A true canvas has white pixels, so the union is never empty.


def pixel_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Rendering: the share of the pixels that are right. Arguments as for `iou`."""
    _check(y_true, y_pred)
    return ops.mean(_float((y_true > 0.5) == (y_pred > 0)), axis=(1, 2, 3))


def exact(y_true: Any, y_pred: Any) -> Any:
    """Rendering: 1 where every pixel of the canvas is right, else 0. Arguments as for `iou`."""
    _check(y_true, y_pred)
    return _float(ops.all((y_true > 0.5) == (y_pred > 0), axis=(1, 2, 3)))


def _check(y_true: Any, y_pred: Any) -> None:
    """Raises UserError unless both have one shape; they would be broadcast otherwise."""
    true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
    if len(true) != len(predicted) or any(
        None not in pair and len({*pair}) > 1 for pair in zip(true, predicted, strict=True)
    ):
        raise UserError(f"y_pred has the shape {predicted}, and y_true {true}; expected the same.")


def _float(array: Any) -> Any:
    return ops.cast(array, "float32")


def _pixels(coordinates: Any, canvas_size: CanvasSize) -> Any:
    half = (np.array(height_width(canvas_size), "float32") - 1) / 2
    return (_float(coordinates) + 1) * half


def _rounded_right(y_true: Any, y_pred: Any, canvas_size: CanvasSize) -> Any:
    _check(y_true, y_pred)
    return ops.round(_pixels(y_pred, canvas_size)) == ops.round(_pixels(y_true, canvas_size))


METRICS = {
    metric.name: metric
    for metric in (
        Metric(accuracy, "%", higher_is_better=True),
        Metric(distance, "px", higher_is_better=False),
        Metric(error, "px", higher_is_better=False),
        Metric(within_half_pixel, "%", higher_is_better=True),
        Metric(pair_accuracy, "%", higher_is_better=True),
        Metric(coordinate_accuracy, "%", higher_is_better=True),
        Metric(iou, "", higher_is_better=True),
        Metric(pixel_accuracy, "%", higher_is_better=True),
        Metric(exact, "%", higher_is_better=True),
    )
}
