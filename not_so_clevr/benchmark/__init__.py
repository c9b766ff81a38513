"""The benchmark: trains and evaluates a model on a task.

Keras is imported when one of the names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from not_so_clevr.benchmark.evaluation import evaluate
    from not_so_clevr.benchmark.experiment import plan
    from not_so_clevr.benchmark.options import RunOptions
    from not_so_clevr.benchmark.protocol import suite
    from not_so_clevr.benchmark.recipe import Recipe, with_recipes
    from not_so_clevr.benchmark.runner import train
    from not_so_clevr.benchmark.training import run
    from not_so_clevr.benchmark.tuning import tune
    from not_so_clevr.benchmark.verification import verify
    from not_so_clevr.dataset.tasks import Task

__all__ = [
    "Recipe",
    "RunOptions",
    "Task",
    "evaluate",
    "plan",
    "run",
    "suite",
    "train",
    "tune",
    "verify",
    "with_recipes",
]

_MODULES = {
    "Recipe": "not_so_clevr.benchmark.recipe",
    "RunOptions": "not_so_clevr.benchmark.options",
    "Task": "not_so_clevr.dataset.tasks",
    "evaluate": "not_so_clevr.benchmark.evaluation",
    "plan": "not_so_clevr.benchmark.experiment",
    "run": "not_so_clevr.benchmark.training",
    "suite": "not_so_clevr.benchmark.protocol",
    "train": "not_so_clevr.benchmark.runner",
    "tune": "not_so_clevr.benchmark.tuning",
    "verify": "not_so_clevr.benchmark.verification",
    "with_recipes": "not_so_clevr.benchmark.recipe",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
