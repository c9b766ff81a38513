"""Files that outlive errors, kills and second processes; a data set that is written once and verified when read."""

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


@contextlib.contextmanager
def exclusive(folder: os.PathLike[str], *, replace: bool = False) -> Iterator[None]:
    """Lets one process at a time write `folder`, and clears away what a killed one left of it.

    The lock is a file beside the folder. The operating system releases it when its holder dies. A folder that is to be replaced
    is moved aside, and back again unless another one has come in its place. A remote file system (`gs://...`) has no locks,
    and what is replaced there is gone.

    Raises:
        OSError: one sentence that names the folder and why nothing can be written there.
    """
    if "://" in os.fspath(folder):
        yield
        return
    path = pathlib.Path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.parent / f".{path.name}.lock"):
            for left_over in path.parent.glob(f"incomplete.*_{path.name}"):  # TFDS renames it when it is complete.
                shutil.rmtree(left_over)
            aside = path.with_name(f".{path.name}.replaced")
            put_back(aside, path)  # After a kill
            if replace and path.exists():
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
            try:
                yield
            finally:
                put_back(aside, path)
                shutil.rmtree(aside, ignore_errors=True)
    except Exception as error:
        reason = _why_not_written(error, path.parent)
        if reason is None:
            raise
        raise OSError(
            f"Cannot write the data set to {path}: {reason}. Make room or get access there, "
            "or choose another folder with --data-dir (in Python data_dir=) or the environment variable TFDS_DATA_DIR."
        ) from error


def check_folder(folder: pathlib.Path) -> None:
    """Raises OSError, one sentence, if a folder that is there cannot be written, or one that is not there cannot be made."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "cannot be written" if there.is_dir() else "is no folder"
        raise OSError(f"Cannot write into {folder}: {there} {reason}; choose another place.")


def put_back(aside: pathlib.Path, path: pathlib.Path) -> None:
    """Moves what was moved aside, if anything was, back to its place, unless another one has come there."""
    if aside.exists() and not path.exists():
        aside.rename(path)


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a path with ~ replaced, as the shell does not where it is quoted or follows =.

    Raises:
        UserError: one sentence, if there is no such user, or if it is remote.
    """
    if "://" in os.fspath(path):
        raise UserError(f"{path} is remote; expected a place on this machine.")
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path} begins in the home folder of nobody; expected ~/ for your own, or a whole path.") from None


@contextlib.contextmanager
def replacing(path: os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, and moves it there once it is written: `path` is always whole, old or new.

    Raises:
        OSError: one sentence that names `path` and why it cannot be written.
    """
    target = expanded(path)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")  # The end of the name may tell the format.
    try:
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())  # Else a power cut can leave an empty file of this name.
        temporary.replace(target)
    except OSError as error:
        raise OSError(f"Cannot write {target}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_checksums(folder: pathlib.Path) -> None:
    """Writes the SHA-256 of every file in `folder` to SHA256SUMS there, as `sha256sum` does."""
    lines = [f"{_sha256(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("".join(lines))


def verify_checksums(folder: pathlib.Path) -> None:
    """Compares the files in `folder` with SHA256SUMS there. Without that, there is nothing to compare.

    Raises:
        OSError: one sentence that names the first file that is missing or not as it was written.
    """
    checksums = folder / CHECKSUMS
    if not checksums.exists():
        return
    advice = f"delete the folder {folder} and load the data set again."
    text = checksums.read_bytes().decode(errors="replace")
    if not re.fullmatch(r"([0-9a-f]{64}  [^/\n]+\n)+", text):
        raise OSError(f"{checksums} is damaged (it holds something else than checksums); {advice}")
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
    """Returns the operating system's reason if `error`, or what caused it, is a failure to write in `folder`."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror and _is_about(error, folder):
            return error.strerror
        path, _, reason = str(error).rpartition("; ")  # TensorFlow's errors: "<path>; No space left on device"
        if error.__cause__ is None and os.fspath(folder) in path:
            return reason.partition(" [while running ")[0]  # So Beam goes on, and with a traceback.
        error = error.__cause__
    return None


def _is_about(error: OSError, folder: pathlib.Path) -> bool:
    """Returns whether an error can come from writing in a folder, and not from a program or a service that is missing."""
    if isinstance(error, (ConnectionError, TimeoutError)):
        return False
    if not isinstance(error.filename, str):
        return True
    file = pathlib.Path(error.filename)
    return file.is_relative_to(folder) or folder.is_relative_to(file)
