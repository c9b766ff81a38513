"""The searches by the rule that are part of the baselines."""

import pytest

from not_so_clevr import benchmark
from not_so_clevr.benchmark import experiment, registry, searches, tuning
from not_so_clevr.benchmark.options import TUNE_CONFIG
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.tasks import TASKS

ALL = {(each["model"], each["task"], each["name"]): each for each in searches.bundled()}


def of_seed_0(point, metric):
    (run,) = point["runs"]
    return tuple(run["metrics"][split][metric] for split in ("test", "train"))


@pytest.mark.parametrize("key", ALL, ids="/".join)
def test_each_follows_the_rule(key):
    """The grid is that of `tune`, and the best point has the most of test right, then of train."""
    model, task, _ = key
    search = ALL[key]
    points = tuning.points(model, task=task, settings=search["settings"])
    grid = [(run.recipe.learning_rate, run.recipe.weight_decay) for run in points]
    assert [(each["learning_rate"], each["weight_decay"]) for each in search["grid"]] == grid
    assert search["config"] == TUNE_CONFIG
    assert (search["points"], search["seeds"]) == (9, 1)

    right = [
        of_seed_0(point, TASKS[task].accuracy_metric)
        for point in search["grid"]
        if not point["failures"]
    ]
    best = search["grid"][search["best"]]
    assert of_seed_0(best, TASKS[task].accuracy_metric) == max(right)
    assert search["perfect"] == sum(each == (1, 1) for each in right)
    assert search["seconds"] == pytest.approx(sum(each["seconds"] for each in search["grid"]))
    assert search["recipe"] == points[search["best"]].saved_recipe


@pytest.mark.parametrize("key", ALL, ids="/".join)
def test_each_is_a_recipe_of_its_model(key):
    model, task, name = key
    run = experiment.plan(model, task=task, config="quadrant_32", recipe=name)
    assert run.id == f"{task}/quadrant_32/{model}-{name}/seed0"
    assert run.saved_recipe == ALL[key]["recipe"]
    assert run.search == searches.summary(ALL[key])
    assert run.command() == (
        f"not-so-clevr train {model} --task {task} --config quadrant_32 --seed 0 --recipe {name}"
    )
    assert (
        experiment.plan(
            model, task=task, config="quadrant_32", recipe=name, settings={"clip": 1}
        ).search
        is None
    )
    assert name in registry.recipe_names(model)
    assert next(iter(registry.find(model).recipes)) != name


def test_a_model_of_ones_own_has_none():
    with pytest.raises(UserError, match="has no recipe 'rule'; expected one of default."):
        benchmark.run(
            lambda task: None, task="regression", config="quadrant", recipe="rule", name="conv"
        )
