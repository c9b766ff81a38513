"""The folder of a run: one writer at a time, resumable, and in place only once it is complete."""

from __future__ import annotations

import contextlib
import json
import pathlib
import random
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import filelock
import keras
import numpy as np
import numpy.typing as npt
from pydantic import Field

from not_so_clevr import files, results
from not_so_clevr.benchmark import tracebacks
from not_so_clevr.checks import UserError
from not_so_clevr.results import Result, record
from not_so_clevr.results.result import with_added

_CHECKPOINT = "checkpoint.npz"


class _Log(record.Strict):
    """The log of a checkpoint, as it is read."""

    recipe: dict[str, Any]
    seconds: record.Amount
    epochs: list[record.Epoch]
    rates: dict[str, float] = Field(default_factory=dict)  # Older files lack these three.
    random: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)


class Busy(OSError):  # noqa: N818 - not an error: the other process completes the run.
    """Another process is writing the run. The message is one sentence."""


class RunFolder:
    """The folder of a run: `seed0.incomplete` until the run is complete, then `seed0`.

    Args:
        runs: the folder of all runs.
        run_id: the id of the run, e.g. `classification/quadrant/coordconv/seed0`.
    """

    def __init__(self, runs: str | pathlib.Path, run_id: str) -> None:
        self.final = files.expanded(runs) / run_id
        self.partial = self.final.with_name(self.final.name + results.INCOMPLETE)

    @property
    def complete(self) -> bool:
        """Whether the run is complete, and no other run is about to replace it."""
        return self.final.exists() and not self.partial.exists()

    def check_own(self) -> None:
        """Raises FileExistsError, one sentence, if something else is in the place of the run."""
        with self.worded():
            is_own = not self.final.exists() or (self.final / results.FILE).exists()
        if not is_own:
            what = f"{self.final} is no run, as it has no {results.FILE}"
            raise FileExistsError(f"{what}; delete it, or choose another folder.")

    def check_free(self, *, trained: bool = True) -> None:
        """Raises FileExistsError, one sentence, if the run exists, complete or interrupted.

        For an evaluation (not `trained`), an interrupted run counts only if it has a checkpoint.
        """
        self.check_own()
        with self.worded():
            complete = self.final.exists()
            begun = (self.partial if trained else self.partial / _CHECKPOINT).exists()
        if complete:
            show = "add --resume (in Python resume=True) to show it, or "
            train = f"{show}--replace (replace=True) to train again"
            how = train if trained else "give replace=True to measure again"
            raise FileExistsError(f"{self.final} holds a complete run; {how}.")
        if begun:
            raise FileExistsError(
                f"{self.partial} holds an interrupted run; "
                "add --resume (in Python resume=True) to continue it, "
                "or --replace (replace=True) to train again."
            )

    def check_resumable(self, settings: Any) -> None:
        """Raises UserError, one sentence, if the run is damaged, or has other settings."""
        with self.worded():
            if self.complete:
                self.result(settings)
            else:
                self._saved(settings)

    def result(self, settings: Any) -> Result:
        """Returns the result of a complete run. Raises UserError if it has other settings."""
        result = self.read()
        if not result.made_by(settings):
            raise UserError(
                f"{self.final} was made with other settings, {result.settings}; "
                "use those, or replace or delete the run."
            )
        return result

    def read(self) -> Result:
        """Returns the result of a complete run. Raises UserError if it cannot be read."""
        return Result.read(self.final / results.FILE)

    def clear(self) -> None:
        """Deletes what an interrupted run left, and makes the folder of a new one."""
        with self.worded():
            if self.partial.exists():
                shutil.rmtree(self.partial)
            self.partial.mkdir(parents=True)

    def save(self, network: keras.Model, log: Mapping[str, Any]) -> None:
        """Saves a log, all variables and random states, which Keras' own files leave out."""
        state = enumerate(trained_state(network))
        arrays: dict[str, Any] = {str(k): _array(each) for k, each in state}
        log = {**log, "random": _random_states()}
        checkpoint = self.partial / _CHECKPOINT
        with files.replacing(checkpoint) as temporary, temporary.open("wb") as stream:
            np.savez(stream, log=np.asarray(json.dumps(log)), **arrays)

    def restore(self, network: keras.Model, settings: Any) -> dict[str, Any] | None:
        """Restores the variables that were last saved; returns their log, None if there is none."""
        log, arrays = self._saved(settings)
        if log is None:
            return None
        state = trained_state(network)
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in state]:
            raise UserError(
                f"{self.partial / _CHECKPOINT} was saved by another network; "
                "resume with that one, or replace or delete the run."
            )
        for variable, array in zip(state, arrays, strict=True):
            variable.assign(array)
        if log["random"]:
            with self._undamaged():
                _put_random_states(log["random"])
        return log

    def _saved(self, settings: Any) -> tuple[dict[str, Any] | None, list[npt.NDArray[Any]]]:
        """Returns the log and the variables that were last saved; None for the log if none were."""
        file = self.partial / _CHECKPOINT
        if not file.exists():
            return None, []
        with self._undamaged():
            with files.opened(file) as stream, np.load(stream) as saved:
                log = _Log.model_validate_json(str(saved["log"])).model_dump()
                arrays = [saved[str(k)] for k in range(len(saved.files) - 1)]
            if not all(array.dtype.kind in "biuf" for array in arrays):
                raise ValueError("its variables are not numbers")
            begun = with_added(log["recipe"])
            _check_epochs(log["epochs"], begun["epochs"])
        if begun != settings:
            raise UserError(
                f"{self.partial} was begun with other settings, {begun}; "
                "use those, or replace or delete it."
            )
        backend, own = log["environment"].get("backend"), keras.backend.backend()
        if backend not in (None, own):
            raise UserError(
                f"{self.partial} was begun with Keras on {backend}, not on {own}; "
                f"set KERAS_BACKEND={backend}, or replace or delete it."
            )
        return log, arrays

    @contextlib.contextmanager
    def _undamaged(self) -> Iterator[None]:
        """Rewords whatever a damaged checkpoint raises as one sentence."""
        file = self.partial / _CHECKPOINT
        try:
            yield
        except PermissionError as error:
            raise OSError(f"{file} cannot be read ({error.strerror}); get access to it.") from error
        except Exception as error:  # A damaged archive can raise anything.
            reason = record.reason(error)
            raise UserError(f"{file} is damaged ({reason}); replace or delete the run.") from error

    def finish(self, result: Result, network: keras.Model | None = None) -> None:
        """Writes the results and the weights, and moves the folder to its final place."""
        result.write(self.partial)
        if network is not None:
            with files.replacing(self.partial / results.WEIGHTS) as temporary:
                network.save_weights(temporary)
        files.swap(self.partial, self.final)
        self.recover()

    def load_weights(self, network: keras.Model) -> None:
        """Loads the weights of a complete run. Raises UserError if that is not possible."""
        load_weights(network, self.final / results.WEIGHTS)

    def amend(self, result: Result) -> None:
        """Writes the result of a complete run again."""
        with self.worded():
            result.write_record(self.final)

    def recover(self) -> None:
        """Deletes what a kill during `finish` left: checkpoints, or the run that was replaced."""
        for checkpoint in self.final.glob(f"*{_CHECKPOINT}"):  # Also one half written by a kill
            checkpoint.unlink()
        if (self.partial / results.FILE).exists() and not (self.partial / _CHECKPOINT).exists():
            shutil.rmtree(self.partial)

    @contextlib.contextmanager
    def worded(self) -> Iterator[None]:
        """Rewords errors of the operating system as one sentence."""
        try:
            yield
        except filelock.Timeout:
            raise Busy(
                f"{self.final} is being written by another process; "
                "wait for it, or choose another folder."
            ) from None
        except OSError as error:
            reason = error.strerror or error
            raise OSError(f"Cannot write {self.final}: {reason}; choose another folder.") from error


@contextlib.contextmanager
def claim(runs: str | pathlib.Path | None, run_id: str) -> Iterator[RunFolder | None]:
    """Locks the folder of a run and yields it; yields None if `runs` is None.

    Raises:
        Busy: if another process is writing the run.
        FileExistsError: one sentence, if something else is in its place.
        OSError: one sentence, if the folder cannot be written.
    """
    if runs is None:
        yield None
        return
    folder = RunFolder(runs, run_id)
    with contextlib.ExitStack() as lock:
        with folder.worded():
            lock.enter_context(files.locked(folder.final, wait=False))
            folder.recover()
        folder.check_own()
        yield folder


def load_weights(network: keras.Model, file: pathlib.Path) -> None:
    """Loads weights from a file. Raises UserError, one sentence, if that is not possible."""
    if not file.exists():
        raise UserError(f"{file} is missing; put it back, or replace the run.")
    try:
        with files.opened(file):  # A pipe would be waited for.
            pass
        if network.compiled:
            network.optimizer.build(network.trainable_variables)
        network.load_weights(file)
    except Exception as error:  # A damaged file can raise anything.
        raise UserError(
            f"{file} does not hold the weights of this network ({tracebacks.sentence(error)}); "
            "use the code that made it, or replace the run."
        ) from error


def _check_epochs(epochs: list[dict[str, Any]], expected: int) -> None:
    """Raises ValueError unless epochs are in order, and among those expected."""
    numbers = [epoch["epoch"] for epoch in epochs]
    if numbers != sorted(set(numbers)):
        raise ValueError("its epochs are not in order")
    if numbers and numbers[-1] > expected:
        raise ValueError(f"it has {numbers[-1]} of {expected} epochs")
    if any(epoch["seconds"] is None for epoch in epochs):
        raise ValueError("an epoch has no seconds")
    if any(epoch["test"].keys() != epochs[0]["test"].keys() for epoch in epochs):
        raise ValueError("its epochs have different metrics")


def trained_state(network: keras.Model) -> list[keras.Variable]:
    """Returns all that training changes: weights, statistics, random states, optimizer."""
    return [*network.variables, *network.optimizer.variables]


def _array(variable: keras.Variable) -> npt.NDArray[Any]:
    """Returns a variable for NumPy to save: bfloat16, which NumPy lacks, becomes float32."""
    array = keras.ops.convert_to_numpy(variable)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _random_states() -> dict[str, Any]:
    """Returns the states of Python, NumPy, PyTorch and `keras.random`, for JSON.

    Layers with a seed generator of their own have their state in a variable of the network.
    """
    version, words, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    states: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
    }
    if (variable := variable_of_keras()) is not None:
        states["keras"] = keras.ops.convert_to_numpy(variable).tolist()
    if keras.backend.backend() == "torch":
        import torch

        states["torch"] = torch.get_rng_state().tolist()
        states["cuda"] = [each.tolist() for each in torch.cuda.get_rng_state_all()]
    return states


def _put_random_states(states: Mapping[str, Any]) -> None:
    """Sets random states. Raises TypeError, ValueError or KeyError for what is none."""
    if "keras" in states:
        from keras.src.random import seed_generator

        seed_generator.global_seed_generator().state.assign(np.asarray(states["keras"]))
    version, words, gauss = states["python"]  # After Keras, which draws its first state from it
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), *rest))
    if "torch" in states and keras.backend.backend() == "torch":
        import torch

        torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
        if len(states["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(
                [torch.tensor(each, dtype=torch.uint8) for each in states["cuda"]]
            )


def variable_of_keras() -> Any:
    """Returns the variable that `keras.random` draws from without a seed, None if it has not."""
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    return None if generator is None else generator.state
