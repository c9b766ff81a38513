"""The bundled models: published parameter counts, every recipe trains, and the tuned CoordConv is right."""

import collections
import shlex

import keras
import numpy as np
import pytest

from not_so_clevr import benchmark, results
from not_so_clevr.baselines.coordconv import HandOn
from not_so_clevr.benchmark import experiment, registry
from not_so_clevr.dataset import tasks
from not_so_clevr.results import naming

SIZES = {"article_quadrant": "quadrant", "liang": "quadrant_14_square3"}  # Of some recipes
CONTROLS = {"painting", "detection"}  # Without coordinates: convolution computes them.
# Their default recipes train in every `make test`; all others are many, and train in `make test-slow`.
QUICK = ["conv", "coordconv", "deconv", "tiled_conv"]
ALL = [
    pytest.param(
        name, task, recipe, marks=[pytest.mark.slow] * (name not in QUICK or recipe != "tuned")
    )
    for name in registry.names()
    for recipe, by_task in registry.find(name).build.recipes.items()
    for task in by_task
]


def built(name, task, **options):
    return registry.find(name).build(tasks.as_task(task, 64), **options)


@pytest.mark.parametrize(
    ("name", "task", "options", "parameters"),
    [
        ("coordconv", "classification", {}, 7_553),
        ("coordconv", "classification", {"origin": "paper"}, 7_553),
        ("coordconv", "regression", {}, 906),
        ("coordconv", "regression", {"origin": "paper"}, 906),
        ("coordconv", "regression", {"origin": "article"}, 906),
        ("coordconv", "rendering", {}, 7_553),
        # 7,553, and 8, 8, 16, 16 and 1 filters of 3 x 3 on 1, 8, 8, 16 and 16 channels
        ("coordconv", "rendering", {"two_stage": True}, 7_553 + 80 + 584 + 1_168 + 2_320 + 145),
        # The same with 16, 16, 32, 32 and 1 filters of 2 x 2
        (
            *("coordconv", "rendering", {"two_stage": True, "multiplier": 2, "size": 2}),
            7_553
            + (4 * 1 * 16 + 16)
            + (4 * 16 * 16 + 16)
            + (4 * 16 * 32 + 32)
            + (4 * 32 * 32 + 32)
            + (4 * 32 + 1),
        ),
        ("deconv", "classification", {"size": 2, "multiplier": 1}, 46_465),
        ("deconv", "classification", {"size": 2, "multiplier": 1, "origin": "paper"}, 46_465),
        # Without the two numbers for each filter that batch normalisation has
        (
            "deconv",
            "classification",
            {"size": 2, "multiplier": 1, "origin": "article"},
            46_465 - 2 * (3 * 64 + 2 * 32),
        ),
        ("deconv", "rendering", {"size": 2, "multiplier": 1}, 46_465),
        ("deconv", "classification", {"size": 4, "multiplier": 3}, 1_632_001),
        ("conv", "regression", {}, 72_850),
        # 16 filters of 5 x 5, 1 x 1 twice and 3 x 3 five times, 2 of 3 x 3, and batch normalisation twice
        ("conv", "regression", {"network": "quadrant"}, 416 + 2 * 272 + 5 * 2_320 + 290 + 2 * 32),
        ("tiled_conv", "classification", {}, 7_553 - 2 * 32),
        ("conv", "localisation", {}, 72_850),
        # One filter of 9 x 9; 8 of them, and 1 of 1 x 1: each with its bias
        ("conv", "painting", {}, 82),
        ("conv", "painting", {"size": 5}, 26),
        ("conv", "detection", {}, 8 * 82 + 9),
        ("coordconv", "localisation", {}, 8 * 82 + 9),
        ("coordconv", "localisation", {"size": 3}, 8 * 10 + 9),
    ],
)
def test_parameters_are_as_published(name, task, options, parameters):
    assert registry.parameters(built(name, task, **options)) == parameters


@pytest.mark.parametrize("origin", ["ours", "article", "paper"])
def test_a_regressor_answers_on_the_scale_of_its_origin(origin):
    """With kernels that add the image to the coordinates, the answer is the gain and the coordinates of the hot pixel."""
    task = tasks.Regression(16)
    network = registry.find("coordconv").build(task, origin=origin)
    kernels = [variable for variable in network.trainable_variables if len(variable.shape) > 1]
    for kernel in kernels:
        values = np.zeros(kernel.shape, np.float32)
        middle = tuple(length // 2 for length in kernel.shape[:-2])
        for channel, filter in (
            ((0, 0), (1, 1), (2, 2))
            if kernel is not kernels[-1]
            else ((0, 0), (0, 1), (1, 0), (2, 1))
        ):
            values[(*middle, channel, filter)] = 1
        kernel.assign(values)
    images = np.zeros((2, 16, 16, 1), np.float32)
    images[0, 9, 12] = (
        1  # The other one is black: its answer is the greatest coordinates that a window has its middle at.
    )
    hot = task.scaled(np.array([9, 12]))
    expected = {
        "ours": [hot, [1 - 4, 1 - 4]],  # The gain of 4 is taken away again.
        "article": task.scaled(
            np.array([1000 + hot, [11 / 15, 11 / 15]])
        ),  # In pixels, and two 3x3 windows do not reach 15
        "paper": task.scaled(64 * np.array([1 + hot, [1, 1]])),  # In parts of 64 pixels
    }[origin]
    np.testing.assert_allclose(network.predict(images, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("origin", "first", "last"), [("ours", -1, 1), ("article", 0, 15), ("paper", 0, 15)]
)
@pytest.mark.parametrize("task", ["classification", "rendering"])
@pytest.mark.parametrize("name", ["coordconv", "deconv"])
def test_the_article_and_the_paper_take_coordinates_in_pixels(name, task, origin, first, last):
    network = registry.find(name).build(tasks.as_task(task, 16), origin=origin)
    taken = keras.Model(network.input, network.layers[1].output)
    np.testing.assert_allclose(
        np.ravel(taken.predict(np.float32([[-1, 1]]), verbose=0)), [first, last], atol=1e-6
    )


def test_a_canvas_may_have_one_row():
    for origin in ("ours", "article", "paper"):
        network = registry.find("coordconv").build(
            tasks.as_task("regression", (5, 20)), origin=origin
        )
        assert network.output_shape == (None, 2)
    assert (
        registry.find("coordconv").build(tasks.as_task("regression", (1, 20))).count_params() == 906
    )


def test_the_first_stage_of_two_gives_the_probability_of_each_pixel():
    network = registry.find("coordconv").build(tasks.Rendering(16), two_stage=True)
    (softmax,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Softmax))
    logits, shares = keras.Model(network.input, [softmax.input, softmax.output]).predict(
        np.float32([[0, 0.5]]), verbose=0
    )
    assert shares.shape == (1, 16 * 16)
    np.testing.assert_allclose(shares, np.exp(logits) / np.exp(logits).sum(), rtol=1e-4)


def test_the_network_for_the_quadrant_reaches_all_coordinates_though_its_last_relu_gives_no_less_than_0():
    network = registry.find("conv").build(tasks.Regression(16), network="quadrant")
    kernel, bias = network.trainable_variables[-2:]
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([0.25, -5])
    answers = network.predict(np.zeros((1, 16, 16, 1), np.float32), verbose=0)
    np.testing.assert_allclose(answers, [[2 * 0.25 - 1, -1]], atol=1e-6)


def test_upsample_coordconv_differs_in_the_layer_alone():
    conv, coordconv = built("upsample_conv", "rendering"), built("upsample_coordconv", "rendering")
    kinds = [
        [type(layer).__name__.replace("CoordConv", "Conv") for layer in model.layers]
        for model in (conv, coordconv)
    ]
    assert kinds[0] == kinds[1]
    filters = (64, 64, 64, 32, 32, 1)
    assert registry.parameters(coordconv) - registry.parameters(conv) == sum(
        2 * 9 * n for n in filters
    )


@pytest.mark.parametrize(("name", "task", "recipe"), ALL)
def test_every_recipe_trains_and_every_model_can_be_saved(name, task, recipe, tmp_path):
    class Save(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            x = np.random.RandomState(0).uniform(-1, 1, (3, *self.model.input_shape[1:]))
            self.model.save(tmp_path / "model.keras")
            loaded = keras.models.load_model(tmp_path / "model.keras")
            np.testing.assert_allclose(
                loaded.predict(x, verbose=0), self.model.predict(x, verbose=0), atol=1e-5
            )

    result = benchmark.run(
        name,
        task=task,
        config=SIZES.get(recipe, "quadrant_16_square3"),
        recipe=recipe,
        settings={"epochs": 1, "batch_size": 64},
        data="memory",
        callbacks=[Save()],
    )
    assert all(np.isfinite(value) for split in result.metrics.values() for value in split.values())


@pytest.mark.parametrize("task", tasks.TASKS)
def test_each_task_is_solved_on_a_small_rectangle(task):
    """With as many steps as on 64x64 canvases.

    Divided by the wrong side, coordinates of the wider axis would be off by half the canvas.
    """
    name = "conv" if task in CONTROLS else "coordconv"
    result = benchmark.run(name, task=task, config="quadrant_14x30_square5", data="memory")
    assert result.perfect


@pytest.mark.parametrize("name", registry.names())
def test_a_default_recipe_makes_about_as_many_steps_on_a_small_canvas(name):
    default, *_ = registry.find(name).build.recipes.values()
    for recipe in default.values():
        for count in (2352, 2509, 2700, 14_400):  # From `quadrant`, `uniform`, `quadrant_square5`
            there = recipe.for_examples(count)
            assert (there.epochs, there.steps) == (recipe.epochs, 0)
        least = (recipe.epochs - 1) * recipe.steps_per_epoch(2352)
        few = recipe.for_examples(98)
        assert least <= few.epochs * few.steps_per_epoch(98) <= least + few.steps_per_epoch(98)


def test_the_first_model_of_the_readme_is_right():
    """The tuned CoordConv on regression, as `make demo` trains it; the other promises are in baselines/results.jsonl."""
    result = benchmark.run("coordconv", task="regression", config="quadrant", data="memory", seed=3)
    assert result.perfect
    assert result.metrics["test"]["error"] < 0.05


@pytest.mark.slow
def test_coordconv_solves_a_small_classification_and_tiling_alone_cannot():
    common = {"task": "classification", "config": "quadrant_20_square3", "data": "memory"}
    settings = {"epochs": 40, "batch_size": 16, "weight_decay": 2.0}
    coordconv = benchmark.run("coordconv", settings=settings, **common)
    tiled = benchmark.run("tiled_conv", settings={"epochs": 3}, **common)
    assert coordconv.metrics["test"]["accuracy"] > 0.9
    # Every pixel gets the same logit, the first one wins, and it is no centre.
    assert tiled.metrics["test"]["accuracy"] == tiled.metrics["train"]["accuracy"] == 0


def test_mean_pooling_ends_in_the_middle_of_the_canvas():
    """The article's failure: always (31.5, 31.5), here (7.5, 7.5), the mean of the uniform split but for chance."""
    result = benchmark.run(
        "coordconv",
        task="regression",
        config="uniform_16_square3",
        data="memory",
        settings={"pooling": "mean", "epochs": 10},
    )
    middle = np.mean([np.hypot(i - 7.5, j - 7.5) for i in range(1, 15) for j in range(1, 15)])
    assert result.metrics["train"]["error"] == pytest.approx(middle, rel=0.05)


def test_handing_on_copies_channels():
    kernel = keras.ops.convert_to_numpy(HandOn(noise=1e-7)((3, 3, 3, 8)))
    image = np.random.RandomState(0).normal(size=(1, 5, 6, 3)).astype(np.float32)
    convolved = keras.ops.convert_to_numpy(
        keras.ops.conv(image, kernel, padding="same", data_format="channels_last")
    )
    np.testing.assert_allclose(convolved[..., :3], image, atol=1e-5)
    np.testing.assert_allclose(convolved[..., 3:], 0, atol=1e-5)
    twice = keras.ops.convert_to_numpy(HandOn(channels=[1, 1], noise=1e-7)((1, 1, 3, 2)))
    np.testing.assert_allclose(image @ twice[0, 0], image[..., [1, 1]], atol=1e-5)
    with pytest.raises(ValueError, match=r"noise must be positive, got -0\.1"):
        HandOn(noise=-0.1)
    with pytest.raises(ValueError, match=r"channels must be 0 to 2, got \[0, 3\]"):
        HandOn(channels=[0, 3])((1, 1, 3, 2))


@pytest.mark.parametrize(
    ("name", "task", "size", "options", "sentence"),
    [
        (
            "deconv",
            "classification",
            48,
            {},
            "canvas_size=48 cannot be reached by doubling a pixel",
        ),
        (
            "conv",
            "regression",
            64,
            {"network": "half"},
            "origin='paper', network='half' is unknown; expected paper or article, uniform or quadrant",
        ),
        (
            "coordconv",
            "regression",
            64,
            {"origin": "mine"},
            "origin='mine' is unknown; expected one of ours, article, paper",
        ),
        (
            "deconv",
            "rendering",
            64,
            {"origin": "mine"},
            "origin='mine' is unknown; expected one of ours, article, paper",
        ),
        (
            "coordconv",
            "regression",
            64,
            {"pooling": "min"},
            "pooling='min' is unknown; expected one of max, mean, soft_argmax",
        ),
        (
            "conv",
            "painting",
            64,
            {"origin": "paper"},
            "origin is not a setting for painting; leave it out",
        ),
        (
            "conv",
            "rendering",
            64,
            {},
            "conv is not for rendering; expected one of regression, localisation, painting, detec",
        ),
        (
            "coordconv",
            "localisation",
            64,
            {"origin": "paper"},
            "origin='paper' has no network for localisation; leave it out",
        ),
        (
            "coordconv",
            "rendering",
            64,
            {"multiplier": 4},
            "multiplier is a setting of the second stage; add two_stage=true",
        ),
        (
            "deconv",
            "rendering",
            28,
            {"origin": "liang", "size": 7},
            "size=7 is not a setting for origin='liang'; leave it out",
        ),
        ("vit", "regression", 32, {"width": 66}, "width=66 is not a multiple of 4 x heads, 16"),
        (
            "coordconv",
            "painting",
            64,
            {},
            "coordconv is not for painting; expected one of classification, regression, rendering",
        ),
    ],
)
def test_bad_options_give_one_sentence(name, task, size, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        registry.find(name).build(tasks.as_task(task, size), **options)


@pytest.fixture(scope="module")
def committed():
    return results.reference()


def test_the_committed_results_keep_the_promises(committed):
    perfect = {(run.task, run.config, run.label, run.seed) for run in committed if run.perfect}
    for config in ("uniform", "quadrant"):
        for task in tasks.TASKS.keys() - CONTROLS:
            assert {(task, config, "coordconv", seed) for seed in range(10)} <= perfect
        for task in CONTROLS:
            assert {(task, config, "conv", seed) for seed in range(10)} <= perfect
    for quadrant in ("lower_left", "upper_right", "upper_left"):
        assert {
            ("classification", f"quadrant_{quadrant}", "coordconv", seed) for seed in range(5)
        } <= perfect
    assert not [run.id for run in committed if "-dirty" in run.environment["commit"]]


def test_the_committed_results_are_those_of_the_recipes_and_networks_of_today(committed):
    """The command of each would make a run of the same id, with the same settings and as many parameters."""
    plans = {}
    for run in committed:
        words = shlex.split(run.command)
        options = collections.defaultdict(list)
        for name, value in zip(words[3::2], words[4::2], strict=True):
            options[name].append(value)
        (task,), (config,), (seed,), recipe = (
            options[f"--{name}"] for name in ("task", "config", "seed", "recipe")
        )
        settings = naming.read_all(options["--set"])
        options = {"recipe": recipe[0] if recipe else None, "settings": settings, "seed": int(seed)}
        planned = experiment.plan(words[2], task=task, config=config, **options)
        assert (words[:2], planned.id, planned.saved_recipe) == (
            ["not-so-clevr", "train"],
            run.id,
            run.settings,
        )
        plans[run.label, run.task] = planned, run
    for planned, run in plans.values():
        assert (
            registry.parameters(planned.model.build(planned.task, **planned.recipe.model))
            == run.parameters
        )
