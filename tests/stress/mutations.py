"""Mutations: one change to a file of a prepared data set or of a run; it is told or harmless, never believed.

    python tests/stress/mutations.py --mutations 300 --seed 0

Each mutation is made to a fresh copy. Then the copy is read as a user would. What comes out must be exactly
what it was, or one sentence that names a file or folder of the copy; but a result.json may hold
other valid values. Exits with 1, and prints the others, if
there is any.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import tensorflow_datasets as tfds

import not_so_clevr
from not_so_clevr import benchmark, results
from not_so_clevr.checks import UserError

CONFIG = "quadrant_16_square5"
TASK = "regression"
KINDS = (
    "flip",
    "flip",
    "digit",
    "digit",
    "digit of the info",
    "truncate",
    "append",
    "insert",
    "delete",
    "empty",
    "folder",
    "link",
)
OTHER = "read, and not what it was"
SETTINGS = {"epochs": 3, "batch_size": 64}


def mutate(folder: pathlib.Path, chance: random.Random) -> str:
    """Changes one file below a folder. Returns what was done, as text."""
    files = sorted(
        file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")
    )
    kind = chance.choice(KINDS)
    infos = [file for file in files if file.name == "dataset_info.json"]
    file = chance.choice(infos if infos and kind == "digit of the info" else files)
    data = bytearray(file.read_bytes())
    digits = [k for k, byte in enumerate(data) if byte in b"0123456789"]
    place = chance.randrange(max(len(data), 1))
    if kind == "flip" and data:
        data[place] ^= 1 << chance.randrange(8)
    elif kind.startswith("digit") and digits:
        place = chance.choice(digits)
        data[place] = chance.choice([byte for byte in b"0123456789" if byte != data[place]])
    elif kind == "truncate":
        del data[place:]
    elif kind == "append":
        data += b"\0"
    elif kind == "insert":
        data.insert(place, chance.randrange(256))
    elif kind == "empty":
        data.clear()
    else:
        file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "link":
            file.symlink_to("nowhere")
        return f"{kind} {file.relative_to(folder)}"
    file.write_bytes(data)
    return f"{kind} {file.relative_to(folder)} at {place}"


def prepare_data(folder: pathlib.Path) -> None:
    tfds.load(f"not_so_clevr/{CONFIG}", data_dir=folder)


def read_data(folder: pathlib.Path) -> Any:
    """Returns all examples, sorted, and how many each half of train has."""
    found: list[Any] = []
    for split in ("train", "test", "train[:50%]"):
        data = tfds.as_numpy(tfds.load(f"not_so_clevr/{CONFIG}", split=split, data_dir=folder))
        examples = sorted(data, key=lambda example: int(example["label"]))
        found += [{name: value.tolist() for name, value in example.items()} for example in examples]
    return found


def build(task: Any) -> keras.Model:
    return keras.Sequential(
        [keras.Input(task.input_shape), keras.layers.Flatten(), keras.layers.Dense(2)]
    )


class _KilledError(Exception):
    pass


class _KillAfter(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise _KilledError


def run(folder: pathlib.Path, **options: Any) -> results.Result:
    return benchmark.run(
        build,
        name="dense",
        task=TASK,
        config=CONFIG,
        settings=SETTINGS,
        runs=folder,
        data="memory",
        verbose=0,
        **options,
    )


def prepare_interrupted_run(folder: pathlib.Path) -> None:
    with contextlib.suppress(_KilledError):
        run(folder, callbacks=[_KillAfter()])


def read_run(folder: pathlib.Path) -> Any:
    """Returns the values of the run, but for its times, and its examples, if they can be read."""
    found, problems = results.load([folder], none=True)
    if problems:
        raise UserError("; ".join(problems))
    return [_lasting(each) for each in found]


def resume_run(folder: pathlib.Path) -> Any:
    """Returns the values of the run, once it was continued to its end."""
    return _lasting(run(folder, resume=True))


def _lasting(result: results.Result) -> Any:
    values = result.values()
    history = [
        {name: value for name, value in epoch.items() if not name.endswith("seconds")}
        for epoch in result.history
    ]
    return {
        name: values[name] for name in ("metrics", "settings", "seed", "task", "config", "model")
    } | {"history": history}


SCENES: dict[str, tuple[Callable[[pathlib.Path], Any], Callable[[pathlib.Path], Any]]] = {
    "data": (prepare_data, read_data),
    "complete": (run, read_run),
    "interrupted": (prepare_interrupted_run, resume_run),
}


def judge(read: Callable[[pathlib.Path], Any], folder: pathlib.Path, expected: Any) -> str | None:
    """Returns None if what is read is as expected, or refused well; what happened instead otherwise."""
    try:
        found = read(folder)
    except (UserError, OSError) as error:
        words = str(error)
        if "\n" in words.strip() or str(folder) not in words:
            return f"{type(error).__name__} that is not one sentence about the folder: {words!r}"
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if found == expected else OTHER


def attack(scene: str, mutations: int, seed: int) -> list[str]:
    """Returns a line for each mutation that was believed, or told badly."""
    prepare, read = SCENES[scene]
    chance = random.Random(seed)
    problems = []
    with tempfile.TemporaryDirectory() as place:
        whole = pathlib.Path(place, "whole")
        prepare(whole)
        shutil.copytree(whole, pathlib.Path(place, "copy"))
        expected = read(pathlib.Path(place, "copy"))
        for number in range(mutations):
            copy = pathlib.Path(place, f"copy{number}")
            shutil.copytree(whole, copy)
            done = mutate(copy, chance)
            problem = judge(read, copy, expected)
            if problem == OTHER and f"{results.FILE} at" in done:
                continue  # A plain text, which its owner may edit: other valid values are read.
            if problem:
                problems.append(f"{scene}: {done}: {problem}")
            shutil.rmtree(copy)
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutations", type=int, default=300, help="of each kind of folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scene", choices=SCENES, action="append")
    arguments = parser.parse_args()
    problems = []
    for scene in arguments.scene or SCENES:
        found = attack(scene, arguments.mutations, arguments.seed)
        print(
            f"{scene}: {arguments.mutations} mutations, {len(found)} problems",
            *found,
            sep="\n  ",
            flush=True,
        )
        problems += found
    sys.exit(bool(problems))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tfds.disable_progress_bar()
    assert not_so_clevr.__name__  # Imported to register the data set
    main()
