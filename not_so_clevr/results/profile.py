"""A model's profile: which capabilities it has on each task, and the models that it resembles.

A capability is a question about the canvas: a data set of 32x32 pixels, and for transfer another
one that the trained weights are measured on. They are data, below.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence

from not_so_clevr.dataset.tasks import TASKS
from not_so_clevr.results import store, tables
from not_so_clevr.results.leaderboard import Row, leaderboard
from not_so_clevr.results.result import Result
from not_so_clevr.results.statistics import grouped

Key = tuple[str, str]  # Task and capability

NO_FIT = "does not fit"  # The text of a cell that a model cannot have
NEAREST = "their Euclidean distance over the cells that both have, per root of their number"

_NEIGHBOURS = 3
_SHARED = 0.5  # Share of a profile's cells that a neighbour must have


@dataclasses.dataclass(frozen=True)
class Capability:
    """What a data set asks for.

    Attributes:
        config: the name of the data set to train on.
        asks: what its test examples are, in words.
        also: the data set to measure the same weights on; "" for `config`.
    """

    config: str
    asks: str
    also: str = ""


CAPABILITIES: Mapping[str, Capability] = {
    "interpolation": Capability("uniform_32", "20 % of the centres, scattered among the others"),
    "recombination": Capability("quadrant_32", "a quadrant whose rows and columns were seen"),
    "extrapolation": Capability("border_32", "the outermost ring, beyond all centres seen"),
    "few examples": Capability("uniform_test80_32", "80 % of the centres, scattered"),
    "transfer": Capability("uniform_32", "as for interpolation, but on 64 x 64 pixels", "uniform"),
}


@dataclasses.dataclass(frozen=True)
class Profile:
    """What the runs of a model say about its capabilities.

    Attributes:
        model: the name of the model.
        runs: on the data sets of `CAPABILITIES`; all others are ignored.
        gaps: name of a task -> one sentence on why the model does not fit it.
        failures: run id -> one sentence on why it failed.
    """

    model: str
    runs: Sequence[Result]
    gaps: Mapping[str, str] = dataclasses.field(default_factory=dict)
    failures: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def cells(self) -> Mapping[Key, Row]:
        """(task, capability) -> its row of the leaderboard; without metrics if it does not fit."""
        places = {(each.config, each.also): name for name, each in CAPABILITIES.items()}
        cells: dict[Key, Row] = {}
        for row in leaderboard(self.runs):
            place = places.get((row.config, row.also))
            if place is not None:
                cells.setdefault((row.task, place), row)  # The first is the best of several labels.
        return cells

    @property
    def shares(self) -> Mapping[Key, float]:
        """(task, capability) -> the mean share of test that is right, without gaps."""
        return {key: row.test for key, row in self.cells.items() if row.test is not None}

    @property
    def tasks(self) -> list[str]:
        """The tasks that it has runs of."""
        return [task for task in TASKS if any(run.task == task for run in self.runs)]

    @property
    def labels(self) -> list[str]:
        """The labels of its runs: the model with the recipe of a task."""
        return list(dict.fromkeys(run.label for run in self.runs))

    def gap(self, task: str, capability: str) -> str:
        """Returns why there is no share in a cell, in a word or two; "" if there is one."""
        if (task, capability) in self.shares:
            return ""
        if task in self.gaps or (task, capability) in self.cells:
            return NO_FIT
        is_measured_elsewhere = CAPABILITIES[capability].also  # A quick suite leaves that out.
        failed = self.failed(task, capability) and not is_measured_elsewhere
        return "failed" if failed else "not run"

    def failed(self, task: str, capability: str) -> int:
        """Returns how many trainings failed that a cell rests on."""
        config = CAPABILITIES[capability].config
        return sum(key.startswith(f"{task}/{config}/") for key in self.failures)

    def counts(self, task: str, capability: str) -> tuple[int, int]:
        """Returns how many runs of a cell are perfect, of how many; a failed one is not perfect."""
        row = self.cells[task, capability]
        return row.perfect, row.seeds + self.failed(task, capability)

    def text(self, task: str, capability: str) -> str:
        """Returns a cell as text, e.g. `97.3 %, 2 of 3`, or why there is none."""
        if gap := self.gap(task, capability):
            return gap
        perfect, runs = self.counts(task, capability)
        failed = self.failed(task, capability)
        text = f"{tables.percent(self.shares[task, capability])}, {perfect} of {runs}"
        return f"{text} ({failed} failed)" if failed else text


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A reference model beside a profile: its own profile, how far it is, over how many cells."""

    profile: Profile
    distance: float
    shared: int

    @property
    def label(self) -> str:
        return self.profile.labels[0]


def by_rule(reference: Iterable[Result]) -> list[Profile]:
    """Returns the profile of each model whose recipe was found by the rule of `tune`."""
    configs = {each.config for each in CAPABILITIES.values()}
    found = (run for run in reference if run.search is not None)
    models = grouped((run for run in found if run.config in configs), lambda run: run.label)
    return [Profile(same[0].model, same) for same in models.values()]


def nearest(
    profile: Profile, reference: Iterable[Result] | None = None, count: int = _NEIGHBOURS
) -> list[Neighbour]:
    """Returns the reference models that a profile resembles, the nearest first.

    The distance is the Euclidean one of the shares of test right, over the cells that both have,
    divided by the root of their number, so that a model with fewer cells is not nearer for that. A
    neighbour has at least half of the cells of the profile.

    Args:
        profile: of a model, which is not its own neighbour.
        reference: results; the bundled reference results if None.
        count: the number of models.
    """
    known = by_rule(store.reference() if reference is None else reference)
    own = profile.shares
    found = []
    for other in known:
        shares = other.shares
        both = [key for key in own if key in shares]
        if other.model == profile.model or len(both) < max(1, _SHARED * len(own)):
            continue
        distance = math.dist([own[key] for key in both], [shares[key] for key in both])
        found.append(Neighbour(other, distance / math.sqrt(len(both)), len(both)))
    return sorted(found, key=lambda each: (each.distance, -each.shared, each.label))[:count]
