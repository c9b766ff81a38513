"""The parts of `tests/gpu/run`. Each prints a JSON object on its last line.

`python tests/gpu/measure.py PART gpu|cpu [--small]`, with KERAS_BACKEND=jax, torch or tensorflow.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from not_so_clevr import benchmark, stream_batches
from not_so_clevr.baselines import coordconv, deconv
from not_so_clevr.benchmark import environment
from not_so_clevr.dataset import devices, drawing, geometry, shapes, tasks
from not_so_clevr.dataset.batches import Batches, Examples
from not_so_clevr.dataset.config import as_config
from not_so_clevr.dataset.examples import Drawn

BACKEND = keras.backend.backend()
DISC = np.hypot(*np.mgrid[-4:5, -4:5]) <= 4  # Rank 5, so no two lines


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        canvases: S of each measurement, in pixels.
        bytes: of the canvases that one call draws.
        rounds: of each measurement; the median counts.
        calls: in each round, without waiting in between.
        config: the data set that is trained on.
        epochs: at most; None for all of the recipe.
    """

    canvases: tuple[int, ...] = (64, 256, 1024)
    bytes: int = 2**30
    rounds: int = 10
    calls: int = 10
    config: str = "quadrant"
    epochs: int | None = None


SMALL = Sizes((16,), 2**16, 2, 2, "quadrant_16_square3", 1)


def about(sizes: Sizes) -> dict[str, Any]:
    """The machine, the versions, and the bandwidth of a copy (which also reads) and a fill."""
    floats = ops.ones((sizes.bytes // 4,), dtype="float32")
    copy = seconds(lambda: ops.add(floats, 1.0), sizes)
    fill = seconds(lambda: ops.full((sizes.bytes,), 255, dtype="uint8"), sizes)
    return {
        **environment.describe(),
        "driver": _driver(),
        "copy_gb_per_s": 2 * sizes.bytes / copy / 1e9,
        "fill_gb_per_s": sizes.bytes / fill / 1e9,
    }


def bits(sizes: Sizes) -> dict[str, Any]:
    """Whether the device gives the bits that NumPy gives on the CPU."""
    found: dict[str, Any] = {}
    for size in sizes.canvases:
        centres = _centres(size, min(len(geometry.centres(size)), drawing.chunk_length(size)))
        on_device = ops.convert_to_numpy(drawing.draw_on_device(centres, size))
        found[f"squares_{size}"] = bool((on_device == drawing.draw(centres, size)).all())

    for name, kernel in _kernels().items():
        for density in (0.01, 0.9):
            ones = np.random.RandomState(0).random_sample((8, 64, 48, 1)) < density
            on_device = drawing.convolve(ops.convert_to_tensor(ones.astype(np.uint8)), kernel)
            same = ops.convert_to_numpy(on_device) == drawing.convolve(ones, kernel)
            found[f"convolve_{name}_{density}"] = bool(same.all())
    return found


def draw(sizes: Sizes) -> dict[str, Any]:
    """Canvases a second and bytes moved a second, of each way to draw."""
    found: dict[str, Any] = {}
    for size in sizes.canvases:
        centres = _centres(size, sizes.bytes // size**2)
        rows, columns = map(ops.convert_to_tensor, centres.astype(np.int32).T.copy())
        for way in (drawing.convolved, drawing.copied):
            compiled = drawing._compiled(BACKEND, way, (size, size), shapes.SHAPE)
            call = functools.partial(compiled, rows, columns)
            record(found, f"{way.__name__}_{size}", call, len(centres), size**2, sizes)
        call = functools.partial(drawing.draw_on_device, centres, size)
        record(found, f"draw_on_device_{size}", call, len(centres), size**2, sizes)

    hows = ("", "_compiled")  # PyTorch takes a minute to compile.
    for how, size, name in itertools.product(hows, sizes.canvases, _kernels()):
        dense = _dense(_kernels()[name])
        function = _jit(dense) if how else dense
        if function is not None:
            one_hots = _one_hots(size, sizes)
            passes = 2 if name == "square" else 1
            moved = passes * 8 * size**2  # Each pass reads and writes float32.
            call = functools.partial(function, one_hots)
            record(found, f"convolve_{name}{how}_{size}", call, len(one_hots), moved, sizes)
    return found


def stream(sizes: Sizes) -> dict[str, Any]:
    """Training steps per second: batches from the device, from the host, or always the same."""
    found: dict[str, Any] = {}
    names = [name for name in ("quadrant", "quadrant_256") if sizes.epochs is None]
    for config in map(as_config, names or [sizes.config]):
        for name in ("regression", "rendering"):
            task = tasks.as_task(name, config.canvas_size)
            recipe = coordconv.build.recipes["tuned"][name]
            network = coordconv.build(task)
            on_host = Examples(Drawn(config.split_centres()["train"], config), task)
            recipe.compile(network, task.loss, len(on_host) // recipe.batch_size)
            feeds: dict[str, Callable[[int], Any]] = {
                "device": stream_batches(config, batch_size=32, task=name).__getitem__,
                "host": Batches(on_host, 32, 0).__getitem__,
            }
            fixed = [ops.convert_to_tensor(each) for each in feeds["device"](0)]
            feeds["fixed"] = lambda step: fixed  # noqa: B023
            for feed, batch in feeds.items():
                steps = itertools.cycle(range(len(on_host) // 32))  # Without the smaller last one
                each = seconds(lambda: network.train_on_batch(*batch(next(steps))), sizes)  # noqa: B023
                found[f"{name}_{config.name}_{feed}_steps_per_s"] = 1 / each
    return found


def train(sizes: Sizes, task: str, compiled: bool) -> dict[str, Any]:
    """Trains tuned CoordConv until every test example is right after an epoch."""
    stop = UntilRight(tasks.TASKS[task].accuracy_metric, compiled)
    settings = {} if sizes.epochs is None else {"epochs": sizes.epochs}
    started = time.perf_counter()
    result = benchmark.run(
        coordconv.build,
        name="coordconv",
        task=task,
        config=sizes.config,
        settings=settings,
        data="memory",
        callbacks=[stop],
    )
    shares = [epoch["test"][result.accuracy_metric] for epoch in result.history]
    return {
        "epochs": len(shares),
        "test": shares[-1],
        "training_seconds": sum(epoch["seconds"] for epoch in result.history),
        "first_epoch_seconds": result.history[0]["seconds"],
        "last_epoch_seconds": result.history[-1]["seconds"],
        "run_seconds": time.perf_counter() - started,
        "jit_compile": bool(stop.model.jit_compile),
    }


def headline(sizes: Sizes) -> dict[str, Any]:
    """The paper's classifiers on `uniform`, as claims/headline trains them: seconds of an epoch."""
    found: dict[str, Any] = {}
    for name, build, settings in (
        ("coordconv", coordconv.build, {"batch_size": 16, "l2": 0.0}),
        ("deconv", deconv.deconv, {"batch_size": 32, "l2": 0.0, "multiplier": 1, "size": 3}),
    ):
        result = benchmark.run(
            build,
            name=name,
            task="classification",
            config="uniform" if sizes.epochs is None else sizes.config,
            recipe="paper",
            settings={**settings, "epochs": 6},
            data="memory",
        )
        seconds = [epoch["seconds"] for epoch in result.history[1:]]  # The first one compiles.
        found[name] = {
            "parameters": result.parameters,
            "steps": result.steps // 6,
            "epoch_seconds": statistics.median(seconds),
        }
        print(json.dumps(found), flush=True)
    return found


def candidates(sizes: Sizes) -> dict[str, Any]:
    """Other ways to draw and to convolve densely, in case one is faster. None is used."""
    found: dict[str, Any] = {}
    for size in sizes.canvases:
        centres = _centres(size, sizes.bytes // size**2)
        rows, columns = map(ops.convert_to_tensor, centres.astype(np.int32).T.copy())
        for how, way in (("", _packed), ("_compiled", _jit(_packed))):
            if way is not None:
                call = functools.partial(way, rows, columns, np.arange(size, dtype=np.int32))
                key = f"packed{how}_{size}"
                record(found, key, call, len(centres), size**2, sizes)

        one_hots = _one_hots(size, sizes)
        distances = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        band = ops.convert_to_tensor(distances <= 4, dtype="float32")
        for name, function in {"bands": _bands, "sums": _sums}.items():
            for how, way in (("", function), ("_compiled", _jit(function))):
                if way is not None:
                    call = functools.partial(way, one_hots, band)
                    key = f"{name}{how}_{size}"
                    record(found, key, call, len(one_hots), 16 * size**2, sizes)
    return found


def _packed(rows: Any, columns: Any, pixels: Any) -> Any:
    """Draws squares as 32-bit words of four pixels, since a GPU is slow to write single bytes."""
    row_lines = ops.cast(ops.abs(rows[:, None] - pixels) <= 4, "int32")  # [N, S]
    white = ops.cast(ops.abs(columns[:, None] - pixels) <= 4, "int32") * 255
    bytes_of_words = ops.reshape(white, (-1, len(pixels) // 4, 4))
    words = ops.sum(ops.left_shift(bytes_of_words, 8 * np.arange(4, dtype=np.int32)), axis=-1)
    canvases = row_lines[:, :, None] * ops.cast(words, "int32")[:, None]  # [N, S, S / 4]
    return ops.reshape(_as_bytes(canvases), (-1, len(pixels), len(pixels), 1))


def _as_bytes(words: Any) -> Any:
    if BACKEND == "jax":
        import jax

        return jax.lax.bitcast_convert_type(words, "uint8")
    if BACKEND == "torch":
        import torch

        return words.contiguous().view(torch.uint8)
    import tensorflow as tf

    return tf.bitcast(words, tf.uint8)


def _bands(images: Any, band: Any) -> Any:
    """Convolves with a 9x9 square by two products with a band matrix."""
    return ops.matmul(ops.matmul(band, images[..., 0]), band)[..., None]


def _sums(images: Any, band: Any) -> Any:
    """Convolves with a 9x9 square by sums of shifted images."""
    height, width = images.shape[1:3]
    padded = ops.pad(images, [(0, 0), (4, 4), (4, 4), (0, 0)])
    rows = sum(padded[:, k : k + height] for k in range(9))
    return sum(rows[:, :, k : k + width] for k in range(9))


class UntilRight(keras.callbacks.Callback):
    """Ends the training when every test example is right; turns compilation on or off before it."""

    def __init__(self, metric: str, compiled: bool) -> None:
        super().__init__()
        self.metric = metric
        self.compiled = compiled

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        model.jit_compile = self.compiled

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = logs[f"val_{self.metric}"] == 1


def seconds(function: Callable[[], Any], sizes: Sizes) -> float:
    """Returns the seconds of a call: the median over rounds of several calls, once it is warm."""
    for _ in range(3):
        _wait(function())
    rounds = []
    for _ in range(sizes.rounds):
        started = time.perf_counter()
        for _ in range(sizes.calls):
            result = function()
        _wait(result)
        rounds.append((time.perf_counter() - started) / sizes.calls)
    return statistics.median(rounds)


def _wait(result: Any) -> None:
    """Returns once the device has computed `result` and what came before."""
    if BACKEND == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
    elif hasattr(result, "block_until_ready"):
        result.block_until_ready()
    elif ops.is_tensor(result):
        ops.convert_to_numpy(ops.ravel(result)[:1])


def record(
    found: dict[str, Any],
    key: str,
    call: Callable[[], Any],
    canvases: int,
    bytes_each: int,
    sizes: Sizes,
) -> None:
    """Measures a call that gives some canvases; prints everything so far, in case time runs out."""
    try:
        each = seconds(call, sizes)
        gigabytes = canvases * bytes_each / 1e9
        found[key] = {"canvases_per_s": canvases / each, "gb_per_s": gigabytes / each}
    except Exception as error:  # One that fails must not keep the others back.
        found[key] = {"failed": f"{type(error).__name__}: {error}"[:300]}
    print(json.dumps(found), flush=True)


def _jit(function: Callable[..., Any]) -> Callable[..., Any] | None:
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "torch":
        import torch

        return torch.compile(function) if torch.cuda.is_available() else None
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def _dense(kernel: Any) -> Callable[[Any], Any]:
    """Returns what `drawing.convolve` computes, for float32 tensors and without its checks."""
    factors = drawing._factors(kernel.astype(np.float64))
    factors = [factor.astype(np.float32)[..., None] for factor in factors]
    return lambda one_hots: functools.reduce(
        functools.partial(drawing._convolved, ops), factors, one_hots
    )


def _kernels() -> dict[str, Any]:
    return {"square": np.full((9, 9), 255, np.uint8), "disc": DISC.astype(np.uint8)}


def _one_hots(size: int, sizes: Sizes) -> Any:
    """Returns float32 one-hots `[N, S, S, 1]` of that many bytes."""
    labels = geometry.labels(_centres(size, max(1, sizes.bytes // size**2 // 4)), size)
    return ops.reshape(ops.one_hot(labels, size**2, dtype="float32"), (-1, size, size, 1))


def _centres(size: int, count: int) -> Any:
    """Returns so many centres, spread over the canvas, again and again if there are fewer."""
    every = geometry.centres(size)
    step = max(1, math.floor(len(every) / count))
    return np.resize(every[::step], (count, 2))


def _driver() -> str | None:
    query = "--query-gpu=name,driver_version,memory.total"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main(part: str, device: str, sizes: Sizes) -> dict[str, Any]:
    """Measures a part. Exits if a GPU was asked for and there is none."""
    if device == "gpu" and devices.keras_gpu() is None:
        sys.exit(f"Keras' backend {BACKEND} has no GPU; --device cpu tries the script out.")
    name, *words = part.split()
    if name == "train":
        return train(sizes, words[0], compiled="compiled" in words)
    return {f.__name__: f for f in (about, bits, draw, stream, headline, candidates)}[name](sizes)


if __name__ == "__main__":
    found = main(sys.argv[1], sys.argv[2], SMALL if "--small" in sys.argv else Sizes())
    print(json.dumps(found))
