"""What the user can mend: shown as one line, without a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class UsageError(Exception):
    """Something the user gave cannot be used; the message says what, and how to mend it."""


@contextlib.contextmanager
def as_usage_errors() -> Iterator[None]:
    """Turn the errors by which the package refuses data and settings into ``UsageError``."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(one_line(error)) from error


def one_line(error: BaseException, limit: int = 600) -> str:
    """Return the error's message, or its type where it has none, on one line of at most ``limit`` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
