"""The folder of a run: written by one process at a time, resumed after a kill, and complete or not there."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import filelock
import keras
import numpy as np
import numpy.typing as npt

from not_so_clevr import files, results
from not_so_clevr.checks import UserError
from not_so_clevr.results import Result

_CHECKPOINT = "checkpoint.npz"


class Busy(OSError):  # noqa: N818 - no error of anybody's: the run is in good hands.
    """Another process is writing the run; what it says is one sentence."""


class RunFolder:
    """The folder of a run: `seed0.incomplete` until the run is complete, then `seed0`.

    Args:
        runs: the folder of all runs.
        run_id: of this one, such as `classification/quadrant/coordconv/seed0`.
    """

    def __init__(self, runs: str | pathlib.Path, run_id: str) -> None:
        self.final = files.expanded(runs) / run_id
        self.partial = self.final.with_name(self.final.name + results.INCOMPLETE)
        self.replaced = self.final.with_name(self.final.name + results.REPLACED)

    @property
    def complete(self) -> bool:
        """Whether the run is in its place, and no other is on the way to replace it."""
        return self.final.exists() and not self.partial.exists()

    def check_free(self, *, resume: bool = False, replace: bool = False, trained: bool = True) -> None:
        """Raises FileExistsError, one sentence, if there is a run and neither was asked for.

        A run that was begun is one; if it is not `trained` (but measured in no time), only with a checkpoint, of a training.
        """
        if resume or replace:
            return
        with self.worded():
            if self.final.exists():
                show = "add --resume (in Python resume=True) to show it, or " if trained else "give "
                anew = "--replace (replace=True) to train anew" if trained else "replace=True to measure anew"
                raise FileExistsError(f"{self.final} holds a complete run; {show}{anew}.")
            if (self.partial if trained else self.partial / _CHECKPOINT).exists():
                raise FileExistsError(
                    f"{self.partial} holds an interrupted run; add --resume (in Python resume=True) to continue it, "
                    "or --replace (replace=True) to train anew."
                )

    def check_resumable(self, settings: Any) -> None:
        """Raises UserError, one sentence, if what is there is damaged, or was made or begun with other settings."""
        with self.worded():
            if self.complete:
                self.result(settings)
            else:
                self._saved(settings)

    def result(self, settings: Any) -> Result:
        """Returns the result of the complete run. Raises UserError, one sentence, if it was made with other settings."""
        result = Result.read(self.final / results.FILE)
        if not result.made_by(settings):
            raise UserError(
                f"{self.final} was made with other settings, {result.settings}; use those, or replace or delete the run."
            )
        return result

    def clear(self) -> None:
        """Forgets a run that was interrupted, and begins one: from now on a complete one is about to be replaced."""
        with self.worded():
            if self.partial.exists():
                shutil.rmtree(self.partial)
            self.partial.mkdir(parents=True)

    def save(self, network: keras.Model, log: Mapping[str, Any]) -> None:
        """Saves a log and the network's state, of which Keras' own files leave out the random numbers."""
        arrays: dict[str, Any] = {
            str(k): _savable(keras.ops.convert_to_numpy(variable)) for k, variable in enumerate(_state(network))
        }
        with files.replacing(self.partial / _CHECKPOINT) as temporary, temporary.open("wb") as stream:
            np.savez(stream, log=np.asarray(json.dumps(log)), **arrays)

    def restore(self, network: keras.Model, settings: Any) -> dict[str, Any] | None:
        """Returns the log that was saved last, if any, and gives the network the state that was saved with it."""
        log, arrays = self._saved(settings)
        if log is None:
            return None
        state = _state(network)
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in state]:
            file = self.partial / _CHECKPOINT
            raise UserError(f"{file} was saved by another network; resume with that one, or replace or delete the run.")
        for variable, array in zip(state, arrays, strict=True):
            variable.assign(array)
        return log

    def _saved(self, settings: Any) -> tuple[dict[str, Any] | None, list[npt.NDArray[Any]]]:
        """Returns the log and the state that were saved last; None for the log if nothing was."""
        from not_so_clevr.results.record import with_added

        file = self.partial / _CHECKPOINT
        try:
            with np.load(file) as saved:
                log = json.loads(str(saved["log"]))
                arrays = [saved[str(k)] for k in range(len(saved.files) - 1)]
                begun = with_added(log["recipe"])
        except (FileNotFoundError, NotADirectoryError):
            return None, []
        except (OSError, EOFError, NotImplementedError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{file} is damaged ({error}); replace or delete the run.") from error
        if begun != settings:
            raise UserError(f"{self.partial} was begun with other settings, {begun}; use those, or replace or delete it.")
        return log, arrays

    def finish(self, result: Result, network: keras.Model | None = None) -> None:
        """Writes all that a run leaves, and puts it in its place; a run that it replaces is there until then."""
        result.write(self.partial)
        if network is not None:
            with files.replacing(self.partial / results.WEIGHTS) as temporary:
                network.save_weights(temporary)
        if self.final.exists():
            shutil.rmtree(self.replaced, ignore_errors=True)
            self.final.rename(self.replaced)
        self.partial.rename(self.final)
        for checkpoint in self.final.glob(f"*{_CHECKPOINT}"):  # A kill may have left one half written, too.
            checkpoint.unlink()
        shutil.rmtree(self.replaced, ignore_errors=True)

    @contextlib.contextmanager
    def worded(self) -> Iterator[None]:
        """Says in one sentence why the folder cannot be written."""
        try:
            yield
        except FileExistsError as error:
            if error.strerror is None:
                raise
            raise OSError(f"Cannot write {self.final}: {error.strerror}; choose another folder.") from error
        except filelock.Timeout:
            raise Busy(f"{self.final} is being written by another process; wait for it, or choose another folder.") from None
        except OSError as error:
            raise OSError(f"Cannot write {self.final}: {error.strerror or error}; choose another folder.") from error


@contextlib.contextmanager
def claimed(
    runs: str | pathlib.Path | None, run_id: str, *, resume: bool = False, replace: bool = False, trained: bool = True
) -> Iterator[RunFolder | None]:
    """Yields the folder of a run, which no other process writes meanwhile; None if nothing is to be written.

    Raises:
        FileExistsError: as `RunFolder.check_free`, which tells the arguments.
        Busy: if another process is writing the run.
        OSError: one sentence, if the folder cannot be written.
    """
    if runs is None:
        yield None
        return
    folder = RunFolder(runs, run_id)
    lock = folder.final.with_name(f".{folder.final.name}.lock")
    folder.check_free(resume=resume, replace=replace, trained=trained)
    with folder.worded():
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(lock, timeout=0).acquire()
    with held:
        with folder.worded():
            files.put_back(folder.replaced, folder.final)  # After a kill
        folder.check_free(resume=resume, replace=replace, trained=trained)
        yield folder


def _state(network: keras.Model) -> list[keras.Variable]:
    """Returns everything that training changes: weights, statistics, random numbers, and the optimizer's own."""
    return [*network.variables, *network.optimizer.variables]


def _savable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns an array as NumPy can save it: bfloat16, which it does not know, as float32, which holds it exactly."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array
