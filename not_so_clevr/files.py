"""Files and folders that stay whole if a process dies, locks, and checksums."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

import filelock

from not_so_clevr.checks import UserError

CHECKSUMS = "SHA256SUMS"
REMOTE = ("gs://", "s3://", "az://", "hf://")  # What TFDS can open besides local folders
REPLACED = ".replaced"  # Suffix of a folder that is set aside while another takes its place


@contextlib.contextmanager
def locked(folder: pathlib.Path, *, wait: bool = True) -> Iterator[None]:
    """Lets one process at a time write `folder`, and ends a swap that was killed.

    The lock is a file beside the folder. The operating system releases it when its holder dies.

    Raises:
        filelock.Timeout: if another process has the lock, unless `wait`.
        OSError: if the lock cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with filelock.FileLock(lock, timeout=-1 if wait else 0):
        _end_swap(folder)
        yield


@contextlib.contextmanager
def swapped(folder: pathlib.Path) -> Iterator[None]:
    """Sets `folder` aside for a new one, and puts it back unless one arrives. Needs its lock."""
    if folder.exists():
        folder.rename(_aside(folder))
    try:
        yield
    finally:
        _end_swap(folder)


def _aside(folder: pathlib.Path) -> pathlib.Path:
    return folder.with_name(folder.name + REPLACED)


def _end_swap(folder: pathlib.Path) -> None:
    aside = _aside(folder)
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def exclusive(folder: os.PathLike[str], *, replace: bool = False) -> Iterator[None]:
    """Locks the folder of a data set, and removes what a killed process left of it.

    A data set to be replaced is put back unless a new one arrives. A remote file system
    (`gs://...`) has no locks, and a data set that is replaced there is lost.

    Raises:
        OSError: one sentence that names the folder, and why it cannot be written.
    """
    if "://" in os.fspath(folder):
        yield
        return

    path = pathlib.Path(folder)
    try:
        with locked(path), swapped(path) if replace else contextlib.nullcontext():
            for left_over in path.parent.glob(f"incomplete.*_{path.name}"):  # Of TFDS
                shutil.rmtree(left_over)
            yield
    except Exception as error:
        reason = _why_not_written(error, path.parent)
        if reason is None:
            raise
        raise OSError(
            f"Cannot write the data set to {path}: {reason}. Make room or get access there, "
            "or choose another folder with --data-dir (in Python data_dir=) "
            "or the environment variable TFDS_DATA_DIR."
        ) from error


def check_folder(folder: pathlib.Path) -> None:
    """Raises OSError, one sentence, unless `folder` can be written, or made if it is missing."""
    parents = (folder.absolute(), *folder.absolute().parents)
    existing = next(each for each in parents if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        reason = "is not writable" if existing.is_dir() else "is not a folder"
        raise OSError(f"Cannot write into {folder}: {existing} {reason}; choose another folder.")


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a path with ~ replaced, which the shell leaves in place in quotes or after =.

    Raises:
        UserError: one sentence, if the path is empty or remote, or there is no such user.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"{path!r} is a {type(path).__name__}; expected a path, as str or Path.")
    if not os.fspath(path):
        raise UserError(
            "The path is empty; expected a file or a folder, e.g. . for the current one."
        )
    if "://" in os.fspath(path):
        raise UserError(f"{path} is remote; expected a path on this machine.")
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no such user; expected ~/ or a full path.") from None


def data_folder(folder: str | os.PathLike[str]) -> str:
    """Returns a folder of TFDS, local with ~ replaced or remote. Raises UserError if it is neither.

    TensorFlow can open names in UTF-8 only.
    """
    if isinstance(folder, str) and "://" in folder:
        if not folder.startswith(REMOTE):
            remote = ", ".join(REMOTE)
            raise UserError(f"{folder} is neither a local folder nor one of TFDS' ({remote}).")
        return folder

    text = os.fspath(expanded(folder))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{text!r} is not UTF-8, and TensorFlow cannot open it; "
            "rename the folder, or choose another."
        ) from None
    return text


@contextlib.contextmanager
def replacing(path: os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path, and moves that file to `path` once it is complete.

    Raises:
        OSError: one sentence that names `path`, and why it cannot be written.
    """
    target = expanded(path)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")  # The suffix may set the format.
    try:
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())  # A power cut could leave an empty file without it.
        temporary.replace(target)
    except OSError as error:
        raise OSError(f"Cannot write {target}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_checksums(folder: pathlib.Path) -> None:
    """Writes the SHA-256 of every file in `folder` to SHA256SUMS, in the format of `sha256sum`."""
    lines = [f"{_sha256(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("".join(lines))


def verify_checksums(folder: pathlib.Path) -> None:
    """Compares the files in `folder` with SHA256SUMS there, if it exists.

    Raises:
        OSError: one sentence that names the first file that is missing or has changed.
    """
    checksums = folder / CHECKSUMS
    if not checksums.exists():
        return
    advice = f"delete the folder {folder} and load the data set again."
    text = checksums.read_bytes().decode(errors="replace")
    if not re.fullmatch(r"([0-9a-f]{64}  [^/\n]+\n)+", text):
        raise OSError(f"{checksums} is damaged (it does not hold checksums); {advice}")
    for line in text.splitlines():
        expected, name = line.split("  ", 1)
        file = folder / name
        found = _sha256(file) if file.exists() else "no such file"
        if found != expected:
            raise OSError(f"{file} is damaged (SHA-256 {found}, expected {expected}); {advice}")


def _sha256(file: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _why_not_written(error: BaseException | None, folder: pathlib.Path) -> str | None:
    """Returns why `folder` cannot be written, if that is what `error` or a cause of it says."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror and _is_about(error, folder):
            return error.strerror
        path, _, reason = str(error).rpartition("; ")  # TensorFlow: "<path>; No space left on ..."
        if error.__cause__ is None and os.fspath(folder) in path:
            return reason.partition(" [while running ")[0]  # Beam adds this, and a traceback.
        error = error.__cause__
    return None


def _is_about(error: OSError, folder: pathlib.Path) -> bool:
    """Returns whether an error may come from writing in `folder`, not from a missing service."""
    if isinstance(error, (ConnectionError, TimeoutError)):
        return False
    if not isinstance(error.filename, str):
        return True
    file = pathlib.Path(error.filename)
    return file.is_relative_to(folder) or folder.is_relative_to(file)
