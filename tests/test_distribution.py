"""Each test runs in a process of its own with two virtual devices, which is what a CPU can offer."""

import json

import keras
import numpy as np
import pytest
import run_files
import subprocesses
from hypothesis import given
from hypothesis import strategies as st

from not_so_clevr import benchmark
from not_so_clevr.benchmark import distribution
from not_so_clevr.dataset import geometry
from not_so_clevr.dataset.batches import Batches, Examples, padded, weights
from not_so_clevr.dataset.config import NotSoClevrConfig
from not_so_clevr.dataset.examples import Drawn
from not_so_clevr.dataset.tasks import Regression

SMALL = {"config": "quadrant_16_square3", "data": "memory", "seed": 3}
TWO_DEVICES = """
import json, sys
import keras
import numpy as np
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpu, = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from not_so_clevr import benchmark
"""


def on_each_backend(cases):
    """Cases (backend, ...) for pytest, each a process: without backends that are not installed."""
    installed = [keras.backend.backend(), *subprocesses.other_backends()]
    return [pytest.param(*case, marks=pytest.mark.slow) for case in cases if case[0] in installed]


BACKENDS = on_each_backend([("tensorflow",), ("jax",)])


def run(code, backend):
    flags = "--xla_force_host_platform_device_count=2"
    return json.loads(
        subprocesses.run(TWO_DEVICES + code, KERAS_BACKEND=backend, XLA_FLAGS=flags).splitlines()[
            -1
        ]
    )


# 147 examples for training: of 49, an odd number; or of 32 and at last 19. The test split has 49.
CASES = [
    ("regression", {"batch_size": 49}),
    ("classification", {"batch_size": 32}),
    ("rendering", {"batch_size": 32, "l2": 1e-4}),
    ("rendering", {"batch_size": 32, "loss": "mean_squared_error"}),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_devices_give_the_result_of_one(backend, tmp_path):
    code = f"""
found = []
for task, settings in {CASES!r}:
    for distribute in (False, True):
        run = benchmark.run(
            "coordconv", task=task, settings=settings | {{"epochs": 2}}, runs=f"{tmp_path}/{{distribute}}",
            distribute=distribute, **{SMALL!r}
        )
        found.append([run.metrics, run.history, run.parameters, run.command, run.hardware, run.id])
print(json.dumps(found))
"""
    found = run(code, backend)
    for (_, settings), one, two in zip(CASES, found[::2], found[1::2], strict=True):
        for a, b in zip(one[:2], two[:2], strict=True):
            assert_close(a, b, loss=settings["batch_size"] == 49)
        assert two[2] == one[2]
        assert two[3] == f"{one[3]} --distribute"
        assert two[4].startswith("2 devices: cpu:0, cpu:1 of ")
        a, b = (floats(tmp_path / distribute / one[5]) for distribute in ("False", "True"))
        assert np.linalg.norm(b - a) < 1e-4 * np.linalg.norm(
            a
        )  # Adam makes much of a little where gradients are near 0.


def floats(folder):
    """Every number with a point in model.weights.h5, one after the other."""
    arrays = run_files.weights(folder).values()
    return np.concatenate(
        [array.ravel() for array in arrays if np.issubdtype(array.dtype, np.floating)]
    )


def assert_close(a, b, loss):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a.keys() - {"seconds", "cpu_seconds"} - ({"loss"} if not loss else set()):
            assert_close(a[key], b[key], loss)
    elif isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            assert_close(x, y, loss)
    else:
        assert b == pytest.approx(a, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupted_run_goes_on(backend, tmp_path):
    code = f"""
class Interrupt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            raise KeyboardInterrupt
options = dict(task="regression", distribute=True, settings={{"epochs": 3}}, **{SMALL!r})
whole = benchmark.run("coordconv", **options)
try:
    benchmark.run("coordconv", runs={str(tmp_path)!r}, callbacks=[Interrupt()], **options)
except KeyboardInterrupt:
    resumed = benchmark.run("coordconv", runs={str(tmp_path)!r}, resume=True, **options)
print(json.dumps([[run.metrics, [epoch["loss"] for epoch in run.history]] for run in (whole, resumed)]))
"""
    whole, resumed = run(code, backend)
    assert_close(whole, resumed, loss=True)
    assert len(resumed[1]) == 3


@pytest.mark.parametrize(
    ("backend", "sentence"),
    on_each_backend(
        [
            (
                "tensorflow",
                "upsample_conv has batch normalization, and TensorFlow would normalize each device's part of a batch",
            ),
            (
                "jax",
                "upsample_conv has batch normalization, and a batch of 3 examples cannot be split evenly among 2",
            ),
        ]
    ),
)
def test_batch_normalization_is_refused_where_it_would_change_the_result(backend, sentence):
    code = f"""
try:
    benchmark.run("upsample_conv", task="classification", distribute=True, **{SMALL!r})
except ValueError as error:
    print(json.dumps(str(error)))
"""
    assert run(code, backend).startswith(sentence)


class Block(keras.layers.Layer):
    """Hides a layer from `Model.layers`."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.BatchNormalization()

    def call(self, x, training=False):
        return self.inner(x, training=training)


def test_batch_normalization_is_found_however_deep_it_is():
    for hidden in (
        Block(),
        keras.layers.TimeDistributed(keras.layers.BatchNormalization()),
        keras.Sequential([Block()]),
    ):
        network = keras.Sequential([keras.Input((5, 3)), hidden])
        with pytest.raises(ValueError, match="deep has batch normalization"):
            distribution.check(network, "deep", parts=2, sizes={3})
    distribution.check(
        keras.Sequential([keras.Input((5, 3)), keras.layers.LayerNormalization()]), "other", 2, {3}
    )


def test_every_batch_of_an_epoch_must_divide_evenly_where_there_is_batch_normalization(monkeypatch):
    """Batches of 9 leave none of 27 examples over, and two devices cannot share 9."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    centres = geometry.centres(5, 3).repeat(3, axis=0)
    examples = Examples(
        Drawn(centres, NotSoClevrConfig(canvas_size=5, shape="square3")), Regression(5)
    )
    network = keras.Sequential([keras.Input((5, 3)), Block()])
    assert Batches(examples, 9, 0).sizes == {9}
    with pytest.raises(
        ValueError, match="a batch of 9 examples cannot be split evenly among 2 devices"
    ):
        distribution.check(network, "net", 2, Batches(examples, 9, 0).sizes)
    assert Batches(examples, 20, 0).sizes == {20, 7}
    distribution.check(network, "net", 3, Batches(examples, 9, 0).sizes)


def test_one_device_is_refused(monkeypatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    if keras.backend.backend() == "torch":
        expected = "distribute needs TensorFlow or JAX, not torch; set KERAS_BACKEND=jax."
    else:
        expected = (
            f"distribute needs two or more devices, {keras.backend.backend()} has gpu:0; omit it."
        )
    with pytest.raises(ValueError, match=expected):
        benchmark.run("coordconv", task="regression", distribute=True, **SMALL)


def test_a_keras_that_distributes_otherwise_is_refused(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.9.2")
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(
        ImportError, match="needs Keras 3.10 or later, not 3.9.2; run: pip install -U keras"
    ):
        benchmark.run("coordconv", task="regression", distribute=True, **SMALL)


@given(st.integers(1, 40), st.integers(1, 9))
def test_weights_leave_out_what_was_padded(count, parts):
    losses = np.random.RandomState(count).rand(count)
    repeated = padded(losses, parts)
    assert len(repeated) % parts == 0
    assert len(repeated) - count < parts
    for y in (np.zeros((len(repeated), 5)), np.zeros((len(repeated), 4, 3, 1))):
        each = np.broadcast_to(repeated.reshape(-1, *(1,) * (y.ndim - 2)), y.shape[:-1])
        np.testing.assert_allclose(np.mean(each * weights(count, y)), losses.mean())
