"""The benchmark: trains and evaluates one model on one task.

Importing it imports Keras only once one of its names is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from not_so_clevr.benchmark.evaluation import evaluate
    from not_so_clevr.benchmark.recipe import Recipe, with_recipes
    from not_so_clevr.benchmark.training import run
    from not_so_clevr.dataset.tasks import Task

__all__ = ["Recipe", "Task", "evaluate", "run", "with_recipes"]

_MODULES = {
    "Recipe": "not_so_clevr.benchmark.recipe",
    "Task": "not_so_clevr.dataset.tasks",
    "evaluate": "not_so_clevr.benchmark.evaluation",
    "run": "not_so_clevr.benchmark.training",
    "with_recipes": "not_so_clevr.benchmark.recipe",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
