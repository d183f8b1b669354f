"""Find the compiled op library, check that it fits this TensorFlow, load it once, and tell about it."""

from __future__ import annotations

import functools
import importlib
import json
import logging
import platform
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfvae import _config
from tfvae._version import __version__

LIBRARY_NAME = "libtfvae_ops.so"
XLA_LIBRARY_NAME = "libtfvae_xla.so"
REMEDY = "Rebuild with `pip install --force-reinstall --no-deps .` in the source folder."
_FOLDER = Path(__file__).resolve().parent / "_lib"
_OP_NAME = "TfvaeReparameterizeKl"
# Of 64-bit little-endian ELF: the program header table's offset, entry size and count; a segment's offset and size.
_ELF_HEADER = struct.Struct("<32sQ14xHH6x")
_ELF_SEGMENT = struct.Struct("<8xQ16xQ16x")

_logger = logging.getLogger("tfvae")
_lock = threading.Lock()


class _Unusable(Exception):
    """Why the library cannot be used, in one sentence with its remedy."""


def load() -> Any | None:
    """Return the module of compiled ops, loading it on the first call, or None where it is not usable."""
    with _lock:
        return _outcome()[0]


def problem() -> str | None:
    """Return why the compiled ops are not usable, or None if they are."""
    with _lock:
        return _outcome()[1]


def problem_inside_xla() -> str | None:
    """Return why the compiled ops are not usable in functions that XLA compiles here, or None if they are."""
    with _lock:
        found = _outcome()[1] or _xla_outcome()
    if found is not None:
        return found
    without = sorted({device.device_type for device in tf.config.get_visible_devices()} - _xla_devices())
    if not without:
        return None
    return (
        f"they have no kernels for XLA on {' and '.join(without)}, where it may place them. "
        f'Hide those devices by tf.config.set_visible_devices([], "{without[0]}") to have them on the CPU.'
    )


@functools.cache
def announce_fallback(problem: str, inside_xla: bool = False) -> None:
    """Say, once per process and in one line, that and why the reference is used."""
    where = ", inside XLA" if inside_xla else ""
    _logger.warning(
        "tfvae runs on stock TensorFlow ops, several times slower than its own kernel%s: %s", where, problem
    )


def metadata() -> dict[str, Any] | None:
    """Return what the library was built from (the JSON beside it), or None where nothing was built."""
    try:
        return _read_metadata()
    except _Unusable:
        return None


@functools.cache
def _outcome() -> tuple[Any | None, str | None]:
    try:
        ops = _load_checked()
    except _Unusable as error:
        return None, str(error)
    _xla_outcome()  # Always with the ops: a function that holds them may be compiled by XLA long after it was traced.
    return ops, None


@functools.cache
def _xla_outcome() -> str | None:
    try:
        _load_xla()
    except _Unusable as error:
        return str(error)
    return None


def _load_checked() -> Any:
    path = _FOLDER / LIBRARY_NAME
    built = _read_metadata()
    if built.get("tfvae") != __version__:
        raise _Unusable(f"{path} was built for tfvae {built.get('tfvae')} and this is tfvae {__version__}. {REMEDY}")
    if built["tensorflow"] != tf.__version__:
        raise _Unusable(
            f"{path} was built against TensorFlow {built['tensorflow']} and this is TensorFlow {tf.__version__}. "
            f"{REMEDY} Or install that one, with `pip install tensorflow=={built['tensorflow']}`."
        )
    _expect_file(path)
    _check_isa()
    _refuse_second_copy(path)
    return _open(path, built, tf.load_op_library)


def _load_xla() -> None:
    """Load the kernels that the ops have inside XLA."""
    path = _FOLDER / XLA_LIBRARY_NAME
    built = _read_metadata()
    if not built.get("xla"):
        raise _Unusable(f"this installation was compiled without XLA: {path} is not part of it. {REMEDY}")
    _expect_file(path)
    _open(path, built, tf.load_library)


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise _Unusable(f"the compiled library {path} is missing. {REMEDY}")


def _open(path: Path, built: dict[str, Any], load_library: Callable[[str], Any]) -> Any:
    try:
        if _is_truncated(path):
            raise OSError("the file is shorter than its own headers say")
        return load_library(str(path))
    except (tf.errors.OpError, OSError) as error:
        reason = " ".join(str(error).split())
        raise _Unusable(
            f"{path}, built against TensorFlow {built['tensorflow']}, does not load under TensorFlow {tf.__version__} "
            f"({reason}). {REMEDY}"
        ) from error


def _read_metadata() -> dict[str, Any]:
    path = _FOLDER / "build.json"
    try:
        built = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _Unusable(
            f"this installation for TensorFlow {tf.__version__} has no compiled library in {_FOLDER}. "
            "Install g++ 11 or newer (or clang 14) and run `pip install --force-reinstall --no-deps .` "
            "in the source folder."
        ) from None
    except (OSError, ValueError) as error:
        raise _Unusable(f"{path} cannot be read ({error}). {REMEDY}") from None
    if not isinstance(built, dict) or not isinstance(built.get("tensorflow"), str):
        raise _Unusable(f"{path} does not say which TensorFlow the library was built against. {REMEDY}")
    return built


def _is_truncated(path: Path) -> bool:
    """Whether an ELF file ends before its segments do; mapping such a file ends the process with SIGBUS."""
    with path.open("rb") as file:
        header = file.read(_ELF_HEADER.size)
        if len(header) < _ELF_HEADER.size or not header.startswith(b"\x7fELF"):
            return False  # The loader says so itself.
        _, table_offset, entry_size, entries = _ELF_HEADER.unpack(header)
        file.seek(table_offset)
        table = file.read(entry_size * entries)
        if entry_size != _ELF_SEGMENT.size or len(table) < entry_size * entries:
            return True
        return any(offset + size > path.stat().st_size for offset, size in _ELF_SEGMENT.iter_unpack(table))


def _refuse_second_copy(path: Path) -> None:
    """A second copy under another path loads silently and then breaks every call, so look before loading."""
    if not _is_registered(_OP_NAME):
        return
    mapped = _mapped_copies()
    if str(path) not in mapped:
        raise _Unusable(
            f"another copy of the compiled ops is already loaded from {', '.join(mapped) or 'an unknown path'}, "
            f"so {path} was not loaded. Keep one installation of tfvae on sys.path and start a new process."
        )


def instruction_set() -> str | None:
    """Return that of the kernels in use; None where there are none, or it cannot be found out."""
    with _lock:
        ops, _ = _outcome()
        return None if ops is None else _asked_isa() or next(iter(_instruction_sets()), None)


@functools.cache
def _asked_isa() -> str | None:
    """Return what ``TFVAE_ISA`` asked for when it was first looked at: the kernels, too, look once."""
    return _config.isa()


def _instruction_sets() -> list[str]:
    """Return those compiled in that this processor has, the best first; empty where that cannot be found out."""
    try:
        if any(_is_truncated(path) for path in _FOLDER.glob("tfvae_kernels*.so")):
            return []
        return list(importlib.import_module("tfvae._lib.tfvae_kernels").isas())
    except (ImportError, OSError):
        return []


def _check_isa() -> None:
    asked = _asked_isa()
    if asked is None:
        return
    usable = _instruction_sets()
    if usable and asked not in usable:
        raise _Unusable(
            f"the environment variable TFVAE_ISA is {asked!r} and must be one of {', '.join(usable)} on this machine. "
            "Correct it, or unset it to let tfvae choose."
        )


def _is_registered(op_name: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(op_name) is not None


def _xla_devices() -> set[str]:
    """The types of devices for which XLA has kernels of the compiled ops."""
    from tensorflow.python.framework import kernels

    types = {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(_OP_NAME).kernel}
    return {name.removeprefix("XLA_").removesuffix("_JIT") for name in types if name.startswith("XLA_")}


def _mapped_copies() -> list[str]:
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return sorted({line[line.index("/") :] for line in lines if line.endswith("/" + LIBRARY_NAME)})


def versions() -> dict[str, str]:
    """Return the versions of what runs: Python, TensorFlow, Keras, TFP and NumPy."""
    import keras
    import numpy as np
    import tensorflow_probability as tfp

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "tensorflow_probability": tfp.__version__,
        "numpy": np.__version__,
    }
