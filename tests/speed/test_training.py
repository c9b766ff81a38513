"""Measures training: time to the right answer, against plain models, against `model.fit`."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from not_so_clevr import benchmark as harness
from not_so_clevr.baselines.layers import AddCoords, CoordConv2D
from not_so_clevr.benchmark import environment, loading, registry
from not_so_clevr.dataset import tasks
from not_so_clevr.dataset.config import as_config

SHAPES = {"2 to 32, 1x1": (2, 32, 1), "32 to 32, 1x1": (32, 32, 1), "32 to 32, 3x3": (32, 32, 3)}
LAYERS = {
    "ours": lambda filters, size: [CoordConv2D(filters, size, padding="same")],
    "concatenation": lambda filters, size: [
        AddCoords(),
        layers.Conv2D(filters, size, padding="same"),
    ],
}


class StopWhenRight(keras.callbacks.Callback):
    def __init__(self, metric):
        super().__init__()
        self.metric = metric

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = logs[f"val_{self.metric}"] == 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("what", ["predict", "train"])
def test_layer(benchmark, what, kind, shape):
    channels, filters, size = SHAPES[shape]
    x = np.random.RandomState(0).normal(size=(32, 64, 64, channels)).astype(np.float32)
    # The layer before it makes Keras compute the gradient of the input, too.
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), layers.Dense(channels), *LAYERS[kind](filters, size)]
    )
    model.compile(keras.optimizers.SGD(0.0), "mean_squared_error")
    y = np.zeros((32, 64, 64, filters), np.float32)
    step = (
        (lambda: model.predict_on_batch(x))
        if what == "predict"
        else (lambda: model.train_on_batch(x, y))
    )
    benchmark.pedantic(step, rounds=20, warmup_rounds=3)


@pytest.mark.parametrize("kind", LAYERS)
def test_layer_memory(benchmark, kind):
    """Peak memory of training the layer on 128 images, less that of training it on one."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
import numpy as np
import test_training
test_training.one_step({kind!r}, int(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak(images):
        output = subprocess.run(
            [sys.executable, "-c", code, str(images)], check=True, capture_output=True, text=True
        ).stdout
        return int(output.split()[-1]) * 1024

    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(bytes=peak(128) - peak(1), images=127)


def one_step(kind, images):
    """Trains a layer of 32 to 32 channels for one step on 64 x 64 images."""
    model = keras.Sequential([keras.Input((64, 64, 32)), layers.Dense(32), *LAYERS[kind](32, 3)])
    model.compile(keras.optimizers.SGD(0.0), "mean_squared_error")
    x = np.ones((images, 64, 64, 32), np.float32)
    model.train_on_batch(x, x)


def plain(task):
    """Returns CoordConv for classification or rendering, written plainly in Keras."""
    x = inputs = keras.Input(task.input_shape)
    x = AddCoords()(layers.UpSampling2D(task.canvas_size)(layers.Reshape((1, 1, 2))(x)))
    for filters in (32, 32, 64, 64):
        x = layers.Conv2D(filters, 1, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Reshape(task.output_shape)(layers.Conv2D(1, 1)(x)))


@pytest.mark.parametrize("build", ["coordconv", plain])
@pytest.mark.parametrize("task", ["classification", "rendering"])
def test_examples_per_second(benchmark, task, build):
    recipe = registry.find("coordconv").recipe(None, task)[1]
    settings = {"epochs": 3, "batch_size": recipe.batch_size, "weight_decay": recipe.weight_decay}
    results = []
    benchmark.pedantic(lambda: results.append(run(build, task, settings=settings)), rounds=2)
    fastest = min(
        epoch["seconds"] for result in results for epoch in result.history[1:]
    )  # The first epoch compiles.
    benchmark.extra_info["examples_per_second"] = 2352 / fastest


@pytest.mark.parametrize("memory", ["kept", "returned"])
def test_memory(benchmark, memory):
    """In its own process, since a setting of the C library cannot be undone."""
    code = f"""
import sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
import test_training
if {memory == "returned"}:
    test_training.environment.keep_memory = lambda: None
result = test_training.run("coordconv", "classification", settings={{"epochs": 2}})
print(result.history[1]["seconds"])
"""
    run_once = functools.partial(
        subprocess.run, [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    printed = benchmark.pedantic(run_once, rounds=1).stdout
    benchmark.extra_info["examples_per_second"] = 2352 / float(printed.split()[-1])


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("how", ["harness", "fit"])
def test_harness(benchmark, how, task):
    benchmark.pedantic(
        {"harness": run, "fit": fit}[how],
        ("coordconv", task),
        {"settings": {"epochs": 4}},
        rounds=2,
    )


@pytest.mark.parametrize(
    ("task", "recipe", "epochs"),
    [
        ("classification", "tuned", None),
        ("classification", "article", 20),
        ("regression", "tuned", None),
        ("regression", "article", None),
        ("rendering", "tuned", None),
        ("rendering", "article", 10),
    ],
)
def test_seconds_until_right(benchmark, task, recipe, epochs):
    """Until every test example is right, or the epochs are over."""
    settings = {} if epochs is None else {"epochs": epochs}
    stop = StopWhenRight(tasks.TASKS[task].accuracy_metric)
    result = benchmark.pedantic(
        run, ("coordconv", task, recipe), {"settings": settings, "callbacks": [stop]}, rounds=1
    )
    best = max(epoch["test"][result.accuracy_metric] for epoch in result.history)
    benchmark.extra_info.update(epochs=len(result.history), right=best)


def run(build, task, recipe=None, **options):
    return harness.run(build, task=task, config="quadrant", recipe=recipe, data="memory", **options)


def fit(name, task, settings):
    """Does what the harness does, in bare Keras."""
    task = tasks.as_task(task, 64)
    keras.utils.set_random_seed(0)
    environment.make_deterministic()
    model = registry.find(name)
    recipe = model.recipe(None, task.name)[1].replace(settings)
    network = model.build(task)
    splits = {
        split: task.xy(arrays)
        for split, arrays in loading.load(as_config("quadrant"), task, "memory").items()
    }
    recipe.compile(network, task.loss, -(-2352 // recipe.batch_size))
    network.fit(
        *splits["train"],
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation_data=splits["test"],
        verbose=0,
    )
    return [network.evaluate(*splits[split], verbose=0) for split in splits]
