"""The config of a data set: canvas size, square size and split. Its name encodes all of them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from not_so_clevr.checks import UserError, did_you_mean
from not_so_clevr.dataset import geometry, splits

#: Canvases from this size on, in pixels, are generated with Apache Beam (docs/large.md).
BEAM_CANVAS_SIZE = 512


@dataclasses.dataclass(eq=False, kw_only=True)
class NotSoClevrConfig:
    """A data set: canvas size, square size and split.

    The name is computed from the values that differ from the defaults, so different data sets never
    share a folder: `NotSoClevrConfig(split="quadrant", canvas_size=32).name == "quadrant_32"`.

    TFDS takes it as a `tfds.core.BuilderConfig`, which it does not extend: that would import TFDS.

    Attributes:
        canvas_size: S, in pixels, 1 to 4096.
        square_size: k, in pixels, odd, at most `canvas_size`.
        split: one of `splits.SPLITS`.
        held_out: the test quadrant if `split` is "quadrant", one of `splits.QUADRANTS`.
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

    canvas_size: int = geometry.CANVAS_SIZE
    square_size: int = geometry.SQUARE_SIZE
    split: str = splits.SPLITS[0]
    held_out: str = splits.HELD_OUT
    seed: int = splits.SEED

    def __post_init__(self) -> None:
        sizes = geometry.check_sizes(self.canvas_size, self.square_size)
        self.canvas_size, self.square_size = sizes
        self.seed = splits.check_split(self.split, self.held_out, self.seed)
        if self.canvas_size - self.square_size < 4:
            self.split_centres()  # Raises if train or test is empty, as only few centres can be.

        self.name = self._name()
        rule = {
            "quadrant": f"{self.held_out.replace('_', ' ')} quadrant held out",
            "uniform": f"uniform split, seed {self.seed}",
        }.get(self.split, f"{self.split} split")
        size, k = self.canvas_size, self.square_size
        self.description = f"{k}x{k} squares on {size}x{size} canvases, {rule}."

    def __fspath__(self) -> str:
        """Returns the name, which is also the folder in which TFDS keeps the data set."""
        return self.name

    @classmethod
    def from_name(cls, name: str) -> NotSoClevrConfig:
        """Returns the config with this name. Raises UserError if there is none."""
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match:
            values: dict[str, Any] = {
                key: int(value) if value.isdigit() else value
                for key, value in match.groupdict().items()
                if value
            }
            config = cls(**values)
            if config.name == name:
                return config
            hint = f" (did you mean {config.name!r}?)"
        else:
            hint = did_you_mean(name, _NAMES.split())

        raise UserError(
            f"Unknown config {name!r}{hint}; expected one of {', '.join(_NAMES.split())}, "
            "or any SPLIT[_QUADRANT][_CANVAS][_squareSIZE][_seedSEED], e.g. 'quadrant_48' or "
            "'uniform_48_square5_seed1'."
        )

    @property
    def num_examples(self) -> int:
        """Number of train and test examples together, (S - k + 1)^2."""
        return (self.canvas_size - self.square_size + 1) ** 2

    def split_centres(self) -> dict[str, npt.NDArray[np.int64]]:
        """Returns the centres of "train" and "test", row-major: int64 `[n, 2]` each.

        A centre is (row i, column j) in pixels.
        """
        centres = geometry.centres(self.canvas_size, self.square_size)
        test = splits.is_test(
            self.split,
            canvas_size=self.canvas_size,
            square_size=self.square_size,
            held_out=self.held_out,
            seed=self.seed,
        )
        return {"train": centres[~test], "test": centres[test]}

    def _name(self) -> str:
        parts = [self.split]
        if self.held_out != splits.HELD_OUT:
            parts.append(self.held_out)
        if self.canvas_size != geometry.CANVAS_SIZE:
            parts.append(str(self.canvas_size))
        if self.square_size != geometry.SQUARE_SIZE:
            parts.append(f"square{self.square_size}")
        if self.seed != splits.SEED:
            parts.append(f"seed{self.seed}")
        return "_".join(parts)


_NAME = re.compile(
    rf"(?P<split>{'|'.join(sorted(splits.SPLITS, key=len, reverse=True))})"
    rf"(_(?P<held_out>{'|'.join(splits.QUADRANTS)}))?"
    r"(_(?P<canvas_size>\d{1,10}))?"
    r"(_square(?P<square_size>\d{1,10}))?"
    r"(_seed(?P<seed>\d{1,10}))?"
)

_NAMES = (
    "uniform quadrant quadrant_upper_left quadrant_upper_right quadrant_lower_left uniform_uber "
    "quadrant_uber uniform_32 quadrant_32 uniform_128 quadrant_128 uniform_256 quadrant_256"
)
CONFIGS = tuple(NotSoClevrConfig.from_name(name) for name in _NAMES.split())


def as_config(config: str | NotSoClevrConfig) -> NotSoClevrConfig:
    """Returns the config that `config` is or names. Raises UserError if there is none."""
    if isinstance(config, NotSoClevrConfig):
        return dataclasses.replace(config)  # Checks fields that were set by hand.
    return NotSoClevrConfig.from_name(config)
