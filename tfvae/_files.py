"""Writing so that a crash at any moment leaves the old file or the new one, never half of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write to a temporary name (with the same suffix), then put it in place, behind symbolic links."""
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".partial-{path.name}")
    with _only_writer(temporary, _opened_file):
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(path)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextlib.contextmanager
def staging_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to one process or thread at a time, empty at first and gone afterwards."""
    temporary = path.with_name(f".partial-{path.name}")
    with _only_writer(temporary, _opened_folder):
        try:
            for left in temporary.iterdir():  # By one that was killed.
                shutil.rmtree(left)
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _opened_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _opened_folder(path: Path) -> int:
    while True:
        path.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # Another has just removed it.
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@contextlib.contextmanager
def _only_writer(temporary: Path, opened: Callable[[Path], int]) -> Iterator[None]:
    """Hold what has this name, once no other process or thread does; the system lets go of those that die."""
    while True:
        descriptor = opened(temporary)
        try:
            with contextlib.suppress(OSError):  # Some network file systems have no locks.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_of(descriptor, temporary):  # The one before may have put it in place meanwhile.
                yield
                return
        finally:
            os.close(descriptor)


def _is_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
