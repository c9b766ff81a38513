"""What to run, and what somebody claims of it: `Experiment` and `Claim`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from not_so_clevr.results import naming

PERFECT = "perfect"  # The metric of whole runs: whether every example of a split is right


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """What was published of an experiment.

    Attributes:
        source: where it was published.
        epochs: of the published training, as text.
        train: what was published of train, as text.
        test: what was published of test, as text; "" if nothing was.
        metric: the metric that was published, or `PERFECT`; "" for the one that tells whether an
            example is right.
        expected: from where to where the mean of that metric over test reproduces the claim; None
            if no single number can, as for a picture, or the best of many runs.
        points: how many settings the source tried; if several, it shows the best of them, and the
            experiment is one.
    """

    source: str
    epochs: str = ""
    train: str = ""
    test: str = ""
    metric: str = ""
    expected: tuple[float, float] | None = None
    points: int = 1


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What to run, with any seed.

    Attributes:
        task: the name of the task.
        config: the name of the data set.
        model: the name of the model.
        recipe: the name of its recipe; "" for the default one.
        settings: changes of the recipe.
        claim: what was published of it; None if nothing was.
        remark: how it differs from what was published, or why it comes out otherwise.
    """

    task: str
    config: str
    model: str
    recipe: str = ""
    _: dataclasses.KW_ONLY
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    claim: Claim | None = None
    remark: str = ""

    @property
    def label(self) -> str:
        return naming.label(self.model, naming.changed(self.recipe, self.settings))

    @property
    def id(self) -> str:
        """The id of its runs, without the seed."""
        return naming.run_id(self.task, self.config, self.label)


def combinations(
    names: Sequence[Sequence[str]],
    axes: Mapping[str, Sequence[Any]],
    claim: Claim | None = None,
    remark: str = "",
) -> list[Experiment]:
    """Returns an experiment for every combination; the last setting changes fastest.

    Args:
        names: tasks, configs, models and recipes.
        axes: the values of each setting.
        claim: of each experiment.
        remark: on each experiment.
    """
    return [
        Experiment(*each, settings=dict(zip(axes, values, strict=True)), claim=claim, remark=remark)
        for each in itertools.product(*names)
        for values in itertools.product(*axes.values())
    ]
