"""Files that survive errors, kills and concurrent processes; locks; checksums."""

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
    """Lets one process at a time write `folder`, and removes what a killed one left of it.

    The lock is a file beside the folder; the operating system releases it when its holder dies.
    With `replace`, an existing folder is moved aside, and moved back if no new one was written.
    A remote file system (`gs://...`) has no locks, and what is replaced there is gone.

    Raises:
        OSError: one sentence that names the folder and why it cannot be written.
    """
    if "://" in os.fspath(folder):
        yield
        return
    path = pathlib.Path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.parent / f".{path.name}.lock"):
            for left_over in path.parent.glob(f"incomplete.*_{path.name}"):  # As TFDS names it
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
            f"Cannot write the data set to {path}: {reason}. Make room or get access there, or "
            "choose another folder with --data-dir (data_dir= in Python) or TFDS_DATA_DIR."
        ) from error


def check_folder(folder: pathlib.Path) -> None:
    """Raises OSError, one sentence, if a folder cannot be written or created."""
    whole = folder.absolute()
    existing = next(each for each in (whole, *whole.parents) if each.exists())
    if not existing.is_dir():
        raise OSError(f"Cannot write into {folder}: {existing} is not a folder; choose another.")
    if not os.access(existing, os.W_OK):
        raise OSError(
            f"Cannot write into {folder}: {existing} is not writable; choose another."
        )


def put_back(aside: pathlib.Path, path: pathlib.Path) -> None:
    """Moves a folder that was moved aside back to its place, unless there is a new one."""
    if aside.exists() and not path.exists():
        aside.rename(path)


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a path with ~ expanded; the shell does not expand it in quotes or after =.

    Raises:
        UserError: one sentence, if the path is remote, or there is no such user.
    """
    if "://" in os.fspath(path):
        raise UserError(f"{path} is remote; expected a path on this machine.")
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no such user; expected ~/ or a full path.") from None


@contextlib.contextmanager
def replacing(path: os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path, and renames it to `path` once written: a reader never sees half.

    Raises:
        OSError: one sentence that names `path` and why it cannot be written.
    """
    target = expanded(path)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")  # Keeps the suffix.
    try:
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())  # Otherwise a power cut can leave an empty file.
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
    """Compares the files in `folder` with SHA256SUMS, if it exists.

    Raises:
        OSError: one sentence that names the first missing or damaged file.
    """
    checksums = folder / CHECKSUMS
    if not checksums.exists():
        return
    advice = f"delete the folder {folder} and load the data set again."
    text = checksums.read_bytes().decode(errors="replace")
    if not re.fullmatch(r"([0-9a-f]{64}  [^/\n]+\n)+", text):
        raise OSError(f"{checksums} is damaged (it should hold only checksums); {advice}")
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
    """Returns the system's reason if `error` or a cause of it is a failure to write in `folder`."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror and _is_about(error, folder):
            return error.strerror
        path, _, reason = str(error).rpartition("; ")  # TensorFlow: "PATH; No space left on device"
        if error.__cause__ is None and os.fspath(folder) in path:
            return reason.partition(" [while running ")[0]  # Beam adds this and a traceback.
        error = error.__cause__
    return None


def _is_about(error: OSError, folder: pathlib.Path) -> bool:
    """Returns whether an error may come from writing in a folder, not from a missing program."""
    if isinstance(error, (ConnectionError, TimeoutError)):
        return False
    if not isinstance(error.filename, str):
        return True
    file = pathlib.Path(error.filename)
    return file.is_relative_to(folder) or folder.is_relative_to(file)
