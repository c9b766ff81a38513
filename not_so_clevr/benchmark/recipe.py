"""Recipes: how a model is trained."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import numbers
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import keras

from not_so_clevr.checks import UserError, boolean, integer, one_of

_ALLOWED = {
    "schedule": ("constant", "cosine", "step"),
    "loss": ("task", "mean_squared_error", "brightness"),
    "optimizer": ("adam", "sgd"),
}
_MOST = 10**9  # Of anything that is counted
_ENDS = {  # Numbers are from 0 to below these.
    **dict.fromkeys(("learning_rate", "weight_decay", "l2", "warmup", "clip"), 1e300),
    **dict.fromkeys(("beta_1", "beta_2", "ema"), 1),
}
_TABLE = re.compile(r"embed|(^|_)pos(itions?)?(_|$)")  # Names of embeddings and position tables

_Build = TypeVar("_Build", bound=Callable[..., keras.Model])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters of a training.

    Attributes:
        epochs: the number of passes over the training examples; by default 20, or 1 with `steps`.
        steps: if not 0, the least number of steps, to the end of an epoch: where `epochs` makes
            fewer, there are more epochs.
        batch_size: the number of examples per step; the last batch of an epoch may be smaller.
        learning_rate: the initial learning rate.
        schedule: "constant"; "cosine", which decays to 0 at the last step; or "step", which divides
            the learning rate by 10 every `step_epochs` epochs.
        step_epochs: for "step" only.
        warmup: the steps, or below 1 their share of all steps, over which the learning rate rises
            linearly from 0; it multiplies the schedule.
        optimizer: "adam"; or "sgd", whose momentum is `beta_1` and which ignores `beta_2`.
        beta_1: the decay rate of the mean of the gradients.
        beta_2: the decay rate of the mean of their squares.
        clip: if not 0, scales all gradients of a step down to this norm, over all weights.
        ema: if not 0, the momentum of an exponential moving average of the weights, which every
            evaluation and the result use instead of the weights themselves.
        weight_decay: decoupled (AdamW): each step shrinks the kernels by learning rate x
            `weight_decay`.
        decay_tables: whether `weight_decay` and `l2` also shrink embeddings and position tables.
        l2: coupled: adds `l2` x the sum of squares of the kernels to the loss, as
            `keras.regularizers.L2` does.
        loss: "task" for that of the task; to answer with canvases also "mean_squared_error", of the
            logits, as in the code of the paper, or "brightness", that of the logits plus 1/2, so
            that a pixel brighter than 1/2 counts as white.
        model: keyword arguments of the function that builds the model.

    Kernels are the trainable weights with two or more dimensions, without embeddings and position
    tables: those whose name has `embed` or the word `pos` or `position`, e.g. `pos_embed`.

    Raises:
        UserError: one sentence, if a value is out of range.
    """

    epochs: int = None  # type: ignore[assignment]  # Set below
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "constant"
    step_epochs: int = 200
    weight_decay: float = 0.0
    l2: float = 0.0
    loss: str = "task"
    steps: int = 0
    warmup: float = 0.0
    optimizer: str = "adam"
    beta_1: float = 0.9
    beta_2: float = 0.999
    clip: float = 0.0
    ema: float = 0.0
    decay_tables: bool = False
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.epochs is None:
            object.__setattr__(self, "epochs", 1 if self.steps else 20)
        for name, least in {"epochs": 1, "batch_size": 1, "step_epochs": 1, "steps": 0}.items():
            object.__setattr__(self, name, integer(name, getattr(self, name), least, _MOST))
        for name, end in _ENDS.items():
            value = getattr(self, name)
            is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if not is_number or not 0 <= value < end:
                raise UserError(f"{name} must be a number from 0 to below {end:g}, got {value!r}.")
            object.__setattr__(self, name, float(value))
        decay_tables = boolean("decay_tables", self.decay_tables)
        object.__setattr__(self, "decay_tables", decay_tables)
        for name, allowed in _ALLOWED.items():
            one_of(name, getattr(self, name), allowed)
        if not isinstance(self.model, Mapping):
            raise UserError(f"model must be a dict of settings, got {self.model!r}.")

    @classmethod
    def names(cls) -> list[str]:
        """Returns the names of the settings, without those of the model."""
        return [field.name for field in dataclasses.fields(cls) if field.name != "model"]

    def replace(self, settings: Mapping[str, Any]) -> Recipe:
        """Returns the recipe with some settings changed; the model gets those it does not know.

        Raises:
            UserError: one sentence, if a value is out of range, or both steps and epochs are given.
        """
        names = self.names()
        own = {name: value for name, value in settings.items() if name in names}
        if "steps" in own and "epochs" in own:
            raise UserError("steps and epochs exclude each other; give one of them.")
        if "steps" in own:  # 0 would mean the epochs of the recipe, under another name.
            own |= {"steps": integer("steps", own["steps"], 1, _MOST), "epochs": None}
        elif "epochs" in own:
            own |= {"epochs": integer("epochs", own["epochs"], 1, _MOST), "steps": 0}
        if "step_epochs" in own and own.get("schedule", self.schedule) != "step":
            raise UserError("step_epochs is for the schedule 'step'; add schedule='step'.")
        model = {name: value for name, value in settings.items() if name not in names}
        return dataclasses.replace(self, **own, model={**self.model, **model})

    def for_examples(self, count: int) -> Recipe:
        """Returns the recipe for so many training examples: with more epochs, or without steps."""
        epochs = math.ceil(self.steps / self.steps_per_epoch(count))
        if epochs < self.epochs or not self.steps:
            return dataclasses.replace(self, steps=0)
        return dataclasses.replace(self, epochs=epochs)

    def steps_per_epoch(self, count: int) -> int:
        """Returns the number of steps in an epoch of so many training examples."""
        return -(-count // self.batch_size)

    def check(self, model: keras.Model) -> None:
        """Raises UserError, one sentence, if `l2` would replace a regularizer of a built model."""
        for variable in self._penalised(model):
            if getattr(variable, "regularizer", None) is not None:
                raise UserError(
                    f"l2={self.l2} would replace the regularizer of {variable.path}; "
                    "omit one of them."
                )

    def _penalised(self, model: keras.Model) -> list[Any]:
        return [each for each in model.trainable_variables if self.l2 and self._is_kernel(each)]

    def _is_kernel(self, variable: Any) -> bool:
        is_table = _TABLE.search(variable.name) and not self.decay_tables
        return len(variable.shape) >= 2 and not is_table

    def compile(self, model: keras.Model, loss: keras.losses.Loss, steps_per_epoch: int) -> None:
        """Compiles a built model for this recipe. Raises UserError as `check`."""
        optimizer = self._optimizer(steps_per_epoch)
        others = [each for each in model.trainable_variables if not self._is_kernel(each)]
        optimizer.exclude_from_weight_decay(var_list=others)
        self.check(model)
        for variable in self._penalised(model):
            variable.regularizer = keras.regularizers.L2(self.l2)
        losses = {"task": loss, "brightness": BrightnessError()}
        model.compile(optimizer, losses.get(self.loss, self.loss))

    def _optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        rate = self._rate(steps_per_epoch)
        options: dict[str, Any] = {"weight_decay": self.weight_decay}
        if self.clip:
            options["global_clipnorm"] = self.clip
        if self.ema:
            options |= {"use_ema": True, "ema_momentum": self.ema}

        if self.optimizer == "sgd":
            return keras.optimizers.SGD(rate, momentum=self.beta_1, **options)
        return keras.optimizers.AdamW(rate, beta_1=self.beta_1, beta_2=self.beta_2, **options)

    def _rate(self, steps_per_epoch: int) -> Any:
        """Returns the learning rate, or its schedule."""
        warmup = self.warmup
        if warmup < 1:
            warmup *= self.epochs * steps_per_epoch
        rate = self._scheduled(steps_per_epoch)
        return Warmup(rate, round(warmup)) if round(warmup) else rate

    def _scheduled(self, steps_per_epoch: int) -> Any:
        """Returns the learning rate, or its schedule, without warm-up."""
        rate = self.learning_rate
        if self.schedule == "cosine":
            return keras.optimizers.schedules.CosineDecay(rate, self.epochs * steps_per_epoch)
        ends = range(self.step_epochs, self.epochs, self.step_epochs)
        if self.schedule == "constant" or not ends:
            return rate
        boundaries = [epoch * steps_per_epoch - 1 for epoch in ends]  # The last step at each rate
        rates = [rate * 0.1**k for k in range(len(boundaries) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


@keras.saving.register_keras_serializable(package="not_so_clevr")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate, or a schedule, that rises linearly over the first steps.

    Args:
        rate: the learning rate, or its schedule.
        steps: the number of steps; the last of them is the first with the full learning rate.
    """

    def __init__(self, rate: Any, steps: int) -> None:
        self.rate = rate
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        rate = self.rate(step) if callable(self.rate) else self.rate
        done = (keras.ops.cast(step, "float32") + 1) / self.steps
        return rate * keras.ops.minimum(done, 1.0)

    def get_config(self) -> dict[str, Any]:
        rate = self.rate
        if callable(rate):
            rate = keras.optimizers.schedules.serialize(rate)
        return {"rate": rate, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Warmup:
        rate = config["rate"]
        if isinstance(rate, Mapping):
            rate = keras.optimizers.schedules.deserialize(rate)
        return cls(rate, config["steps"])


@keras.saving.register_keras_serializable(package="not_so_clevr")
class BrightnessError(keras.losses.MeanSquaredError):
    """The mean squared error of the brightness of each pixel, which is its logit plus 1/2."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return super().call(y_true, y_pred + 0.5)


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Puts the moving averages of the weights in their place, if the optimizer keeps them."""
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False):
        yield
        return
    weights = [keras.ops.copy(each.value) for each in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    separate(model)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)


def separate(model: keras.Model) -> None:
    """Gives the weights arrays of their own, after the moving averages were put in their place.

    Keras on JAX frees the arrays that it predicts with, and the averages would be lost.
    """
    if getattr(model.optimizer, "use_ema", False):
        for variable in model.trainable_variables:
            variable.assign(keras.ops.copy(variable.value))


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
