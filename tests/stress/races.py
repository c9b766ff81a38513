"""Races: many processes read, overwrite, generate and are killed at random moments; nothing may be lost.

    python tests/stress/races.py --processes 12 --kills 40 --seed 0

Two scenes, one after the other: a prepared data set in one folder, and the runs of one experiment in another.
In both, some processes only read, in a loop, and the others write. A killer ends random processes with SIGKILL and starts
them again. A reader must find what is complete, always; exits with 1 and the problems, one a line, if one does not.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import random
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

CONFIG = "quadrant_16_square5"
TASK = "regression"


def read_data(folder: str) -> None:
    """Loads a split and compares every example with what it is by definition."""
    import numpy as np
    import tensorflow_datasets as tfds

    import not_so_clevr

    expected = not_so_clevr.load_arrays(CONFIG)["test"]
    dataset = tfds.load(f"not_so_clevr/{CONFIG}", split="test", data_dir=folder)
    found = {int(each["label"]): each for each in tfds.as_numpy(dataset)}
    assert len(found) == len(expected["label"]), f"{len(found)} examples"
    for label, image in zip(expected["label"], expected["image"], strict=True):
        np.testing.assert_array_equal(found[int(label)]["image"], image)


def overwrite_data(folder: str) -> None:
    import tensorflow_datasets as tfds

    import not_so_clevr  # noqa: F401 - registers the data set

    mode = tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
    tfds.load(
        f"not_so_clevr/{CONFIG}",
        data_dir=folder,
        download_and_prepare_kwargs={
            "download_config": tfds.download.DownloadConfig(download_mode=mode)
        },
    )


def generate_data(folder: str) -> None:
    from not_so_clevr.dataset.generate import generate

    generate([CONFIG], data_dir=folder)


def read_runs(folder: str) -> None:
    """Reads all runs; there is always one of each seed, and a whole one."""
    from not_so_clevr import results

    found, problems = results.load([pathlib.Path(folder)])
    assert not problems, problems
    assert len(found) == 2, [run.id for run in found]
    for run in found:
        assert run.metrics["test"]["error"] >= 0


def write_run(folder: str, seed: int | None = None) -> None:
    """Replaces one of two runs; that another process is writing it is no problem."""
    import numpy as np

    from not_so_clevr import benchmark
    from not_so_clevr.benchmark.run_folder import Busy

    def net(x: Any) -> Any:
        return np.zeros((len(x), 2), np.float32)

    with contextlib.suppress(Busy):
        seed = random.randrange(2) if seed is None else seed
        benchmark.evaluate(net, task=TASK, config=CONFIG, seed=seed, runs=folder, replace=True)


def write_both_runs(folder: str) -> None:
    for seed in (0, 1):
        write_run(folder, seed)


SCENES: dict[
    str, tuple[Callable[[str], None], Callable[[str], None], list[Callable[[str], None]]]
] = {
    "data": (overwrite_data, read_data, [overwrite_data, generate_data]),
    "runs": (write_both_runs, read_runs, [write_run]),
}


def _repeat(act: Callable[[str], None], folder: str, log: str) -> None:
    """Repeats an act until the process is killed; writes a line for each time: its name, and the error if there was one.

    A file, because a process that is killed can leave a queue locked.
    """
    random.seed(os.getpid())
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    with open(log, "ab", buffering=0) as stream:
        while True:
            line = act.__name__
            try:
                act(folder)
            except Exception as error:
                line += f": {type(error).__name__}: {error}".replace("\n", " ")
            stream.write(f"{line}\n".encode())


def race(scene: str, processes: int, kills: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Runs a scene. Returns how often each act succeeded, and a line for each time that one did not."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "tensorflow_datasets", "keras", "not_so_clevr"])
    chance = random.Random(seed)
    prepare, reader, writers = SCENES[scene]
    acts = [reader if k % 2 else writers[k // 2 % len(writers)] for k in range(processes)]

    with tempfile.TemporaryDirectory() as place:
        folder, log = f"{place}/shared", f"{place}/log"
        prepare(folder)  # From now on there is something to read, always.

        def start(act: Callable[[str], None]) -> Any:
            process = context.Process(target=_repeat, args=(act, folder, log), daemon=True)
            process.start()
            return process

        running = [start(act) for act in acts]
        time.sleep(10)
        for _ in range(kills):
            time.sleep(chance.uniform(0.1, 1.5))
            victim = chance.randrange(processes)
            running[victim].kill()
            running[victim].join()
            running[victim] = start(acts[victim])
        time.sleep(10)
        for process in running:
            process.kill()
            process.join()

        reader(folder)  # Although all writers were killed at once
        lines = pathlib.Path(log).read_text().splitlines()
    done = {act.__name__: lines.count(act.__name__) for act in (reader, *writers)}
    return done, [line for line in lines if line not in done]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=12)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scene", choices=SCENES, action="append")
    arguments = parser.parse_args()
    failed = False
    for scene in arguments.scene or SCENES:
        done, problems = race(scene, arguments.processes, arguments.kills, arguments.seed)
        print(f"{scene}: {done}, {len(problems)} problems", *problems, sep="\n  ")
        failed |= bool(problems) or not all(done.values())
    sys.exit(failed)


if __name__ == "__main__":
    main()
