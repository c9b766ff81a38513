"""The config of a data set: canvas, shape and split. Its name encodes all of them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.dataset import geometry, shapes, splits

#: Canvases with at least the square of this number of pixels are generated with Apache Beam
#: (docs/large.md).
BEAM_CANVAS_SIZE = 1024


@dataclasses.dataclass(eq=False, kw_only=True)
class NotSoClevrConfig(geometry.OnCanvas):
    """A data set: canvas, shape and split.

    The name is computed from the values that differ from the defaults, so different data sets never
    share a folder: `NotSoClevrConfig(split="quadrant", canvas_size=32).name == "quadrant_32"`.

    TFDS takes it as a `tfds.core.BuilderConfig`, which it does not extend: that would import TFDS.

    Attributes:
        canvas_size: in pixels, 1 to 4096: a number for a square canvas, or (height H, width W).
        shape: what is drawn around each centre: a name, e.g. "disc9", or booleans `[k, k]`, k odd;
            see `shapes`. It must fit on the canvas.
        split: one of `splits.SPLITS`.
        held_out: the test quadrant if `split` is "quadrant", one of `splits.QUADRANTS`.
        test_percent: the share of test examples if `split` is "uniform", in per cent, 1 to 99.
        seed: seed of the random draw if `split` is "uniform", 0 to 2^32 - 1.

    Raises:
        UserError: if a value is not allowed, or the split does not use it.
    """

    name: str = dataclasses.field(init=False)
    version: str | None = dataclasses.field(init=False, default=None)
    release_notes: dict[str, str] | None = dataclasses.field(init=False, default=None)
    supported_versions: list[str] = dataclasses.field(init=False, default_factory=list)
    description: str | None = dataclasses.field(init=False, default=None)
    tags: list[str] = dataclasses.field(init=False, default_factory=list)

    canvas_size: geometry.CanvasSize = geometry.CANVAS_SIZE
    shape: str = shapes.SHAPE
    split: str = splits.SPLITS[0]
    held_out: str = splits.HELD_OUT
    test_percent: int = splits.TEST_PERCENT
    seed: int = splits.SEED

    def __post_init__(self) -> None:
        self.canvas_size = geometry.check_canvas_size(self.canvas_size)
        self.shape = shapes.as_shape(self.shape)
        geometry.check_sizes(self.canvas_size, self.shape_size)
        checked = splits.check_split(self.split, self.held_out, self.test_percent, self.seed)
        self.test_percent, self.seed = checked
        if min(self._grid) < 5 or self.num_examples < 100:
            self.split_centres()  # Raises if train or test is empty, as only few centres can be.

        self.name = self._name()
        self.description = self._description()

    def __fspath__(self) -> str:
        """Returns the name, which is also the folder in which TFDS keeps the data set."""
        return self.name

    @classmethod
    def from_name(cls, name: str) -> NotSoClevrConfig:
        """Returns the config with this name. Raises UserError if there is none."""
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match:
            values = {key: value for key, value in match.groupdict().items() if value}
            height, width = values.pop("height", None), values.pop("width", None)
            numbers: dict[str, Any] = {
                key: int(value) if value.isdigit() else value for key, value in values.items()
            }
            if height:
                numbers["canvas_size"] = (int(height), int(width)) if width else int(height)
            config = cls(**numbers)
            if config.name == name:
                return config
            hint = f" (did you mean {config.name!r}?)"
        else:
            hint = did_you_mean(name, _NAMES.split())

        raise UserError(
            f"Unknown config {name!r}{hint}; expected one of {', '.join(splits.SPLITS)}, "
            "or SPLIT[_QUADRANT][_testPERCENT][_SIZE or _HEIGHTxWIDTH][_SHAPE][_seedSEED], e.g. "
            "'quadrant_48', 'rows_48x80_disc9' or 'uniform_test50_48_square5_seed1'."
        )

    @property
    def shape_size(self) -> int:
        """k, in pixels: the shape lies in a square of k x k pixels."""
        return shapes.size(self.shape)

    @property
    def num_examples(self) -> int:
        """Number of train and test examples together, (H - k + 1)(W - k + 1)."""
        rows, columns = self._grid
        return rows * columns

    @property
    def _grid(self) -> tuple[int, int]:
        """Numbers of rows and columns of centres."""
        return self.height - self.shape_size + 1, self.width - self.shape_size + 1

    def split_centres(self) -> dict[str, npt.NDArray[np.int64]]:
        """Returns the centres of "train" and "test", row-major: int64 `[n, 2]` each.

        A centre is (row i, column j) in pixels.
        """
        centres = geometry.centres(self.canvas_size, self.shape_size)
        test = splits.is_test(
            self.split,
            canvas_size=self.canvas_size,
            shape_size=self.shape_size,
            held_out=self.held_out,
            test_percent=self.test_percent,
            seed=self.seed,
        )
        return {"train": centres[~test], "test": centres[test]}

    def _name(self) -> str:
        parts = [self.split]
        if self.held_out != splits.HELD_OUT:
            parts.append(self.held_out)
        if self.test_percent != splits.TEST_PERCENT:
            parts.append(f"test{self.test_percent}")
        if self.canvas_size != geometry.CANVAS_SIZE:
            parts.append(geometry.size_text(self.canvas_size))
        if self.shape != shapes.SHAPE:
            parts.append(self.shape)
        if self.seed != splits.SEED:
            parts.append(f"seed{self.seed}")
        return "_".join(parts)

    def _description(self) -> str:
        rule = f"{self.split} split"
        if self.split == "quadrant":
            rule = f"{self.held_out.replace('_', ' ')} quadrant held out"
        elif self.split == "uniform":
            rule += f", seed {self.seed}"
            if self.test_percent != splits.TEST_PERCENT:
                rule += f", {self.test_percent} % test"
        word, k = shapes.word(self.shape), self.shape_size
        plural = "crosses" if word == "cross" else f"{word}s"
        return f"{k}x{k} {plural} on {self.height}x{self.width} canvases, {rule}."


_NAME = re.compile(
    rf"(?P<split>{'|'.join(sorted(splits.SPLITS, key=len, reverse=True))})"
    rf"(_(?P<held_out>{'|'.join(splits.QUADRANTS)}))?"
    r"(_test(?P<test_percent>\d{1,10}))?"
    r"(_(?P<height>\d{1,10})(x(?P<width>\d{1,10}))?)?"
    rf"(_(?P<shape>{shapes.PATTERN}))?"
    r"(_seed(?P<seed>\d{1,10}))?"
)

_NAMES = (
    "uniform quadrant rows columns border centre checkerboard uniform_test50 uniform_test80 "
    "uniform_test90 uniform_test95 uniform_test98 quadrant_upper_left quadrant_upper_right "
    "quadrant_lower_left uniform_uber quadrant_uber uniform_32 quadrant_32 uniform_128 "
    "quadrant_128 uniform_256 quadrant_256"
)
CONFIGS = tuple(NotSoClevrConfig.from_name(name) for name in _NAMES.split())


def as_config(config: str | NotSoClevrConfig) -> NotSoClevrConfig:
    """Returns the config that `config` is or names. Raises UserError if there is none."""
    if isinstance(config, NotSoClevrConfig):
        return dataclasses.replace(config)  # Checks fields that were set by hand.
    return NotSoClevrConfig.from_name(config)
