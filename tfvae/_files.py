"""Writing so that a crash at any moment leaves the old file or the new one, never half of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write to a temporary name (with the same suffix), then put it in place."""
    temporary = path.with_name(f".partial-{path.name}")
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
