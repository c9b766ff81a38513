"""Recipes: how a model is trained."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras

from not_so_clevr.checks import UserError

_ALLOWED = {"schedule": ("constant", "cosine", "step"), "loss": ("task", "mean_squared_error")}

_Build = TypeVar("_Build", bound=Callable[..., keras.Model])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters of a training with Adam, or with AdamW if there is weight decay.

    Attributes:
        epochs: the number of passes over the training examples.
        batch_size: the number of examples per step; the last batch of an epoch may be smaller.
        learning_rate: the initial learning rate.
        schedule: "constant"; "cosine", which decays to 0 at the last step; or "step", which divides
            the learning rate by 10 every `step_epochs` epochs.
        step_epochs: for "step" only.
        weight_decay: decoupled (AdamW): each step shrinks the kernels by learning rate x
            `weight_decay`.
        l2: coupled: adds `l2` x the sum of squares of the kernels to the loss, as
            `keras.regularizers.L2` does.
        loss: "task" for that of the task; to answer with canvases also "mean_squared_error", of the
            logits, as in the code of the paper.
        model: keyword arguments of the function that builds the model.

    Kernels are the trainable weights with two or more dimensions.

    Raises:
        UserError: one sentence, if a value is out of range.
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
            if not _is_number(value, numbers.Integral) or value < 1:
                raise UserError(f"{name} must be a positive integer, got {value!r}.")
            object.__setattr__(self, name, int(value))
        for name in ("learning_rate", "weight_decay", "l2"):
            value = getattr(self, name)
            if not _is_number(value, numbers.Real) or not 0 <= value < 1e300:
                raise UserError(f"{name} must be a non-negative number, got {value!r}.")
            object.__setattr__(self, name, float(value))
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                expected = ", ".join(allowed)
                raise UserError(f"{name}={value!r} is unknown; expected one of {expected}.")
        if not isinstance(self.model, Mapping):
            raise UserError(f"model must be a dict of settings, got {self.model!r}.")

    @classmethod
    def names(cls) -> list[str]:
        """Returns the names of the settings, without those of the model."""
        return [field.name for field in dataclasses.fields(cls) if field.name != "model"]

    def replace(self, settings: Mapping[str, Any]) -> Recipe:
        """Returns the recipe with some settings changed; the model gets those it does not know."""
        names = self.names()
        own = {name: value for name, value in settings.items() if name in names}
        model = {name: value for name, value in settings.items() if name not in names}
        return dataclasses.replace(self, **own, model={**self.model, **model})

    def check(self, model: keras.Model) -> None:
        """Raises UserError, one sentence, if `l2` would replace a regularizer of a built model."""
        for variable in self._penalised(model):
            if getattr(variable, "regularizer", None) is not None:
                raise UserError(
                    f"l2={self.l2} would replace the regularizer of {variable.path}; "
                    "omit one of them."
                )

    def _penalised(self, model: keras.Model) -> list[Any]:
        return [each for each in model.trainable_variables if self.l2 and len(each.shape) >= 2]

    def compile(self, model: keras.Model, loss: keras.losses.Loss, steps_per_epoch: int) -> None:
        """Compiles a built model for this recipe. Raises UserError as `check`."""
        rate = self._rate(steps_per_epoch)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=self.weight_decay)
        others = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        optimizer.exclude_from_weight_decay(var_list=others)
        self.check(model)
        for variable in self._penalised(model):
            variable.regularizer = keras.regularizers.L2(self.l2)
        model.compile(optimizer, loss if self.loss == "task" else self.loss)

    def _rate(self, steps_per_epoch: int) -> Any:
        """Returns the learning rate, or its schedule."""
        rate = self.learning_rate
        if self.schedule == "cosine":
            return keras.optimizers.schedules.CosineDecay(rate, self.epochs * steps_per_epoch)
        ends = range(self.step_epochs, self.epochs, self.step_epochs)
        if self.schedule == "constant" or not ends:
            return rate
        boundaries = [epoch * steps_per_epoch - 1 for epoch in ends]  # The last step at each rate
        rates = [rate * 0.1**k for k in range(len(boundaries) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def with_recipes(*, source: str, **recipes: Mapping[str, Recipe]) -> Callable[[_Build], _Build]:
    """Gives recipes to a function that builds a model, as a decorator.

    Args:
        source: the source of the architecture, e.g. a paper.
        **recipes: name of the recipe -> name of the task -> recipe. The first is the default.

    Raises:
        UserError: one sentence, unless there are recipes, each for some tasks.
    """
    check_recipes(recipes, "with_recipes")

    def decorate(build: _Build) -> _Build:
        build.source = source  # type: ignore[attr-defined]
        build.recipes = recipes  # type: ignore[attr-defined]
        return build

    return decorate


def check_recipes(recipes: Any, where: str) -> None:
    """Raises UserError, one sentence that says where, unless `with_recipes` accepts the recipes."""
    from not_so_clevr.dataset.tasks import TASKS

    by_task = list(recipes.values()) if isinstance(recipes, Mapping) else []
    if not by_task or not all(isinstance(tasks, Mapping) and tasks for tasks in by_task):
        example = "tuned={'regression': Recipe()}"
        raise UserError(f"{where} needs recipes, each for one or more tasks; e.g. {example}.")
    for task, recipe in (item for tasks in by_task for item in tasks.items()):
        if task not in TASKS:
            expected = ", ".join(TASKS)
            raise UserError(f"Unknown task {task!r} in {where}; expected one of {expected}.")
        if not isinstance(recipe, Recipe):
            raise UserError(f"{where} needs a Recipe for {task}, got {recipe!r}.")
