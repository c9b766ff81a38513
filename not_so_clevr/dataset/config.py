"""A data set as a config: the size of canvas and square, and the split. Its name tells all of them and can be read back."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow_datasets as tfds

from not_so_clevr.checks import UserError
from not_so_clevr.dataset import geometry, splits


@dataclasses.dataclass(eq=False, kw_only=True)
class NotSoClevrConfig(tfds.core.BuilderConfig):
    """A data set: the size of canvas and square, and the split.

    The name follows from the rest and tells all of it that is not the default, so that different data sets never share a
    folder: `NotSoClevrConfig(split="quadrant", canvas_size=32).name == "quadrant_32"`.

    Attributes:
        canvas_size: S, in pixels, 1 to 4096.
        square_size: k, in pixels, odd, at most `canvas_size`.
        split: one of `splits.SPLITS`.
        held_out: the quadrant that is the test split, one of `splits.QUADRANTS`, if `split` is "quadrant".
        seed: of the random draw, 0 to 2^32 - 1, if `split` is "uniform".

    Raises:
        UserError: if a value is not among those above, or has no meaning for the split.
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
        self.canvas_size, self.square_size = geometry.check_sizes(self.canvas_size, self.square_size)
        self.seed = splits.check_split(self.split, self.held_out, self.seed)
        if self.canvas_size - self.square_size < 4:  # Only a few centres can all fall on one side.
            self._is_test()
        self.name = self._name()
        rule = {
            "quadrant": f"{self.held_out.replace('_', ' ')} quadrant held out",
            "uniform": f"uniform split, seed {self.seed}",
        }
        self.description = (
            f"{self.square_size}x{self.square_size} squares on {self.canvas_size}x{self.canvas_size} canvases, "
            f"{rule.get(self.split, self.split + ' split')}."
        )

    @classmethod
    def from_name(cls, name: str) -> NotSoClevrConfig:
        """Returns the config that has this name.

        Raises:
            UserError: if no config has it.
        """
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match:
            parts = {key: value for key, value in match.groupdict().items() if value}
            values: dict[str, Any] = {key: int(value) if value.isdigit() else value for key, value in parts.items()}
            config = cls(**values)
            if config.name == name:
                return config
        raise UserError(
            f"Unknown config {name!r}{f' (did you mean {config.name!r}?)' if match else ''}; expected one of "
            f"{', '.join(c.name for c in CONFIGS)}, or any SPLIT[_QUADRANT][_CANVAS][_squareSIZE][_seedSEED], such as "
            "'quadrant_48' or 'uniform_48_square5_seed1'."
        )

    @property
    def num_examples(self) -> int:
        """The number of examples of both splits together, (S - k + 1)^2."""
        return (self.canvas_size - self.square_size + 1) ** 2

    def split_centres(self) -> dict[str, npt.NDArray[np.int64]]:
        """Returns the centres (row i, column j) in pixels, row-major, of "train" and "test": int64 `[n, 2]` each."""
        centres, test = geometry.centres(self.canvas_size, self.square_size), self._is_test()
        return {"train": centres[~test], "test": centres[test]}

    def _is_test(self) -> npt.NDArray[np.bool_]:
        return splits.is_test(
            self.split,
            canvas_size=self.canvas_size,
            square_size=self.square_size,
            held_out=self.held_out,
            seed=self.seed,
        )

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
    rf"(?:_(?P<held_out>{'|'.join(splits.QUADRANTS)}))?"
    r"(?:_(?P<canvas_size>\d{1,10}))?(?:_square(?P<square_size>\d{1,10}))?(?:_seed(?P<seed>\d{1,10}))?"
)

CONFIGS = (
    NotSoClevrConfig(),
    NotSoClevrConfig(split="quadrant"),
    *(NotSoClevrConfig(split="quadrant", held_out=quadrant) for quadrant in reversed(splits.QUADRANTS[1:])),
    NotSoClevrConfig(split="uniform_uber"),
    NotSoClevrConfig(split="quadrant_uber"),
    *(NotSoClevrConfig(split=s, canvas_size=size) for size in (32, 128, 256) for s in ("uniform", "quadrant")),
)


def as_config(config: str | NotSoClevrConfig) -> NotSoClevrConfig:
    """Returns the config that `config` is or names. Raises UserError if it is or names none."""
    if isinstance(config, NotSoClevrConfig):
        return dataclasses.replace(config)  # Checks it anew: its fields may have been set since.
    return NotSoClevrConfig.from_name(config)
