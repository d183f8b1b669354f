"""NumPy's own files. Pickled objects are never read."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from tfvae.datasets._examples import Source, as_examples

_BROKEN = (
    ValueError,
    EOFError,
    KeyError,
    SyntaxError,
    zipfile.BadZipFile,
    zlib.error,
    OverflowError,
    RuntimeError,  # An encrypted archive; NotImplementedError, of an unknown compression, is one too.
    MemoryError,
)
_REMEDY = "Save it again with numpy.save or numpy.savez, as an array of numbers."


def read_npy(path: Path) -> Source:
    """Read one array."""
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except _BROKEN as error:
        raise _unreadable(path, ".npy", error) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} is an archive of arrays; expected a single array. Rename it to end in .npz.")
    return Source(str(path), as_examples(array, None, str(path)))


def read_npz(path: Path) -> Source:
    """Read ``x_train``, ``x_test``, ``y_train``, ``y_test``; or ``x``, ``y``; or the only array."""
    arrays = _read_archive(path)
    keys = set(arrays)
    if "x_train" in keys and keys <= {"x_train", "x_test", "y_train", "y_test"}:
        name, labels = "x_train", arrays.get("y_train")
    elif "x" in keys and keys <= {"x", "y"}:
        name, labels = "x", arrays.get("y")
    elif len(keys) == 1:
        name, labels = next(iter(keys)), None
    else:
        raise ValueError(
            f"{path} holds the arrays {', '.join(sorted(keys)) or '(none)'}; expected x_train, x_test, y_train, y_test "
            "(only x_train is needed), or x and y, or a single array. Save it again under those names."
        )
    if "y_test" in keys and "x_test" not in keys:
        raise ValueError(f"{path} holds y_test without x_test. Add x_test, or leave y_test out.")
    examples = as_examples(arrays[name], labels, f"{name} of {path}")
    if "x_test" not in keys:
        return Source(str(path), examples)
    train, test = arrays["x_train"].dtype, arrays["x_test"].dtype
    if (train == np.uint8) != (test == np.uint8):
        raise ValueError(
            f"In {path} x_train has dtype {train} and x_test {test}, and bytes (uint8) alone are divided by 255. Save "
            "both in one of the two."
        )
    return Source(str(path), examples, as_examples(arrays["x_test"], arrays.get("y_test"), f"x_test of {path}"))


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is a single array, whose name should end in .npy")
            return {key: _as_array(archive[key], key) for key in archive.files}
    except _BROKEN as error:
        raise _unreadable(path, ".npz", error) from error


def _as_array(member: object, name: str) -> np.ndarray:
    if not isinstance(member, np.ndarray):  # NumPy gives the bytes of files that do not begin as arrays do.
        raise ValueError(f"its member {name} is no array")
    return member


def _unreadable(path: Path, suffix: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    if "allow_pickle" in reason:
        # NumPy takes every file without its own mark for a pickle, and tells how to have that read.
        reason = "it is no NumPy file, or holds Python objects, which are never read"
    return ValueError(f"{path} is not a readable {suffix} file ({reason}). {_REMEDY}")
