"""Measures times side by side in one run; table.py prints the ratios. Run by `make speed`."""

import subprocess
import sys
import zlib

import keras
import literal
import numpy as np
import pytest
import straightforward
import tensorflow as tf
import tensorflow_datasets as tfds

import not_so_clevr
from not_so_clevr.dataset import drawing, geometry, png, shapes
from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

CENTRES = geometry.centres()
BUILDERS = {
    "ours": lambda folder: Builder(config="quadrant", data_dir=folder),
    "straightforward": lambda folder: straightforward.Straightforward(data_dir=folder),
}


def on_device(tensor):
    """Waits until the device has computed `tensor`."""
    return (
        tensor.block_until_ready()
        if hasattr(tensor, "block_until_ready")
        else keras.ops.convert_to_numpy(tensor[:1])
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    builders = {name: make(tmp_path_factory.mktemp(name)) for name, make in BUILDERS.items()}
    for builder in builders.values():
        builder.download_and_prepare()
    return builders


def test_fill(benchmark):
    benchmark.pedantic(np.full, ((3136, 64, 64, 1), 255, np.uint8), rounds=50, warmup_rounds=3)


def test_draw_numpy(benchmark):
    benchmark.pedantic(drawing.draw, (CENTRES,), rounds=50, warmup_rounds=3)


def test_draw_keras(benchmark):
    benchmark.pedantic(
        lambda: on_device(drawing.draw_on_device(CENTRES)), rounds=50, warmup_rounds=3
    )


def test_draw_literal(benchmark):
    benchmark.pedantic(lambda: on_device(literal.canvases(64, 9)), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("name", ["ours", "tensorflow"])
def test_encode(benchmark, name):
    """Images and one-hots of 64 examples of 512x512."""
    centres = geometry.centres(512)[::4000]
    images, one_hots = drawing.draw(centres, 512), geometry.one_hot(centres, 512)

    def ours():
        for image, one_hot in zip(images, one_hots, strict=True):
            png.encode(image), png.compress(one_hot.tobytes())

    def tensorflow():
        tf.io.encode_png(images).numpy()
        for one_hot in one_hots:
            zlib.compress(one_hot.tobytes())

    benchmark.pedantic({"ours": ours, "tensorflow": tensorflow}[name], rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("name", BUILDERS)
def test_prepare(benchmark, tmp_path_factory, name):
    BUILDERS[name](tmp_path_factory.mktemp("warm_up")).download_and_prepare()

    def fresh():
        return (BUILDERS[name](tmp_path_factory.mktemp(name)),), {}

    benchmark.pedantic(
        lambda builder: builder.download_and_prepare(),
        setup=fresh,
        rounds=5 if name == "ours" else 3,
    )


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_prepare_size(benchmark, tmp_path, size):
    builder = Builder(config="quadrant" if size == 64 else f"quadrant_{size}", data_dir=tmp_path)
    benchmark.pedantic(builder.download_and_prepare, rounds=1)
    benchmark.extra_info["pixels"] = len(geometry.centres(size)) * size**2
    benchmark.extra_info["bytes"] = sum(
        file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_read(benchmark, prepared, name):
    epochs = 8
    read_config = tfds.ReadConfig(try_autocache=False)
    examples = (
        prepared[name]
        .as_dataset(split="train", batch_size=32, read_config=read_config)
        .repeat(epochs)
    )
    benchmark.pedantic(lambda: [None for _ in examples], rounds=10, warmup_rounds=1)
    benchmark.extra_info["examples"] = epochs * 2352


def test_load_arrays(benchmark):
    benchmark.pedantic(not_so_clevr.load_arrays, ("quadrant",), rounds=10)


@pytest.mark.parametrize("modules", ["tensorflow_datasets", "tensorflow_datasets, not_so_clevr"])
def test_import(benchmark, modules):
    benchmark.pedantic(
        subprocess.run,
        ([sys.executable, "-c", f"import {modules}"],),
        {"check": True},
        rounds=15,
        warmup_rounds=2,
    )


@pytest.mark.parametrize("size", [64, 256, 1024])
@pytest.mark.parametrize("what", ["convolved", "copied", "fill"])
def test_device(benchmark, size, what):
    chunk = geometry.centres(size)[: drawing.chunk_length(size)]
    shape = (len(chunk), size, size, 1)
    rows, columns = chunk.astype(np.int32).T

    if what == "fill":
        call = lambda: on_device(keras.ops.full(shape, 255, dtype="uint8"))  # noqa: E731
    else:
        way = getattr(drawing, what)
        draw = drawing._compiled(keras.backend.backend(), way, (size, size), shapes.SHAPE)
        call = lambda: on_device(draw(rows, columns))  # noqa: E731

    benchmark.pedantic(call, rounds=20, warmup_rounds=3)
    benchmark.extra_info.update(
        canvases=len(chunk), bytes=int(np.prod(shape)), backend=keras.backend.backend()
    )
