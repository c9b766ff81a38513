"""What TFDS asks of a builder, for every named config; and the device that draws."""

import pickle

import pytest
import subprocesses
import tensorflow as tf
import tensorflow_datasets as tfds

from not_so_clevr.dataset import devices
from not_so_clevr.dataset.config import CONFIGS
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

COUNTS = {
    "uniform": (2509, 627),
    "uniform_uber": (2368, 768),
    "quadrant_uber": (2407, 729),
    "uniform_32": (461, 115),
    "quadrant_32": (432, 144),
    "uniform_128": (11520, 2880),
    "quadrant_128": (10800, 3600),
    "uniform_256": (49203, 12301),
    "quadrant_256": (46128, 15376),
    "rows": (2352, 784),
    "columns": (2352, 784),
    "border": (2500, 636),
    "centre": (2352, 784),
    "checkerboard": (1568, 1568),
    "uniform_test50": (1568, 1568),
    "uniform_test80": (627, 2509),
    "uniform_test90": (314, 2822),
    "uniform_test95": (157, 2979),
    "uniform_test98": (63, 3073),
} | {
    f"quadrant{which}": (2352, 784) for which in ("", "_upper_left", "_upper_right", "_lower_left")
}


def _test_case(name: str) -> type:
    """Returns a test case of its own for a config, since `SPLITS` holds for all configs of a case."""
    attributes = {
        "DATASET_CLASS": Builder,
        "BUILDER_CONFIG_NAMES_TO_TEST": [name],
        "SPLITS": dict(zip(("train", "test"), COUNTS[name], strict=True)),
        "EXAMPLE_DIR": ".",  # TFDS wants a folder of made-up downloads, even of a data set that downloads nothing.
        "__module__": __name__,
    }
    case = type(f"Test_{name}", (tfds.testing.DatasetBuilderTestCase,), attributes)
    if name.endswith("_256"):
        return pytest.mark.large(case)
    return (
        case if name in ("uniform", "quadrant", "border", "uniform_32") else pytest.mark.slow(case)
    )


globals().update({f"Test_{config.name}": _test_case(config.name) for config in CONFIGS})


GENERATE = """
import keras, sys
from not_so_clevr.dataset import devices, drawing
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder
drawer, folder = sys.argv[1:]
devices.drawer = lambda device: drawer
devices.keras_gpu = lambda: "a GPU"
copied, drawing.copied = drawing.copied, None
if drawer == "numpy":
    drawing.copied = copied
builder = Builder(config="quadrant_32", data_dir=folder)
builder.download_and_prepare()
"""


def checksums(drawer, folder, backend):
    arguments = f"import sys; sys.argv = ['', {drawer!r}, {str(folder)!r}]"
    subprocesses.run(arguments + GENERATE, KERAS_BACKEND=backend)
    return (folder / "not_so_clevr" / "quadrant_32" / "1.0.0" / "SHA256SUMS").read_text()


@pytest.mark.slow
def test_the_files_are_the_same_whatever_draws(tmp_path):
    """With convolutions forced on the CPU devices of TensorFlow and of other backends."""
    copied = checksums("numpy", tmp_path / "numpy", "tensorflow")
    assert len(copied.splitlines()) == 2  # A shard of train, and one of test
    for drawer, backend in [
        ("tensorflow", "tensorflow"),
        *[("keras", name) for name in ("tensorflow", *subprocesses.other_backends())],
    ]:
        assert checksums(drawer, tmp_path / drawer / backend, backend) == copied, (drawer, backend)


@pytest.mark.parametrize("device", ["tpu", "GPU", 0, ["cpu"]])
def test_an_unknown_device_is_named_before_any_work(device, tmp_path):
    with pytest.raises(ValueError, match="^device=.* is unknown; expected one of auto, cpu, gpu.$"):
        Builder(config="quadrant_32", data_dir=tmp_path, device=device)


def test_a_gpu_that_is_not_there_is_one_sentence_before_any_work(tmp_path):
    sentence = "^device='gpu' needs a GPU, and neither Keras' backend nor TensorFlow has one; use"
    for name in ("quadrant_16", "quadrant_512"):
        builder = tfds.builder(f"not_so_clevr/{name}", data_dir=tmp_path, device="gpu")
        with pytest.raises(ValueError, match=sentence):
            builder.download_and_prepare()
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("of_keras", "of_tensorflow", "drawers"),
    [
        (None, [], {"auto": "numpy", "cpu": "numpy"}),
        ("a GPU", [], {"auto": "keras", "cpu": "numpy", "gpu": "keras"}),
        (None, ["a GPU"], {"auto": "tensorflow", "cpu": "numpy", "gpu": "tensorflow"}),
        ("a GPU", ["a GPU"], {"auto": "keras", "cpu": "numpy", "gpu": "keras"}),
    ],
)
def test_auto_is_the_gpu_where_there_is_one(of_keras, of_tensorflow, drawers, monkeypatch):
    monkeypatch.setattr(devices, "keras_gpu", lambda: of_keras)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: of_tensorflow)
    assert {device: devices.drawer(device) for device in drawers} == drawers


def test_tfds_hands_the_device_on(tmp_path):
    options = {"device": "cpu"}
    examples = tfds.load(
        "not_so_clevr/quadrant_16", split="test", data_dir=tmp_path, builder_kwargs=options
    )
    assert len(examples) == 16


def test_a_copy_by_pickle_draws_on_the_same_device(tmp_path):
    builder = Builder(config="quadrant_16", data_dir=tmp_path, device="cpu")
    assert pickle.loads(pickle.dumps(builder))._device == "cpu"


def test_what_is_there_is_read_without_a_gpu(tmp_path):
    Builder(config="quadrant_16", data_dir=tmp_path).download_and_prepare()
    Builder(config="quadrant_16", data_dir=tmp_path, device="gpu").download_and_prepare()


def test_a_backend_that_is_not_installed_is_no_gpu(monkeypatch):
    def missing():
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(devices, "keras_gpu", missing)
    assert devices.drawer("auto") == "numpy"
    with pytest.raises(ValueError, match="^device='gpu' needs a GPU"):
        devices.drawer("gpu")
