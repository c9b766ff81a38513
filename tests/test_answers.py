"""A function whose answers depend on the order or the company of the examples is refused."""

import numpy as np
import pytest

from not_so_clevr import benchmark
from not_so_clevr.benchmark import answers
from not_so_clevr.checks import UserError
from not_so_clevr.dataset.batches import Examples
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config
from not_so_clevr.dataset.examples import Drawn
from not_so_clevr.dataset.tasks import as_task

CONFIG = "quadrant_16_square3"


def honest(x):
    """The one white pixel of a one-hot, from -1 to 1."""
    flat = x.reshape(len(x), -1).argmax(axis=1)
    return np.stack([flat // 16, flat % 16], axis=1) / 7.5 - 1


def by_place_in_the_batch(x):
    return honest(x) + np.linspace(0, 0.1, len(x))[:, None]


def by_batch_statistics(x):
    return honest(x) - 0.1 * honest(x).mean(axis=0)


def by_size_of_the_batch(x):
    return honest(x) * (1 if len(x) == 64 else 0.9)


def counter():
    """Knows the answers by heart, in the order in which `evaluate` asks."""
    centres = np.concatenate(list(as_config(CONFIG).split_centres().values()))
    asked = 0

    def predict(x):
        nonlocal asked
        asked += len(x)
        return centres[np.arange(asked - len(x), asked) % len(centres)] / 7.5 - 1

    return predict


def dropout():
    random = np.random.RandomState(0)
    return lambda x: honest(x) * (random.rand(len(x), 2) > 0.2)


@pytest.mark.parametrize(
    "cheat",
    [by_place_in_the_batch, by_batch_statistics, by_size_of_the_batch, counter(), dropout()],
    ids=["place", "statistics", "size", "counter", "dropout"],
)
def test_answers_that_depend_on_order_or_company_are_refused(cheat, tmp_path):
    sentence = r"cheat answers the example \(\d+, \d+\) differently when asked again, in another"
    with pytest.raises(UserError, match=sentence):
        benchmark.evaluate(cheat, task="regression", config=CONFIG, model="cheat", runs=tmp_path)
    assert not list(tmp_path.rglob("result.json"))


def by_heart(task, answer):
    """Returns a function that knows when it is asked for which example, and nothing else."""
    config = as_config(CONFIG)
    centres = np.concatenate(list(config.split_centres().values()))
    _, y = Examples(Drawn(centres, config), as_task(task, 16)).xy(slice(None))
    asked = 0

    def predict(x):
        nonlocal asked
        asked += len(x)
        return answer(y[np.arange(asked - len(x), asked) % len(y)])

    return predict


@pytest.mark.parametrize(
    ("task", "answer", "metric"),
    [
        ("classification", lambda y: 1 + 0.005 * y, "accuracy"),
        ("classification", lambda y: np.arange(256) % 2 + 0.005 * y, "accuracy"),
        ("detection", lambda y: 1000 + 0.01 * y, "accuracy"),
        ("painting", lambda y: y - 0.5 - 100 * np.eye(16)[..., None], "exact"),
    ],
)
def test_noise_does_not_answer(task, answer, metric):
    """All that a function knows is within what rounding explains."""
    cheat = by_heart(task, answer)
    sentence = rf"cheat answers worse when asked again, .*: {metric} of \d+ examples is"
    with pytest.raises(answers.Unstable, match=sentence):
        benchmark.evaluate(cheat, task=task, config=CONFIG, model="cheat")


def test_a_huge_answer_to_one_example_excuses_no_other():
    by_count = counter()

    def cheat(x):
        is_first = (honest(x) < -0.8).all(axis=1, keepdims=True)
        return np.where(is_first, 1000 * honest(x), by_count(x))

    with pytest.raises(answers.Unstable, match="differently when asked again"):
        benchmark.evaluate(cheat, task="regression", config=CONFIG)


def test_another_number_of_answers_is_refused_the_second_time():
    def predict(x):
        return honest(x) if len(x) != 37 else honest(x)[:-1]

    with pytest.raises(UserError, match="differently when asked again"):
        benchmark.evaluate(predict, task="regression", config=CONFIG)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_noise_of_the_arithmetic_is_no_cheat(dtype):
    """A mean over the batch and back again, as another order of sums does."""

    def predict(x):
        noise = np.random.RandomState(len(x)).randn(len(x), 2) * np.finfo(dtype).eps
        return dtype(honest(x) * (1 + noise))

    assert benchmark.evaluate(predict, task="regression", config=CONFIG).perfect


def test_the_second_time_mixes_the_splits_in_small_batches_of_another_size():
    asked = []

    def predict(x):
        asked.append(honest(x))
        return honest(x)

    benchmark.evaluate(predict, task="regression", config=CONFIG)
    again = [x for x in asked if len(x) == 37]
    assert again
    for x in again:  # The test split is the lower right quadrant.
        assert 0 < np.all(x > 0, axis=1).sum() < 37


@pytest.mark.parametrize(("size", "most"), [(64, 128), (512, 32)])
def test_few_large_answers_are_kept(size, most):
    config = as_config(NotSoClevrConfig(canvas_size=size, split="quadrant"))
    task = as_task("rendering", size)
    centres = config.split_centres()["test"]
    kept = answers.Kept(Examples(Drawn(centres, config), task))
    assert len(kept.rows) == most
    assert {0, len(centres) - 1} <= set(kept.rows)
