"""The entry point: parse, run, and show mistakes as one line."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfvae.cli._errors import UsageError, one_line
from tfvae.cli._parser import build
from tfvae.ops import _backend

MISTAKE = 2
INTERRUPTED = 130
# What a shell reports of a program that the signal SIGPIPE (13) ended: 128 + 13.
BROKEN_PIPE = 141
_PACKAGE = Path(__file__).parents[1]
_ABOUT_FILES = "Check the path, its permissions and free space."
# What TensorFlow, of files, calls exhausted resources too.
_NO_SPACE = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``tfvae``.

    Args:
        arguments: the words after ``tfvae``; those of the process if None.

    Returns:
        The exit code: 0; 2 for something the user can mend, told in one line on stderr; 130 after Ctrl-C; 141 where
        nobody reads the output any more, as after ``| head -1``.
    """
    with contextlib.suppress(AttributeError):  # Not all that stands for an output has it.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        with _short_warnings():
            return _run(arguments)
    except BrokenPipeError:
        _discard_unread_output()
        return BROKEN_PIPE


def _run(arguments: Sequence[str] | None) -> int:
    try:
        with _flushed_output():
            parsed = build().parse_args(arguments)
            _check_backend(computes=parsed.command != "info")
            code: int = parsed.function(parsed)
            return code
    except UsageError as error:
        return _complain(one_line(error, limit=2000))
    except BrokenPipeError:
        raise
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        full = next((words for words in _NO_SPACE if words in str(error)), None)
        if full is not None:
            return _complain(f"{full}. {_ABOUT_FILES}")
        return _complain(f"There is not enough memory ({one_line(error, 150)}). Take fewer data, or smaller sizes.")
    except OSError as error:
        if error.strerror is None:  # The package's own words.
            return _complain(one_line(error))
        name = error.filename2 or error.filename
        where = f" ({name})" if name else ""
        return _complain(f"{error.strerror}{where}. {_ABOUT_FILES}")
    except KeyboardInterrupt:
        print("\ntfvae: interrupted", file=sys.stderr)
        return INTERRUPTED


def _check_backend(computes: bool) -> None:
    """Refuse a backend that does not exist or, before anything is computed, that is not usable."""
    try:
        if _backend.asked() == "native" and computes:
            _backend.in_use()
    except (ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error


def _complain(message: str) -> int:
    print(f"tfvae: error: {message}", file=sys.stderr)
    return MISTAKE


@contextlib.contextmanager
def _short_warnings() -> Iterator[None]:
    """Show the package's own warnings in one line, without the source line they come from.

    Some of them are attributed to Keras, which calls the package back, but those are plain ``UserWarning``.
    """
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_short(
            message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
        ) -> None:
            if category is UserWarning or Path(filename).is_relative_to(_PACKAGE):
                print(f"tfvae: warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = show_short
        yield


@contextlib.contextmanager
def _flushed_output() -> Iterator[None]:
    """Notice here, not when the interpreter ends, that the output cannot be written."""
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


def _discard_unread_output() -> None:
    """Let what a broken pipe did not take go nowhere, or the interpreter would complain of it when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
