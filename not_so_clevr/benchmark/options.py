"""How a run is made: what changes neither its id nor, but for a callback, its result."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from not_so_clevr.checks import MissingPackageError, UserError

if TYPE_CHECKING:
    import keras

    from not_so_clevr.benchmark.experiment import Run

DATA = ("tfds", "memory")
VERBOSE = ("auto", 0, 1)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of a run; `benchmark.run` describes them.

    Raises:
        UserError: one sentence, if one is unknown, or two contradict each other.
        MissingPackageError: one sentence, if TensorBoard is asked for and not installed.
    """

    data: str = "tfds"
    data_dir: str | pathlib.Path | None = None
    runs: str | pathlib.Path | None = None
    resume: bool = False
    replace: bool = False
    tensorboard: bool = False
    distribute: bool = False
    callbacks: Sequence[keras.callbacks.Callback] = ()
    verbose: str | int = "auto"

    def __post_init__(self) -> None:
        for name, allowed in (("data", DATA), ("verbose", VERBOSE)):
            value = getattr(self, name)
            if not isinstance(value, (str, int)) or value not in allowed:
                expected = ", ".join(map(str, allowed))
                raise UserError(f"{name}={value!r} is unknown; expected one of {expected}.")
        if self.resume and self.replace:
            raise UserError("resume and replace were both asked for; a run can be continued or replaced, not both.")
        if self.tensorboard and self.runs is None:
            raise UserError("tensorboard needs a folder to write to; give runs=, such as runs='runs'.")
        if self.tensorboard and not importlib.util.find_spec("tensorboard"):
            raise MissingPackageError("TensorBoard is not installed; run: pip install 'not-so-clevr[tensorboard]'")

    def check(self, run: Run) -> None:
        """Checks that a run can be made with these options: memory for its data, and its folder.

        Raises:
            UserError: one sentence, if the data set does not fit into memory, or the run is to be
                resumed and is damaged or was made with other settings.
            FileExistsError: one sentence, if the run is there, and neither resume nor replace.
            OSError: one sentence, if its folder cannot be read or written.
        """
        from not_so_clevr.benchmark import loading
        from not_so_clevr.benchmark.run_folder import RunFolder

        if self.data == "tfds":
            loading.check_memory(run.config)
        if self.runs is not None:
            folder = RunFolder(self.runs, run.id)
            folder.check_free(resume=self.resume, replace=self.replace)
            if self.resume:
                folder.check_resumable(run.saved_recipe)
