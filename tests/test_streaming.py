import contextlib
import itertools
import time

import keras
import numpy as np
import pytest
import subprocesses
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import not_so_clevr
from not_so_clevr.dataset import devices, drawing, tasks
from not_so_clevr.dataset.batches import Batches

SMALL = "quadrant_16_square3"
ARRAYS = not_so_clevr.load_arrays(SMALL)


def joined(batches):
    """Arrays of all batches, one after the other."""
    batches = list(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in ARRAYS["train"]}


def labels(dataset):
    return [batch["label"].tolist() for batch in dataset.as_numpy_iterator()]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    "config", ["uniform_32", "quadrant", "uniform_20_square5_seed3", "uniform_4_square3"]
)
def test_an_epoch_is_the_stored_data_set(config, split):
    arrays = not_so_clevr.load_arrays(config)[split]
    streamed = joined(not_so_clevr.stream(config, split, 50, epochs=1).as_numpy_iterator())
    order = np.argsort(streamed["label"])
    for name, values in arrays.items():
        assert streamed[name].dtype == values.dtype
        np.testing.assert_array_equal(streamed[name][order], values)


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_every_epoch_has_every_example_once_in_an_order_of_its_own(batch_size, seed):
    steps = -(-len(ARRAYS["train"]["label"]) // batch_size)
    both = labels(not_so_clevr.stream(SMALL, "train", batch_size, seed, epochs=2))
    assert len(both) == 2 * steps
    first, second = (list(itertools.chain(*epoch)) for epoch in (both[:steps], both[steps:]))
    assert sorted(first) == sorted(second) == ARRAYS["train"]["label"].tolist()
    assert first != second
    assert all(len(batch) == batch_size for batch in [*both[: steps - 1], *both[steps:-1]])
    assert labels(not_so_clevr.stream(SMALL, "train", batch_size, seed, epochs=2)) == both
    assert labels(not_so_clevr.stream(SMALL, "train", batch_size, seed ^ 1, epochs=2)) != both


def shuffled(seed, epoch):
    """The examples of test in TensorFlow's order for two seeds, which needs no memory."""
    return tf.random.experimental.index_shuffle(
        tf.range(49), tf.constant([seed, epoch], tf.int64), 48
    ).numpy()


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_the_order_follows_from_seed_and_epoch(seed):
    both = labels(not_so_clevr.stream(SMALL, "test", 49, seed, epochs=2))
    assert both == [ARRAYS["test"]["label"][shuffled(seed, epoch)].tolist() for epoch in (0, 1)]


def test_that_order_is_as_good_as_random():
    """Where the first example comes to stand, over many seeds, is uniform: chi-squared over 16 bins, 15 degrees of freedom."""
    bins = np.arange(49) * 16 // 49
    counts = np.bincount([bins[shuffled(seed, 0)[0]] for seed in range(320)], minlength=16)
    expected = np.bincount(bins) * 320 / 49
    assert ((counts - expected) ** 2 / expected).sum() < 44.3  # 0.01 % of uniform draws exceed it.


def test_without_a_seed_the_order_is_that_of_load_arrays():
    streamed = joined(not_so_clevr.stream(SMALL, "train", 13, None, epochs=1).as_numpy_iterator())
    np.testing.assert_array_equal(streamed["label"], ARRAYS["train"]["label"])
    batches = not_so_clevr.stream_batches(SMALL, "train", 13, None, task="regression", epochs=1)
    y = np.concatenate([batches[k][1] for k in range(len(batches))])
    np.testing.assert_array_equal(y, tasks.Regression(16).xy(ARRAYS["train"])[1])


def test_it_ends_only_if_it_is_told_to():
    assert not_so_clevr.stream(SMALL).cardinality() == tf.data.INFINITE_CARDINALITY
    assert (
        not_so_clevr.stream(SMALL, "test", 20, epochs=3).cardinality() == 3 * 3
    )  # 49 examples: 20, 20 and 9


@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_task_sees_what_it_sees_of_the_arrays(name):
    expected = tasks.as_task(name, 16).xy(ARRAYS["test"])
    streamed = zip(
        *not_so_clevr.stream(SMALL, "test", 20, None, task=name, epochs=1).as_numpy_iterator(),
        strict=True,
    )
    batches = not_so_clevr.stream_batches(SMALL, "test", 20, None, task=name, epochs=1)
    drawn = zip(*(batches[k] for k in range(len(batches))), strict=True)
    for a, b, c in zip(expected, streamed, drawn, strict=True):
        for each in (np.concatenate(b), np.concatenate(c)):
            assert each.dtype == np.float32
            np.testing.assert_array_equal(each, a)


def test_the_state_of_an_iterator_is_saved_and_restored(tmp_path):
    iterator = iter(not_so_clevr.stream(SMALL, "train", 10, seed=3))
    for _ in range(20):  # Into the second epoch
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(tmp_path / "state")
    expected = [next(iterator)["label"].numpy().tolist() for _ in range(20)]
    assert (
        sum(file.stat().st_size for file in tmp_path.iterdir()) < 10_000
    )  # Its size does not follow the data set's.
    another = iter(not_so_clevr.stream(SMALL, "train", 10, seed=3))
    tf.train.Checkpoint(iterator=another).read(path)
    assert [next(another)["label"].numpy().tolist() for _ in range(20)] == expected


def test_a_gpu_convolves_and_gives_the_same(monkeypatch):
    expected = joined(not_so_clevr.stream(SMALL, "test", 20, epochs=1).as_numpy_iterator())
    monkeypatch.setattr(drawing, "copied", None)
    monkeypatch.setattr(devices, "tensorflow_device", lambda device: "GPU:0")
    monkeypatch.setattr(tf, "device", lambda name: contextlib.nullcontext())
    convolved = joined(not_so_clevr.stream(SMALL, "test", 20, epochs=1).as_numpy_iterator())
    for name, values in expected.items():
        np.testing.assert_array_equal(convolved[name], values)


def test_canvases_are_drawn_on_the_device_that_was_asked_for():
    code = f"""
import tensorflow as tf, not_so_clevr
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.debugging.set_log_device_placement(True)
images = [next(iter(not_so_clevr.stream({SMALL!r}, device=device)))["image"] for device in (None, "/cpu:1")]
print("same" if tf.reduce_all(images[0] == images[1]) else "other")
"""
    lines = subprocesses.run(code).splitlines()
    assert lines[-1] == "same"
    gathers = [line for line in lines if "GatherV2" in line]
    assert any("CPU:0" in line for line in gathers)
    assert any("CPU:1" in line for line in gathers)


def test_keras_sees_every_example_once_in_each_epoch():
    batches = not_so_clevr.stream_batches(SMALL, "train", 10, 5, task="classification")
    steps = -(-len(ARRAYS["train"]["label"]) // 10)
    labels = [batches[k][1].argmax(axis=1).tolist() for k in range(2 * steps)]
    epochs = [list(itertools.chain(*labels[:steps])), list(itertools.chain(*labels[steps:]))]
    assert sorted(epochs[0]) == sorted(epochs[1]) == ARRAYS["train"]["label"].tolist()
    assert epochs[0] != epochs[1]
    later = not_so_clevr.stream_batches(
        SMALL, "train", 10, 5, task="classification", epochs=2, first_step=steps - 1
    )
    assert [later[k][1].argmax(axis=1).tolist() for k in range(len(later))] == labels[steps - 1 :]
    assert [batches[k][1].argmax(axis=1).tolist() for k in (3, 0, 3)] == [
        labels[3],
        labels[0],
        labels[3],
    ]
    assert len(list(iter_by_index(later))) == steps + 1
    with pytest.raises(IndexError, match="There is no batch -1"):
        batches[-1]
    with pytest.raises(
        TypeError, match="Endless batches have no length; set epochs or fit's steps_per_epoch"
    ):
        len(batches)


def iter_by_index(batches):
    """As Python does where there is no `__iter__`, in Keras before 3.8."""
    for index in itertools.count():
        try:
            yield batches[index]
        except IndexError:
            return


@pytest.mark.parametrize("fed", [lambda batches: batches, Batches.for_fit])
def test_fit_sees_the_batches_in_their_order_however_long_its_epochs_are(fed):
    """The loss is a fingerprint of the targets: their mean, columns weighing ten times as much as rows."""

    def fingerprint(y, predictions):
        return y[:, 0] + 10 * y[:, 1] + 0 * predictions[:, 0]

    def expected(batches, steps):
        y = np.concatenate([batches[k][1] for k in steps])
        return pytest.approx(fingerprint(y, y).mean(), rel=1e-4)

    model = keras.Sequential(
        [keras.Input((16, 16, 1)), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)]
    )
    model.compile("sgd", fingerprint)
    batches, later = (
        not_so_clevr.stream_batches(SMALL, "train", 10, 5, task="regression", first_step=first)
        for first in (0, 12)
    )
    losses = model.fit(fed(batches), epochs=9, steps_per_epoch=2, shuffle=False, verbose=0).history[
        "loss"
    ]
    losses += model.fit(fed(later), epochs=6, steps_per_epoch=1, shuffle=False, verbose=0).history[
        "loss"
    ]
    assert losses == [expected(batches, [2 * k, 2 * k + 1]) for k in range(9)] + [
        expected(later, [k]) for k in range(6)
    ]
    test = not_so_clevr.stream_batches(SMALL, "test", 20, None, task="regression", epochs=1)
    for _ in range(2):
        assert model.evaluate(fed(test), verbose=0) == expected(test, range(3))


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Other backends have no thread that tunes."
)
def test_no_thread_is_waited_for_that_tunes():
    batches = not_so_clevr.stream_batches(SMALL, "train", 10, 5, task="regression")
    for dataset in (not_so_clevr.stream(SMALL), batches.for_fit()):
        assert dataset.options().autotune.enabled is False


def test_batches_drawn_ahead_do_not_pile_up_when_the_reader_pauses(monkeypatch):
    """As during an evaluation after each epoch: the batches drawn ahead are memory."""
    copied_squares, drawn = drawing.copied, tf.Variable(0)

    def slow_and_counted(*arguments):
        drawn.assign_add(1)
        slow = tf.linalg.matmul(work, work)[0, 0]
        with tf.control_dependencies([slow]):
            return copied_squares(*arguments)

    work = tf.zeros((500, 500))
    monkeypatch.setattr(drawing, "copied", slow_and_counted)
    iterator = iter(not_so_clevr.stream("uniform_16_square3", "train", 4))
    for pause in range(1, 7):
        for _ in range(60):
            next(iterator)
        time.sleep(0.2)
        ahead = int(drawn) - 60 * pause
        assert ahead <= 2 + 16, f"{ahead} after {pause} pauses"  # One for each core, up to 16


@pytest.mark.parametrize("name", tasks.TASKS)
def test_drawn_on_the_device_of_the_backend_it_is_the_same(name, monkeypatch):
    expected = not_so_clevr.stream_batches(SMALL, "train", 10, 5, task=name)[2]
    monkeypatch.setattr(devices, "keras_gpu", lambda: "a GPU")
    drawn = not_so_clevr.stream_batches(SMALL, "train", 10, 5, task=name)[2]
    task = tasks.TASKS[name]
    on_device = [each != "coordinates" for each in (task.source, task.target)]  # The pixels
    assert [keras.ops.is_tensor(each) for each in drawn] == on_device
    for a, b in zip(expected, drawn, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(b), a)


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="tf.data holds batches on the host."
)
def test_drawn_on_the_device_of_the_backend_fit_copies_no_batch_to_the_host(monkeypatch):
    monkeypatch.setattr(devices, "keras_gpu", lambda: "a GPU")
    kind, name = type(keras.ops.ones(1)), "__array__"
    if keras.backend.backend() == "torch":
        import torch

        kind, name = torch.Tensor, "numpy"
    original = getattr(kind, name)
    sizes = []

    def convert(tensor, *arguments, **options):
        sizes.append(int(np.prod(tensor.shape)))
        return original(tensor, *arguments, **options)

    monkeypatch.setattr(kind, name, convert)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(256), keras.layers.Reshape((16, 16, 1))]
    )
    model.compile("sgd", "mse")
    batches = not_so_clevr.stream_batches(SMALL, "train", 10, 5, task="rendering")
    model.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    assert max(sizes, default=0) < 10 * 16 * 16
    convert(batches[0][1])
    assert max(sizes) == 10 * 16 * 16  # A copy would have been seen.


def test_a_model_trains_on_it_and_needs_no_memory_for_the_data_set():
    """On Linux a process begins with the highest memory of the one that started it, so what counts is what comes on top."""
    code = """
import resource, keras, not_so_clevr
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
batches = not_so_clevr.stream_batches("quadrant_512", "test", 1, 0, task="regression")
model = keras.Sequential([keras.Input((512, 512, 1)), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)])
model.compile("sgd", "mse")
model.fit(batches, steps_per_epoch=3, shuffle=False, verbose=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2e6)  # kB; the canvases alone are 16 GB.
"""
    assert subprocesses.run(code) == "True"


@pytest.mark.parametrize("backend", subprocesses.other_backends())
@pytest.mark.slow
def test_on_the_other_backends(backend):
    subprocesses.run_tests(
        __file__, "task or device_of_the_backend or keras_sees or trains or fit_sees", backend
    )


@pytest.mark.parametrize("make", [not_so_clevr.stream, not_so_clevr.stream_batches])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"config": "quadrnt"}, "Unknown config 'quadrnt'"),
        ({"split": "validation"}, "split='validation' is unknown; expected one of train, test."),
        ({"split": ["train"]}, r"split=\['train'\] is unknown; expected one of train, test."),
        ({"epochs": 0}, "epochs=0 is out of range"),
        (
            {"batch_size": 0},
            "batch_size=0 is out of range; expected an integer from 1 to 2147483647.",
        ),
        ({"seed": -1}, "seed=-1 is out of range; expected an integer from 0 to 4294967295."),
        (
            {"task": "sorting"},
            "Unknown task 'sorting'; expected one of classification, regression, rendering, localisation, painting, detection.",
        ),
    ],
)
def test_bad_input(make, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**({"config": SMALL, "task": "regression"} | wrong))


def test_bad_input_of_tf_data():
    for device in ("GPU:7", 0, "/job:localhost/replica:0/task:0/device:GPU:7"):
        with pytest.raises(
            ValueError, match=f"device={device!r} is unknown to TensorFlow; expected one of CPU:0"
        ):
            not_so_clevr.stream(SMALL, device=device)


@pytest.mark.parametrize(
    "device",
    ["cpu", "CPU:0", "/CPU:0", "/device:CPU:0", "/job:localhost/replica:0/task:0/device:CPU:0"],
)
def test_a_device_goes_by_any_of_its_names(device):
    assert next(iter(not_so_clevr.stream(SMALL, device=device)))["image"].shape == (32, 16, 16, 1)
