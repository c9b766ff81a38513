"""What to run, and what was published about it: `Experiment` and `Claim`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from not_so_clevr.results import naming

PERFECT = "perfect"  # The metric of whole runs: whether every example of a split is right
SEEDS = 3  # Runs of an experiment, unless it promises another number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A published result of an experiment.

    Attributes:
        source: where it was published.
        epochs: the published length of training, as text.
        train: the published result on train, as text.
        test: the published result on test, as text; "" if there is none.
        metric: the published metric, or `PERFECT`; "" for the accuracy metric of the task.
        expected: the range of that metric's mean over test that reproduces the claim; None if no
            number can, as for a picture or the best of many runs.
        points: how many settings the source tried. If more than one, it shows the best of them,
            and the experiment is one of them.
    """

    source: str
    epochs: str = ""
    train: str = ""
    test: str = ""
    metric: str = ""
    expected: tuple[float, float] | None = None
    points: int = 1


@dataclasses.dataclass(frozen=True)
class BestOf:
    """A grid whose best point is run with more seeds than the others.

    Attributes:
        grid: its name, the same for all its points.
        points: how many it has.
        among: the seeds of every point, by which the best is found.
        seeds: of the best point.
    """

    grid: str
    points: int
    among: int
    seeds: int


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What to run, with any seed.

    Attributes:
        task: the name of the task.
        config: the name of the data set.
        model: the name of the model.
        recipe: the name of its recipe; "" for the default one.
        settings: changes to the recipe.
        claim: what was published about it; None if nothing was.
        remark: how it differs from the publication, or why its result does.
        seeds: the promised number of runs, with seeds 0, 1, ...
        best_of: the grid that it is a point of; None if it is in none.
        seconds: how long one run takes on a core, roughly; None if nobody has written it down.
    """

    task: str
    config: str
    model: str
    recipe: str = ""
    _: dataclasses.KW_ONLY
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    claim: Claim | None = None
    remark: str = ""
    seeds: int = SEEDS
    best_of: BestOf | None = None
    seconds: float | None = None

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
