import dataclasses

import keras
import numpy as np
import pytest

from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.recipe import Recipe, with_recipes
from not_so_clevr.results.result import with_added


def network():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, bias_initializer="ones")])


def weights_before_and_after(recipe, steps):
    """The kernel and the bias of a network before and after some steps in which every gradient is 0."""
    model = network()
    recipe.compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in model.trainable_variables]
    for _ in range(steps):
        model.optimizer.apply(
            [keras.ops.zeros(weight.shape) for weight in model.trainable_variables],
            model.trainable_variables,
        )
    return before, [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]


def test_weight_decay_shrinks_kernels_alone():
    (kernel, bias), (kernel_after, bias_after) = weights_before_and_after(
        Recipe(learning_rate=0.01, weight_decay=2.0), steps=3
    )
    np.testing.assert_allclose(kernel_after, kernel * (1 - 0.01 * 2) ** 3, rtol=1e-5)
    np.testing.assert_array_equal(bias_after, bias)


def test_without_weight_decay_nothing_shrinks():
    before, after = weights_before_and_after(Recipe(learning_rate=0.01), steps=3)
    np.testing.assert_array_equal(after[0], before[0])


def test_l2_adds_the_sum_of_squares_of_the_kernels_to_the_loss():
    model = network()
    Recipe(l2=0.3).compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    kernel = keras.ops.convert_to_numpy(model.trainable_variables[0])
    assert float(sum(model.losses)) == pytest.approx(0.3 * np.square(kernel).sum(), rel=1e-5)
    Recipe().compile(other := network(), keras.losses.MeanSquaredError(), steps_per_epoch=4)
    assert other.losses == []


def test_l2_does_not_replace_a_regularizer():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L1(0.5))]
    )
    with pytest.raises(
        ValueError, match=r"l2=0.3 would replace the regularizer of .*kernel; omit one of them."
    ):
        Recipe(l2=0.3).compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    Recipe().compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    assert len(model.losses) == 1


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (Recipe(epochs=5, learning_rate=0.2), {0: 0.2, 19: 0.2}),
        (Recipe(epochs=5, learning_rate=0.2, schedule="cosine"), {0: 0.2, 10: 0.1, 20: 0.0}),
        (
            Recipe(epochs=5, learning_rate=0.2, schedule="step", step_epochs=2),
            {0: 0.2, 7: 0.2, 8: 0.02, 15: 0.02, 16: 0.002},
        ),
        (Recipe(epochs=5, learning_rate=0.2, schedule="step", step_epochs=9), {0: 0.2, 19: 0.2}),
    ],
)
def test_learning_rates_follow_the_schedule(recipe, rates):
    model = network()
    recipe.compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    for step, expected in rates.items():
        model.optimizer.iterations.assign(step)
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        assert rate == pytest.approx(expected, abs=1e-7), step


def test_the_mean_squared_error_is_that_of_the_logits():
    model = network()
    Recipe(loss="mean_squared_error").compile(
        model, keras.losses.BinaryCrossentropy(from_logits=True), steps_per_epoch=4
    )
    targets = np.float32([[0, 1], [1, 1], [0, 0]])
    for logits, expected in ((targets, 0), (targets + 3, 9), (0 * targets, 1 / 2)):
        loss = model.compute_loss(
            y=keras.ops.convert_to_tensor(targets), y_pred=keras.ops.convert_to_tensor(logits)
        )
        assert float(loss) == pytest.approx(expected, rel=1e-6)


def table(name):
    """A model with a weight [4, 2] of that name, and a kernel."""

    class Table(keras.layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(4, 2), initializer="ones", name=name)

        def call(self, x):
            return x @ self.table

    return keras.Sequential([keras.Input((4,)), Table(), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    ("name", "is_table"),
    [
        ("embeddings", True),
        ("pos_embed", True),
        ("position", True),
        ("positions", True),
        ("pos", True),
        ("kernel", False),
        ("decomposition", False),
        ("composed", False),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_weight_decay_leaves_out_embeddings_and_position_tables_unless_asked(name, is_table, asked):
    model = table(name)
    recipe = Recipe(learning_rate=0.01, weight_decay=2.0, decay_tables=asked)
    recipe.compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    weights = model.trainable_variables
    model.optimizer.apply([keras.ops.zeros(each.shape) for each in weights], weights)
    expected = 1.0 if is_table and not asked else 1 - 0.01 * 2
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weights[0]), expected, rtol=1e-6)
    Recipe(l2=0.5, decay_tables=asked).compile(
        other := table(name), keras.losses.MeanSquaredError(), steps_per_epoch=4
    )
    assert len(other.losses) == (1 if is_table and not asked else 2)


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (Recipe(epochs=5, learning_rate=0.2, warmup=4), {0: 0.05, 1: 0.1, 3: 0.2, 19: 0.2}),
        (Recipe(epochs=5, learning_rate=0.2, warmup=0.2), {0: 0.05, 1: 0.1, 3: 0.2, 19: 0.2}),
        (
            Recipe(epochs=5, learning_rate=0.2, warmup=10, schedule="cosine"),
            {0: 0.02, 5: 0.12 * (1 + np.cos(np.pi / 4)) / 2, 10: 0.1, 20: 0.0},
        ),
        (Recipe(epochs=5, learning_rate=0.2, warmup=0.01), {0: 0.2}),
    ],
)
def test_the_learning_rate_warms_up(recipe, rates):
    test_learning_rates_follow_the_schedule(recipe, rates)


def stepped(recipe, gradient, steps=1):
    """The changes of a weight [2, 1] from 0 and of another, at steps with these gradients."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    recipe.compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    for _ in range(steps):
        values = [keras.ops.convert_to_tensor(np.float32(each)) for each in gradient]
        model.optimizer.apply(values, model.trainable_variables)
    return [keras.ops.convert_to_numpy(each).ravel() for each in model.trainable_variables]


def test_gradients_are_clipped_by_their_norm_over_all_weights():
    """[3, 0] and [4] have the norm 5."""
    sgd = Recipe(learning_rate=0.1, optimizer="sgd", beta_1=0.0)
    gradient = ([[3.0], [0.0]], [4.0])
    np.testing.assert_allclose(np.concatenate(stepped(sgd, gradient)), [-0.3, 0, -0.4], rtol=1e-6)
    clipped = sgd.replace({"clip": 1.0})
    np.testing.assert_allclose(
        np.concatenate(stepped(clipped, gradient)), [-0.06, 0, -0.08], rtol=1e-6
    )


def test_the_momentum_of_sgd_is_beta_1():
    """Two steps of gradient 1: velocities 1 and 1.5."""
    recipe = Recipe(learning_rate=0.1, optimizer="sgd", beta_1=0.5)
    kernel, _ = stepped(recipe, ([[1.0], [1.0]], [0.0]), steps=2)
    np.testing.assert_allclose(kernel, -0.25, rtol=1e-6)


def test_the_betas_are_those_of_adam():
    model = network()
    recipe = Recipe(beta_1=0.5, beta_2=0.25)
    recipe.compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    assert (model.optimizer.beta_1, model.optimizer.beta_2) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("steps", "batch_size", "count", "epochs"),
    [
        (2000, 32, 2352, 28),
        (2000, 32, 432, 143),
        (74, 32, 2352, 1),
        (75, 32, 2352, 2),
        (0, 32, 9, 20),
    ],
)
def test_steps_make_epochs(steps, batch_size, count, epochs):
    recipe = Recipe(steps=steps, batch_size=batch_size).for_examples(count)
    assert (recipe.epochs, recipe.steps) == (epochs, steps)
    assert recipe.for_examples(count) == recipe


@pytest.mark.parametrize(
    ("count", "epochs", "steps"), [(2352, 6, 0), (14400, 6, 0), (432, 27, 370), (5, 370, 370)]
)
def test_with_steps_a_small_data_set_gets_more_epochs(count, epochs, steps):
    """And a record says which of the two decided."""
    recipe = Recipe(epochs=6, steps=370).for_examples(count)
    assert (recipe.epochs, recipe.steps) == (epochs, steps)


def test_step_epochs_without_their_schedule_are_refused():
    with pytest.raises(
        ValueError, match="step_epochs is for the schedule 'step'; add schedule='step'"
    ):
        Recipe().replace({"step_epochs": 5})
    assert Recipe(schedule="step").replace({"step_epochs": 5}).step_epochs == 5


def test_epochs_replace_steps():
    assert Recipe(steps=7).replace({"epochs": 3}).steps == 0
    assert Recipe(epochs=3, steps=7).replace({"steps": 9}).epochs == 1
    with pytest.raises(ValueError, match="epochs=None is a NoneType; expected an integer from 1"):
        Recipe().replace({"epochs": None})
    with pytest.raises(ValueError, match="steps=0 is out of range; expected an integer from 1 to"):
        Recipe(epochs=3, steps=7).replace({"steps": 0})
    with pytest.raises(ValueError, match="steps and epochs exclude each other; give one of them."):
        Recipe().replace({"epochs": 3, "steps": 7})


@pytest.mark.parametrize(
    "recipes",
    [{}, {"tuned": {}}, {"tuned": Recipe()}, {"tuned": {"regression": Recipe()}, "other": None}],
)
def test_recipes_are_given_for_tasks(recipes):
    with pytest.raises(
        ValueError,
        match=r"needs recipes, each for one or more tasks; e.g. tuned=\{'regression': Recipe\(\)\}.",
    ):
        with_recipes(source="me", **recipes)
    build = type("Build", (), {"recipes": recipes, "__call__": lambda self, task: None})()
    with pytest.raises(
        ValueError, match=r":Build needs recipes, each for one or more tasks; e.g. tuned="
    ):
        registry.describe(build)


@pytest.mark.parametrize("recipe", [{"epochs": 1}, None, "fast"])
def test_recipes_are_recipes(recipe):
    with pytest.raises(ValueError, match="with_recipes needs a Recipe for regression, got "):
        with_recipes(source="me", tuned={"regression": recipe})


def test_an_empty_name_is_no_recipe():
    with pytest.raises(ValueError, match="coordconv has no recipe ''; expected one of tuned, "):
        registry.find("coordconv").recipe("", "regression")


def test_recipes_are_for_tasks_that_there_are():
    with pytest.raises(
        ValueError,
        match="Unknown task 'regresion' in with_recipes; expected one of classification, regression, ",
    ):
        with_recipes(source="me", tuned={"regresion": Recipe()})


def test_settings_that_are_no_recipes_are_the_models():
    recipe = Recipe(model={"size": 3}).replace({"epochs": 7, "size": 2, "multiplier": 4})
    assert recipe == Recipe(epochs=7, model={"size": 2, "multiplier": 4})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs=0 is out of range; expected an integer from 1 to 1000000000."),
        ({"batch_size": 2.5}, "batch_size=2.5 is a float; expected an integer from 1 to"),
        ({"epochs": True}, "epochs=True is a bool; expected an integer from 1 to"),
        ({"learning_rate": -1}, "learning_rate must be a number from 0 to below 1e.300, got -1."),
        ({"learning_rate": 1e300}, r"from 0 to below 1e\+300, got 1e\+300\."),
        ({"steps": -1}, "steps=-1 is out of range; expected an integer from 0 to 1000000000."),
        ({"steps": 10**30}, "steps=.* is out of range; expected an integer from 0 to 1000000000."),
        ({"warmup": -1}, "warmup must be a number from 0 to below 1e.300, got -1."),
        ({"ema": 1}, "ema must be a number from 0 to below 1, got 1."),
        ({"beta_1": 1.0}, "beta_1 must be a number from 0 to below 1, got 1.0."),
        ({"decay_tables": 1}, "decay_tables must be True or False, got 1."),
        ({"optimizer": "lion"}, "optimizer='lion' is unknown; expected one of adam, sgd."),
        ({"l2": float("nan")}, "l2 must be a number from 0 to below 1e.300, got nan."),
        ({"weight_decay": "2"}, "weight_decay must be a number from 0 to below 1e.300, got '2'."),
        (
            {"schedule": "sine"},
            r"schedule='sine' is unknown \(did you mean 'cosine'\?\); expected one of constant, ",
        ),
    ],
)
def test_bad_settings_give_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Recipe(**settings)


def test_a_bool_of_numpy_is_one():
    assert Recipe(decay_tables=np.True_) == Recipe(decay_tables=True)


@pytest.mark.parametrize("ignored", [False, True])
def test_older_files_lack_settings_that_have_the_value_of_today(ignored):
    """Those of a model that came compiled are None, but for its epochs, steps and batch size."""
    today = dataclasses.asdict(Recipe())
    if ignored:
        kept = ("epochs", "steps", "batch_size", "model")
        today = {name: value if name in kept else None for name, value in today.items()}
    first = ("epochs", "batch_size", "learning_rate", "schedule", "step_epochs", "weight_decay")
    old = {name: today[name] for name in (*first, "l2", "model")}
    assert with_added(old) == today


@pytest.mark.parametrize(("logit", "loss"), [(0.5, 0.5), (-0.5, 0.5), (0.0, 0.25), (1.5, 2.5)])
def test_brightness_is_the_logit_plus_a_half(logit, loss):
    """One white and one black pixel: ((logit - 1/2)^2 + (logit + 1/2)^2) / 2."""
    model = network()
    Recipe(loss="brightness").compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    white, black = np.float32([[1.0, 0.0]]), np.float32([[logit, logit]])
    assert float(model.loss(white, black)) == pytest.approx(loss)
