"""Measures how generation, loading and training scale with the canvas, each in its own process.

python tests/speed/scaling.py docs/scaling.json [SIZE...]

Writes each measurement as it comes, and skips those already in the file. `docs/generate.py` makes
the table and the figure of docs/scaling.md from it. 512 takes about 20 minutes and 1.5 GB of disk.
"""

import itertools
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

SIZES = (32, 64, 128, 256, 512)
BATCH = 32  # Of loading
STEP_BATCH = 8  # Of training: 512 x 512 pixels of 64 channels take 0.5 GB for each layer.
SECONDS = 5.0  # Of each measurement, after a warm-up


def generate(size: int, folder: str) -> dict[str, float]:
    """Prepares `quadrant_S`."""
    import keras  # noqa: F401  Not counted
    import tensorflow  # noqa: F401

    from not_so_clevr.dataset.config import NotSoClevrConfig
    from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

    builder = Builder(config=NotSoClevrConfig(split="quadrant", canvas_size=size), data_dir=folder)
    before, started = _memory(), time.process_time()
    builder.download_and_prepare()
    return {
        "generate_seconds": time.process_time()
        - started,  # CPU time, as minutes are seldom undisturbed
        "generate_bytes": _memory() - before,
        "examples": sum(split.num_examples for split in builder.info.splits.values()),
        "disk_bytes": builder.info.dataset_size,
    }


def read(size: int, folder: str) -> dict[str, float]:
    """Reads the prepared examples, shuffled, from disk in every epoch."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from not_so_clevr.dataset.config import NotSoClevrConfig
    from not_so_clevr.dataset.not_so_clevr_dataset_builder import Builder

    builder = Builder(config=NotSoClevrConfig(split="quadrant", canvas_size=size), data_dir=folder)
    before = _memory()
    options = tfds.ReadConfig(try_autocache=False)
    dataset = (
        builder.as_dataset(split="train", shuffle_files=True, read_config=options)
        .repeat()
        .shuffle(100)
    )
    return _loaded(
        dataset.batch(BATCH, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE),
        "read",
        before,
    )


def stream(size: int, folder: str) -> dict[str, float]:
    """Draws the same examples on the fly."""
    import tensorflow  # noqa: F401

    import not_so_clevr
    from not_so_clevr import NotSoClevrConfig

    before = _memory()
    config = NotSoClevrConfig(split="quadrant", canvas_size=size)
    return _loaded(not_so_clevr.stream(config, "train", BATCH), "stream", before)


def _loaded(dataset, name: str, before: float) -> dict[str, float]:
    iterator = iter(dataset)
    seconds = _seconds_of(lambda: next(iterator))
    return {f"{name}_seconds": seconds / BATCH, f"{name}_bytes": _memory() - before}


def classification(size: int, folder: str) -> dict[str, float]:
    return _train("classification", size)


def regression(size: int, folder: str) -> dict[str, float]:
    return _train("regression", size)


def _train(task: str, size: int) -> dict[str, float]:
    """Trains tuned CoordConv on streamed batches."""
    import keras

    import not_so_clevr
    from not_so_clevr import NotSoClevrConfig
    from not_so_clevr.benchmark import registry
    from not_so_clevr.dataset import tasks

    keras.utils.set_random_seed(0)
    before = _memory()
    config = NotSoClevrConfig(split="quadrant", canvas_size=size)
    batches = not_so_clevr.stream_batches(config, "train", STEP_BATCH, 0, task=task)
    model = registry.find("coordconv")
    _, recipe = model.recipe(None, task)
    each = tasks.as_task(task, size)
    network = model.build(each, **recipe.model)
    recipe.compile(network, each.loss, batches.steps_per_epoch)
    steps = itertools.cycle(range(batches.steps_per_epoch))
    seconds = _seconds_of(lambda: network.train_on_batch(*batches[next(steps)]))
    return {f"{task}_seconds": seconds / STEP_BATCH, f"{task}_bytes": _memory() - before}


def _seconds_of(step) -> float:
    """Returns the mean time of a step after a warm-up, in seconds."""
    for _ in range(3):
        step()
    count, started = 0, time.perf_counter()
    while count < 3 or time.perf_counter() < started + SECONDS:
        step()
        count += 1
    return (time.perf_counter() - started) / count


def _memory() -> float:
    """Returns the peak memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


MEASUREMENTS = {f.__name__: f for f in (generate, read, stream, classification, regression)}


def main(path: str, *sizes: str) -> None:
    file = pathlib.Path(path)
    found = json.loads(file.read_text()) if file.exists() else {"sizes": {}}
    with tempfile.TemporaryDirectory() as folder:
        for size in map(int, sizes or SIZES):
            row = found["sizes"].setdefault(str(size), {})
            for name in MEASUREMENTS:
                if f"{name}_seconds" in row:
                    continue
                if (
                    name == "read"
                    and not pathlib.Path(folder, "not_so_clevr", f"quadrant_{size}").exists()
                ):
                    _measured("generate", size, folder)
                row |= _measured(name, size, folder)
                print(size, name, row, flush=True)
                found["environment"] = _measured("environment", size, folder)
                file.write_text(json.dumps(found, indent=2) + "\n")
            shutil.rmtree(pathlib.Path(folder, "not_so_clevr"), ignore_errors=True)


def environment(size: int, folder: str) -> dict[str, object]:
    from not_so_clevr.benchmark import environment

    return environment.describe()


def _measured(name: str, size: int, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", name, str(size), folder]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[
            -1
        ]
    )


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        name, size, folder = sys.argv[2:]
        print(json.dumps((MEASUREMENTS | {"environment": environment})[name](int(size), folder)))
    else:
        main(*sys.argv[1:])
