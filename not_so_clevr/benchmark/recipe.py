"""Recipes: how a model is trained, and how it is given recipes."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras

from not_so_clevr.checks import UserError

SCHEDULES = ("constant", "cosine", "step")
LOSSES = ("task", "mean_squared_error")

_Build = TypeVar("_Build", bound=Callable[..., keras.Model])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters of a training with Adam, or AdamW if there is weight decay.

    Attributes:
        epochs: passes over the training examples.
        batch_size: examples a step; the last batch of an epoch is smaller if the examples do not divide evenly.
        learning_rate: at its highest.
        schedule: "constant"; "cosine", down to 0 at the last step; or "step", a tenth from every `step_epochs` epochs on.
        step_epochs: for "step" only.
        weight_decay: decoupled (AdamW): each step shrinks the weights by learning rate x `weight_decay`, kernels only.
        l2: coupled: adds `l2` x the sum of squares of the kernels to the loss, as `keras.regularizers.L2` does.
        loss: "task", for that of the task; or, for rendering, "mean_squared_error", of the logits, as in the paper's code.
        model: keyword arguments for the function that builds the model.

    Kernels are the trainable weights of two or more dimensions.

    Raises:
        UserError: if a value is out of its range.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "constant"
    step_epochs: int = 200
    weight_decay: float = 0.0
    l2: float = 0.0
    loss: str = "task"
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "step_epochs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
                raise UserError(f"{name}={value!r} is no whole number of 1 or more; give one, such as {name}=20.")
            object.__setattr__(self, name, int(value))
        for name in ("learning_rate", "weight_decay", "l2"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1e300:  # type: ignore[operator]
                raise UserError(f"{name}={value!r} is no number of 0 or more; give one, such as {name}=0.01.")
            object.__setattr__(self, name, float(value))
        for name, known in (("schedule", SCHEDULES), ("loss", LOSSES)):
            if getattr(self, name) not in known:
                raise UserError(f"{name}={getattr(self, name)!r} is unknown; expected one of {', '.join(known)}.")
        if not isinstance(self.model, Mapping):
            raise UserError(f"model={self.model!r} is no dict; give the settings of the model as one, such as {{'size': 3}}.")

    @classmethod
    def names(cls) -> list[str]:
        """Returns the names of the settings, without those of the model."""
        return [field.name for field in dataclasses.fields(cls) if field.name != "model"]

    def replace(self, settings: Mapping[str, Any]) -> Recipe:
        """Returns the recipe with some settings changed; those that are no attribute of a recipe are for the model."""
        names = self.names()
        own = {name: value for name, value in settings.items() if name in names}
        model = {name: value for name, value in settings.items() if name not in names}
        return dataclasses.replace(self, **own, model={**self.model, **model})

    def check(self, model: keras.Model) -> None:
        """Raises UserError, one sentence, if `l2` would replace a regularizer of a built model."""
        for variable in self._penalised(model):
            if getattr(variable, "regularizer", None) is not None:
                raise UserError(f"l2={self.l2} would replace the regularizer that {variable.path} has; leave one of them out.")

    def _penalised(self, model: keras.Model) -> list[Any]:
        return [variable for variable in model.trainable_variables if self.l2 and len(variable.shape) >= 2]

    def compile(self, model: keras.Model, loss: keras.losses.Loss, steps_per_epoch: int) -> None:
        """Compiles a built model for this recipe. Raises UserError as `check` does."""
        rate: Any = self.learning_rate
        if self.schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, self.epochs * steps_per_epoch)
        elif self.schedule == "step":
            ends = range(self.step_epochs, self.epochs, self.step_epochs)
            boundaries = [epoch * steps_per_epoch - 1 for epoch in ends]  # The last steps that have the rate before
            rates = [rate * 0.1**k for k in range(len(boundaries) + 1)]
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates) if boundaries else rate
        optimizer = keras.optimizers.AdamW(rate, weight_decay=self.weight_decay)
        others = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=others)
        self.check(model)
        for variable in self._penalised(model):
            variable.regularizer = keras.regularizers.L2(self.l2)
        model.compile(optimizer, loss if self.loss == "task" else self.loss)


def with_recipes(*, source: str, **recipes: Mapping[str, Recipe]) -> Callable[[_Build], _Build]:
    """Decorates a function that builds a model with its source and its recipes.

    Args:
        source: where the architecture comes from.
        **recipes: name of the recipe -> name of the task -> recipe. The first is the default.

    Raises:
        UserError: if there is no recipe, or if one is not told for which task it is.
    """
    check_recipes(recipes, "with_recipes")

    def decorate(build: _Build) -> _Build:
        build.source = source  # type: ignore[attr-defined]
        build.recipes = recipes  # type: ignore[attr-defined]
        return build

    return decorate


def check_recipes(recipes: Any, where: str) -> None:
    """Raises UserError, one sentence that tells where, unless these are recipes as `with_recipes` takes them."""
    from not_so_clevr.dataset.tasks import TASKS

    by_task = list(recipes.values()) if isinstance(recipes, Mapping) else []
    if not by_task or not all(isinstance(tasks, Mapping) and tasks for tasks in by_task):
        raise UserError(f"{where} needs recipes, each for some tasks; expected such as tuned={{'regression': Recipe()}}.")
    for task, recipe in (item for tasks in by_task for item in tasks.items()):
        if task not in TASKS:
            raise UserError(f"Unknown task {task!r} in {where}; expected one of {', '.join(TASKS)}.")
        if not isinstance(recipe, Recipe):
            raise UserError(f"{recipe!r} is no recipe for {task} in {where}; expected one, such as Recipe(epochs=20).")
