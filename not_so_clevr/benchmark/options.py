"""How a run is made: options that change neither its id nor, except for callbacks, its weights."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from not_so_clevr import files
from not_so_clevr.checks import MissingPackageError, UserError, as_list, boolean, one_of
from not_so_clevr.dataset.config import NotSoClevrConfig, as_config

if TYPE_CHECKING:
    import keras

    from not_so_clevr.benchmark.experiment import Run

#: The data set on which `tune` chooses a recipe; no results are reported on it.
TUNE_CONFIG = "quadrant_upper_left_32"

DATA = ("tfds", "memory")  # Where examples come from: files of TFDS, or drawn in memory
_SWITCHES = ("resume", "replace", "tensorboard", "distribute")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of a run; see `benchmark.run`.

    Raises:
        UserError: one sentence, if an option is unknown, or two contradict each other.
        MissingPackageError: one sentence, if TensorBoard is needed and not installed.
    """

    data: str = "tfds"
    data_dir: str | pathlib.Path | None = None
    runs: str | pathlib.Path | None = None
    resume: bool = False
    replace: bool = False
    tensorboard: bool = False
    distribute: bool = False
    also: Sequence[str | NotSoClevrConfig] = ()
    callbacks: Sequence[keras.callbacks.Callback] = ()
    verbose: str | int = "auto"

    def __post_init__(self) -> None:
        if self.data_dir is not None:
            files.data_folder(self.data_dir)
        if self.runs is not None:
            files.expanded(self.runs)
        one_of("data", self.data, DATA)
        for name in _SWITCHES:
            object.__setattr__(self, name, boolean(name, getattr(self, name)))
        if self.data == "memory" and self.data_dir is not None:
            raise UserError(
                f"data_dir={self.data_dir} has no effect with data=memory, which reads no files; "
                "omit one of them."
            )
        others = {config.name: config for config in map(as_config, as_list("also", self.also))}
        object.__setattr__(self, "also", tuple(others.values()))
        if not isinstance(self.verbose, (str, int)) or self.verbose not in ("auto", 0, 1):
            raise UserError(f"verbose={self.verbose!r} is unknown; expected one of auto, 0, 1.")
        if callbacks := as_list("callbacks", self.callbacks):
            import keras

            for each in callbacks:
                if not isinstance(each, keras.callbacks.Callback):
                    raise UserError(f"callbacks must be those of Keras, got {each!r}.")
        if self.resume and self.replace:
            raise UserError("resume and replace exclude each other; give one of them.")
        for name in ("resume", "replace", "tensorboard"):
            if getattr(self, name) and self.runs is None:
                raise UserError(f"{name} needs the folder of all runs; give runs=, or omit it.")
        if self.tensorboard and not importlib.util.find_spec("tensorboard"):
            pip = "pip install 'not-so-clevr[tensorboard]'"
            raise MissingPackageError(f"TensorBoard is not installed; run: {pip}")

    def check(self, run: Run) -> None:
        """Checks that a run can be made with these options.

        Raises:
            UserError: one sentence, if the data set does not fit into memory, the model would also
                be measured on the data set that it is trained on, the run would have a folder but
                its model has no name of its own, or the run to resume is damaged or has other
                settings.
            FileExistsError: one sentence, if the run exists, unless resumed or replaced.
            OSError: one sentence, if the folder of the run cannot be read.
        """
        from not_so_clevr.benchmark import evaluation, loading
        from not_so_clevr.benchmark.run_folder import RunFolder

        if run.config.name in (as_config(each).name for each in self.also):
            raise UserError(
                f"also={run.config.name} is what {run.model.name} is trained and measured on; "
                "omit it, or give another config."
            )
        if self.data == "tfds":
            loading.check_read(run.config, run.task)
        if self.runs is not None:
            if not run.model.named:
                raise UserError(evaluation.NO_NAME.format(name=run.model.name, argument="name"))
            folder = RunFolder(self.runs, run.id)
            if self.resume:
                folder.check_resumable(run.saved_recipe)
            elif not self.replace:
                folder.check_free()
