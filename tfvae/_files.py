"""Writing so that a crash at any moment leaves the old file or the new one, never half of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write to a temporary name (with the same suffix), then put it in place, behind symbolic links."""
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".partial-{path.name}")
    with _only_writer(temporary):
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextlib.contextmanager
def _only_writer(temporary: Path) -> Iterator[None]:
    """Hold the file of this name, once no other process or thread does; the system lets go of those that die."""
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
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
