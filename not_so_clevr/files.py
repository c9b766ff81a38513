"""Files and folders that stay whole if a process dies, locks, and checksums."""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import errno
import hashlib
import os
import pathlib
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import filelock

from not_so_clevr.checks import UserError

CHECKSUMS = "SHA256SUMS"
_TAIL = 50  # Characters of a name that its temporary file has, too
REMOTE = ("gs://", "s3://", "az://", "hf://")  # What TFDS can open besides local folders
REPLACED = ".replaced"  # Suffix of a folder that another one has replaced


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
        aside = _aside(folder)
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
        yield


def swap(new: pathlib.Path, folder: pathlib.Path) -> None:
    """Moves `new` to `folder`, and deletes what it replaces. Needs the lock of `folder`.

    Linux exchanges two folders in one step, so readers and kills find the old one or the new one.
    Elsewhere `folder` is missing for a moment; `locked` puts the old one back after a kill.
    """
    aside = _aside(folder)
    if not folder.exists():
        new.rename(folder)
    elif _exchange(new, folder):
        new.rename(aside)
    else:
        folder.rename(aside)
        new.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: pathlib.Path) -> pathlib.Path:
    return folder.with_name(folder.name + REPLACED)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Exchanges two folders in one step; returns False if the system or file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):  # Not Linux
        return False
    at_cwd, rename_exchange = -100, 2
    return renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), rename_exchange) == 0


@contextlib.contextmanager
def exclusive(folder: os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Locks the folder of a data set, and yields the path to write it to; `swap` it in then.

    Removes what killed processes left. A remote file system (`gs://...`) has no locks; there the
    path is `folder` itself.

    Raises:
        OSError: one sentence that names the folder, and why it cannot be written.
    """
    if "://" in os.fspath(folder):
        yield folder  # type: ignore[misc]  # A path of TFDS
        return

    path = pathlib.Path(folder)
    new = path.with_name(f".{path.name}.new")
    try:
        with locked(path):
            for left_over in (new, *path.parent.glob(f"incomplete.*{path.name}*")):  # Of TFDS
                shutil.rmtree(left_over, ignore_errors=True)
            yield new
    except Exception as error:
        reason = _why_not_written(error, path.parent)
        if reason is None:
            raise
        raise OSError(
            f"Cannot write the data set to {path}: {reason}. Make room or get access there, "
            "or choose another folder with --data-dir (in Python data_dir=) "
            "or the environment variable TFDS_DATA_DIR."
        ) from error


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary folder, and moves it to `path` once it is complete.

    Raises:
        UserError: one sentence, if there is something at `path`.
        OSError: one sentence that names `path`, and why it cannot be written.
    """
    target = expanded(path)
    if os.path.lexists(target):
        raise UserError(f"{target} already exists; give the name of a new folder.")
    try:
        if not target.parent.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{target.name[-_TAIL:]}."
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as private:
            new = pathlib.Path(private, "new")  # Others may read it, unlike the one around it.
            new.mkdir()
            yield new
            for file in new.iterdir():
                with file.open("r+b") as stream:
                    os.fsync(stream.fileno())  # As in `replacing`
            new.rename(target)
    except OSError as error:
        raise OSError(f"Cannot write {target}: {error.strerror or error}.") from error


def check_folder(folder: pathlib.Path) -> None:
    """Raises OSError, one sentence, unless `folder` can be written, or made if it is missing."""
    parents = (folder.absolute(), *folder.absolute().parents)
    existing = next(each for each in parents if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        reason = "is not writable" if existing.is_dir() else "is not a folder"
        raise OSError(f"Cannot write into {folder}: {existing} {reason}; choose another folder.")


def check_replaceable(file: pathlib.Path) -> None:
    """Raises OSError, one sentence, unless `file` can be written, or replaced if it is there."""
    if file.exists() and not os.access(file, os.W_OK):  # Its folder alone would let us replace it.
        raise OSError(f"Cannot write {file}: it is read-only; give another name.")
    check_folder(file.parent)


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a path with ~ replaced, which the shell leaves in place in quotes or after =.

    Raises:
        UserError: one sentence, if the path is none, empty or remote, or there is no such user.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"{path!r} is a {type(path).__name__}; expected a path, as str or Path.")
    if not os.fspath(path):
        raise UserError(
            "The path is empty; expected a file or a folder, e.g. . for the current one."
        )
    if "\0" in os.fspath(path):
        raise UserError(
            f"{path!r} has a null character, which no file or folder may have; omit it."
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
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path, and moves that file to `path` once it is complete.

    Raises:
        OSError: one sentence that names `path`, and why it cannot be written.
    """
    target = expanded(path)
    # The suffix may set the format; all of a long name would leave no room for more.
    temporary = target.with_name(f".{os.getpid()}.{target.name[-_TAIL:]}")
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


@contextlib.contextmanager
def opened(file: os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file of others to read it; anything but a regular file could be endless.

    Raises:
        OSError: if it cannot be opened, or is a pipe or a device.
    """
    if "://" in os.fspath(file):
        with file.open("rb") as stream:  # type: ignore[attr-defined]  # A path of TFDS
            yield stream
        return
    with open(file, "rb", opener=_open) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(file))
        yield stream


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # A pipe would wait for a writer.


def read(file: os.PathLike[str], most: int = 2**30) -> bytes:
    """Returns the bytes of a file of others. Raises OSError as `opened`, or beyond `most` bytes."""
    with opened(file) as stream:
        if "://" not in os.fspath(file) and os.fstat(stream.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"more than {most:,} bytes", os.fspath(file))
        return stream.read()


def read_text(file: os.PathLike[str]) -> str:
    """Returns a text file of a user, decoded as its byte-order mark says, or else as UTF-8.

    Raises:
        OSError: as `read`.
        UnicodeError: if it is in another encoding.
    """
    data = read(file)
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Windows writes them, and that of UTF-8.
    return data.decode("utf-16" if data.startswith(marks) else "utf-8-sig")


def write_checksums(folder: pathlib.Path) -> None:
    """Writes the SHA-256 of every file in `folder` to SHA256SUMS, in the format of `sha256sum`."""
    lines = [f"{sha256(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("".join(lines))


def verify_checksums(folder: pathlib.Path) -> None:
    """Compares the files in `folder` with SHA256SUMS there, if it exists.

    Raises:
        OSError: one sentence that names the first file that is missing or has changed.
    """
    checksums = folder / CHECKSUMS
    if not checksums.exists():
        return
    text = read(checksums, 2**26).decode(errors="replace")
    if not re.fullmatch(r"([0-9a-f]{64}  [^/\n]+\n)+", text):
        raise damaged(checksums, "it does not hold checksums")
    for line in text.splitlines():
        expected, name = line.split("  ", 1)
        file = folder / name
        found = sha256(file) if file.exists() else "no such file"
        if found != expected:
            raise damaged(file, f"SHA-256 {found}, expected {expected}")


def damaged(file: pathlib.Path, reason: str) -> OSError:
    """Returns the error for a damaged file of a data set."""
    advice = f"delete the folder {file.parent} and load the data set again."
    return OSError(f"{file} is damaged ({reason}); {advice}")


def sha256(file: pathlib.Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal. Raises OSError as `opened`."""
    digest = hashlib.sha256()
    with opened(file) as stream:
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
