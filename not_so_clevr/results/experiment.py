"""An experiment: a run for each seed, and what was published of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from not_so_clevr.results import naming

PERFECT = "perfect"  # The metric of whole runs: whether every example of a split is right


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A run for each seed, and what was published of it.

    Attributes:
        task: the name of the task.
        config: the name of the data set.
        model: the name of the model.
        recipe: the name of its recipe; "" for the default one.
        source: where it was published; "" if nothing was.
        epochs: of the published training, as text.
        train: what was published of train, as text.
        test: what was published of test, as text.
        metric: the metric that was published, or `PERFECT`; "" for the one that tells whether an example is right.
        expected: from where to where the mean of that metric over test reproduces what was published; None if what was
            published tells nothing of a single number, such as a picture, or the best of many runs.
        settings: of the recipe, to change.
        points: how many settings the source tried; if several, what it shows is the best of them, and this is one.
        remark: how ours differs, or why it comes out otherwise.
    """

    task: str
    config: str
    model: str
    recipe: str = ""
    _: dataclasses.KW_ONLY
    source: str = ""
    epochs: str = ""
    train: str = ""
    test: str = ""
    metric: str = ""
    expected: tuple[float, float] | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    points: int = 1
    remark: str = ""

    @property
    def label(self) -> str:
        return naming.label(self.model, naming.changed(self.recipe, self.settings))

    @property
    def id(self) -> str:
        """The id of its runs, without the seed."""
        return naming.run_id(self.task, self.config, self.label)
