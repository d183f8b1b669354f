"""Counts the instructions of a program by taking it through them one by one, for processors that valgrind cannot be.

Linux does so for a debugger: ``ptrace``, some ten thousand instructions per second.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence

_TRACE_ME, _CONTINUE, _SINGLE_STEP, _DETACH = 0, 7, 9, 17  # linux/ptrace.h
_MARK = signal.SIGURG  # Ignored where nobody traces.

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class NotSteppedError(Exception):
    """Why a program could not be taken from mark to mark."""


def between_marks(command: Sequence[str], first: int) -> tuple[int, str]:
    """Return the instructions that ``command`` runs from one mark to the next, and what it prints.

    A mark is the signal ``SIGURG``, which the program raises; ``first`` is the number of the one to count from, from 0.

    Raises:
        NotSteppedError: if the system lets no program be traced, or this one ends before the second mark.
    """
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_trace_me
        )
    except subprocess.SubprocessError as error:
        raise NotSteppedError("the system does not let programs be traced (ptrace).") from error
    with process:
        try:
            _stop_of(process)
            for _ in range(first + 1):
                while _resume(process, _CONTINUE) != _MARK:
                    pass
            count = 1
            while _resume(process, _SINGLE_STEP) != _MARK:
                count += 1
            _ptrace(_DETACH, process.pid)
            output, _ = process.communicate()
        finally:
            process.kill()
    return count, output


def _trace_me() -> None:
    _ptrace(_TRACE_ME, 0)


def _resume(process: subprocess.Popen[str], how: int) -> int:
    _ptrace(how, process.pid)
    return _stop_of(process)


def _stop_of(process: subprocess.Popen[str]) -> int:
    """Wait for the process to stop; return the signal it was stopped by."""
    _, status = os.waitpid(process.pid, 0)
    if not os.WIFSTOPPED(status):
        said = process.stderr.read().strip() if process.stderr else ""
        raise NotSteppedError(said or "the program ended before its second mark.")
    return os.WSTOPSIG(status)


def _ptrace(request: int, pid: int) -> None:
    if _libc.ptrace(request, pid, None, None) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace: {os.strerror(error)}")
