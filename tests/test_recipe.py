import keras
import numpy as np
import pytest

from not_so_clevr.benchmark import registry
from not_so_clevr.benchmark.recipe import Recipe, with_recipes


def network():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, bias_initializer="ones")])


def weights_before_and_after(recipe, steps):
    """The kernel and the bias of a network before and after some steps in which every gradient is 0."""
    model = network()
    recipe.compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in model.trainable_variables]
    for _ in range(steps):
        model.optimizer.apply(
            [keras.ops.zeros(weight.shape) for weight in model.trainable_variables], model.trainable_variables
        )
    return before, [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]


def test_weight_decay_shrinks_kernels_alone():
    (kernel, bias), (kernel_after, bias_after) = weights_before_and_after(Recipe(learning_rate=0.01, weight_decay=2.0), steps=3)
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
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L1(0.5))])
    with pytest.raises(ValueError, match=r"l2=0.3 would replace the regularizer of .*kernel; omit one of them."):
        Recipe(l2=0.3).compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    Recipe().compile(model, keras.losses.MeanSquaredError(), steps_per_epoch=4)
    assert len(model.losses) == 1


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        (Recipe(epochs=5, learning_rate=0.2), {0: 0.2, 19: 0.2}),
        (Recipe(epochs=5, learning_rate=0.2, schedule="cosine"), {0: 0.2, 10: 0.1, 20: 0.0}),
        (Recipe(epochs=5, learning_rate=0.2, schedule="step", step_epochs=2), {0: 0.2, 7: 0.2, 8: 0.02, 15: 0.02, 16: 0.002}),
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
    Recipe(loss="mean_squared_error").compile(model, keras.losses.BinaryCrossentropy(from_logits=True), steps_per_epoch=4)
    targets = np.float32([[0, 1], [1, 1], [0, 0]])
    for logits, expected in ((targets, 0), (targets + 3, 9), (0 * targets, 1 / 2)):
        loss = model.compute_loss(y=keras.ops.convert_to_tensor(targets), y_pred=keras.ops.convert_to_tensor(logits))
        assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "recipes", [{}, {"tuned": {}}, {"tuned": Recipe()}, {"tuned": {"regression": Recipe()}, "other": None}]
)
def test_recipes_are_given_for_tasks(recipes):
    with pytest.raises(
        ValueError, match=r"needs recipes, each for one or more tasks; e.g. tuned=\{'regression': Recipe\(\)\}."
    ):
        with_recipes(source="me", **recipes)
    build = type("Build", (), {"recipes": recipes, "__call__": lambda self, task: None})()
    with pytest.raises(ValueError, match=r":Build needs recipes, each for one or more tasks; e.g. tuned="):
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
        ValueError, match="Unknown task 'regresion' in with_recipes; expected one of classification, regression, "
    ):
        with_recipes(source="me", tuned={"regresion": Recipe()})


def test_settings_that_are_no_recipes_are_the_models():
    recipe = Recipe(model={"size": 3}).replace({"epochs": 7, "size": 2, "multiplier": 4})
    assert recipe == Recipe(epochs=7, model={"size": 2, "multiplier": 4})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs must be a positive integer, got 0."),
        ({"batch_size": 2.5}, "batch_size must be a positive integer, got 2.5."),
        ({"epochs": True}, "epochs must be a positive integer, got True."),
        ({"learning_rate": -1}, "learning_rate must be a non-negative number, got -1."),
        ({"l2": float("nan")}, "l2 must be a non-negative number, got nan."),
        ({"weight_decay": "2"}, "weight_decay must be a non-negative number, got '2'."),
        ({"schedule": "sine"}, "schedule='sine' is unknown; expected one of constant, cosine, step."),
    ],
)
def test_bad_settings_give_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Recipe(**settings)
