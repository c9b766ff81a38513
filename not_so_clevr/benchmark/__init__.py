"""The benchmark: trains and evaluates one model on one task."""

from not_so_clevr.benchmark.recipe import Recipe, with_recipes
from not_so_clevr.benchmark.training import evaluate, run
from not_so_clevr.dataset.tasks import Task

__all__ = ["Recipe", "Task", "evaluate", "run", "with_recipes"]
