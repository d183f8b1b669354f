"""What is measured: shapes, dtypes, passes and the data they run on."""

from __future__ import annotations

import argparse
import ctypes
import math
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DTYPES = ("float32", "bfloat16", "float16", "float64")
PASSES = ("forward", "backward", "both")
ALIGNMENT = 64

_libc = ctypes.CDLL(None)


class Unavailable(Exception):
    """Why a rival cannot be measured here."""


@dataclass(frozen=True)
class Case:
    """One shape ``[rows, latent]`` in one dtype."""

    rows: int
    latent: int
    dtype: str

    @property
    def shape(self) -> str:
        """The shape as on the command line, ``128x10``."""
        return f"{self.rows}x{self.latent}"

    @property
    def z_shape(self) -> tuple[int, ...]:
        """The shape of ``z``."""
        return self.rows, self.latent

    @property
    def elements(self) -> int:
        """The number of elements of ``z``."""
        return math.prod(self.z_shape)

    def bytes_moved(self, which: str) -> int:
        """Return the bytes a pass has to move at the least.

        Forward reads ``mean`` and ``log_var`` and writes ``z`` and ``kl``; backward reads ``mean``, ``log_var``, ``dz``
        and ``dkl`` and writes ``dmean`` and ``dlog_var``.
        """
        if which == "both":
            return self.bytes_moved("forward") + self.bytes_moved("backward")
        arrays = {"forward": 3, "backward": 5}[which]
        return arrays * self.elements * numpy_dtype(self.dtype).itemsize + self.rows * (
            8 if self.dtype == "float64" else 4
        )


@dataclass(frozen=True)
class DrawsCase(Case):
    """``samples`` draws for each of the rows: ``z`` is ``[samples, rows, latent]``, and so begins the shape's name."""

    samples: int = 50

    @property
    def shape(self) -> str:
        """The shape of ``z``, as ``50x128x32``."""
        return f"{self.samples}x{super().shape}"

    @property
    def z_shape(self) -> tuple[int, ...]:
        """The shape of ``z``."""
        return self.samples, self.rows, self.latent

    def bytes_moved(self, which: str) -> int:
        """Return the bytes a pass has to move at the least, the parameters once for all draws.

        Forward reads ``mean`` and ``log_var`` and writes ``z`` and ``log_ratio``; backward reads ``mean``, ``log_var``,
        ``dz`` and ``dlog_ratio`` and writes ``dmean`` and ``dlog_var``.
        """
        if which == "both":
            return self.bytes_moved("forward") + self.bytes_moved("backward")
        parameters = {"forward": 2, "backward": 4}[which] * self.rows * self.latent
        ratios = self.samples * self.rows * (8 if self.dtype == "float64" else 4)
        return (parameters + self.elements) * numpy_dtype(self.dtype).itemsize + ratios


@dataclass(frozen=True)
class Inputs:
    """The arrays of one case, the same for every rival; ``memo`` holds what rivals share.

    ``mean`` and ``log_var`` are ``[rows, latent]``, ``dz`` has the shape of ``z``, ``dkl`` that without its last axis.
    """

    case: Case
    mean: np.ndarray
    log_var: np.ndarray
    dz: np.ndarray
    dkl: np.ndarray
    memo: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return ``make()``, or what an earlier call for ``key`` returned."""
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]


def make_inputs(case: Case) -> Inputs:
    """Return random inputs of a trained VAE's size: means of order 1, variances around 1, ``dkl`` from 1/2 to 1."""
    random = np.random.default_rng(2013)

    def normal(scale: float, shape: tuple[int, ...]) -> np.ndarray:
        array = aligned(shape, case.dtype)
        array[...] = scale * random.standard_normal(shape, dtype=np.float32)
        return array

    parameters = (case.rows, case.latent)
    dkl = random.uniform(0.5, 1.0, size=case.z_shape[:-1])
    return Inputs(case, normal(1.0, parameters), normal(0.3, parameters), normal(1.0, case.z_shape), dkl)


def numpy_dtype(name: str) -> np.dtype:
    """Return the NumPy dtype of that name, bfloat16 included."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def allocate(size: int) -> int:
    """Return the address of ``size`` new bytes, allocated as TensorFlow allocates a tensor; ``release`` frees them."""
    pointer = ctypes.c_void_p()
    if _libc.posix_memalign(ctypes.byref(pointer), ctypes.c_size_t(ALIGNMENT), ctypes.c_size_t(max(size, ALIGNMENT))):
        raise MemoryError(f"{size} bytes could not be allocated.")
    assert pointer.value is not None
    return pointer.value


def release(address: int) -> None:
    """Free what ``allocate`` returned."""
    _libc.free(ctypes.c_void_p(address))


def view(address: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return an array over memory from ``allocate``, which has to outlive it."""
    scalar = numpy_dtype(dtype)
    buffer: Any = (ctypes.c_char * (int(np.prod(shape)) * scalar.itemsize)).from_address(address)
    return np.frombuffer(buffer, scalar).reshape(shape)


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return a new array that begins on a cache line, of pages like a tensor's, freed with the array."""
    address = allocate(int(np.prod(shape)) * numpy_dtype(dtype).itemsize)
    array = view(address, shape, dtype)
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    weakref.finalize(base.obj if isinstance(base, memoryview) else base, release, address).atexit = False
    return array


def parse_shape(text: str) -> tuple[int, int]:
    """Return ``(128, 10)`` for ``128x10``; for argparse."""
    rows, separator, latent = text.partition("x")
    if not separator or not rows.isdecimal() or not latent.isdecimal() or int(rows) * int(latent) == 0:
        raise argparse.ArgumentTypeError(f"a shape is written ROWSxLATENT, as 128x10, not {text!r}")
    return int(rows), int(latent)
