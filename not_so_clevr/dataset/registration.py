"""Registers the data set with TFDS as soon as TFDS is imported: importing it takes a while."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_TFDS = "tensorflow_datasets"
_BUILDER = "not_so_clevr.dataset.not_so_clevr_dataset_builder"


def register() -> None:
    """Registers the data set now if TFDS is imported already, otherwise when it is."""
    if _TFDS in sys.modules:
        _import_builder()
    elif not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _import_builder() -> None:
    """Defines the builder class, which registers it, unless that was done or is going on.

    The builder may be what imports TFDS, in this thread or in one that waits for this one.
    """
    if _BUILDER not in sys.modules:
        importlib.import_module(_BUILDER)


class _Finder:
    """Finds TFDS where the later finders of `sys.meta_path` do, and adds a step to its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if name != _TFDS:
            return None
        later = sys.meta_path[sys.meta_path.index(self) + 1 :]
        specs = (each.find_spec(name, path, target) for each in later)
        spec = next((each for each in specs if each is not None), None)
        if spec is None or spec.loader is None:
            return spec

        execute = spec.loader.exec_module

        def execute_and_register(module: Any) -> None:
            execute(module)
            _import_builder()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
