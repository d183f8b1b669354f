"""A GPU through its driver alone: memory, events, and the compiled kernels, for machines without TensorFlow."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import _machine

TYPESTRS = {
    "float16": "<f2",
    "bfloat16": "<V2",
    "float32": "<f4",
    "float64": "<f8",
    "int32": "<i4",
    "int64": "<i8",
}


class NoGpu(Exception):
    """Why there is no GPU to run on."""


def kernels() -> Any:
    """Return the compiled module.

    Raises:
        NoGpu: if there is none, or none with CUDA kernels.
    """
    module = _machine.kernels()
    if module is None:
        raise NoGpu(f"there is no compiled module tfvae_kernels in {_machine.LIBRARY_FOLDER} or on sys.path")
    if not hasattr(module, "cuda"):
        raise NoGpu("the compiled module was built without a CUDA compiler")
    return module


@functools.cache
def driver() -> Driver:
    """Return the driver's first device, current in this thread.

    Raises:
        NoGpu: if there is no driver or no device.
    """
    return Driver()


class Driver:
    """The few calls of the CUDA driver that tests and benchmarks need."""

    def __init__(self) -> None:
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise NoGpu("there is no NVIDIA driver (libcuda.so.1)") from None
        context, device, count = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
        try:
            self.call("cuInit", 0)
            self.call("cuDeviceGetCount", ctypes.byref(count))
        except RuntimeError as error:
            raise NoGpu(f"the NVIDIA driver finds no device ({error})") from None
        if count.value == 0:
            raise NoGpu("the NVIDIA driver finds no device")
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        name = ctypes.create_string_buffer(100)
        self.call("cuDeviceGetName", name, 100, device)
        self.name = name.value.decode()

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function of the driver; raise RuntimeError where it fails."""
        code = getattr(self._cuda, function)(*arguments)
        if code != 0:
            raise RuntimeError(f"{function} failed with CUDA error {code}")

    def synchronize(self) -> None:
        """Wait for all work."""
        self.call("cuCtxSynchronize")

    def free_bytes(self) -> int:
        """Return the free memory of the device."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def seconds(self, call: Callable[[], object]) -> float:
        """Return the device's time between events before and after ``call`` on the default stream."""
        events = ctypes.c_void_p(), ctypes.c_void_p()
        milliseconds = ctypes.c_float()
        for event in events:
            self.call("cuEventCreate", ctypes.byref(event), 0)
        self.call("cuEventRecord", events[0], None)
        call()
        self.call("cuEventRecord", events[1], None)
        self.call("cuEventSynchronize", events[1])
        self.call("cuEventElapsedTime", ctypes.byref(milliseconds), *events)
        for event in events:
            self.call("cuEventDestroy_v2", event)
        return milliseconds.value / 1000


class DeviceArray:
    """Memory of the device with ``__cuda_array_interface__``; full of 0xff, which are NaNs, at first."""

    def __init__(self, shape: Sequence[int], dtype: str, offset: int = 0) -> None:
        """Allocate. offset: elements by which the data lie behind a 256-byte boundary."""
        self.shape, self.dtype = tuple(shape), dtype
        self.itemsize = int(TYPESTRS[dtype][2:])
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * self.itemsize
        self._base = ctypes.c_uint64()
        padded = max(1, self.nbytes + offset * self.itemsize)
        driver().call("cuMemAlloc_v2", ctypes.byref(self._base), ctypes.c_size_t(padded))
        driver().call("cuMemsetD8_v2", self._base, ctypes.c_ubyte(0xFF), ctypes.c_size_t(padded))
        driver().synchronize()  # Streams of others do not wait for the default one.
        self.address = self._base.value + offset * self.itemsize
        self.__cuda_array_interface__ = {
            "shape": self.shape,
            "typestr": TYPESTRS[dtype],
            "data": (self.address, False),
            "version": 3,
        }

    @classmethod
    def of(cls, array: np.ndarray, dtype: str = "", offset: int = 0) -> DeviceArray:
        """Return a copy of ``array`` on the device. dtype: of the bits, where NumPy does not know it."""
        made = cls(array.shape, dtype or str(array.dtype), offset)
        bits = np.ascontiguousarray(array)
        if made.nbytes:
            source = bits.ctypes.data_as(ctypes.c_void_p)
            driver().call("cuMemcpyHtoD_v2", ctypes.c_uint64(made.address), source, ctypes.c_size_t(made.nbytes))
        return made

    def bits(self, first: int = 0, count: int | None = None) -> np.ndarray:
        """Return the elements from ``first`` on as unsigned integers of their size, once all work is done."""
        size = self.nbytes // self.itemsize - first if count is None else count
        result = np.empty(size, f"u{self.itemsize}")
        driver().synchronize()
        if size:
            address = ctypes.c_uint64(self.address + first * self.itemsize)
            target = result.ctypes.data_as(ctypes.c_void_p)
            driver().call("cuMemcpyDtoH_v2", target, address, ctypes.c_size_t(result.nbytes))
        return result.reshape(self.shape) if count is None and first == 0 else result

    def numpy(self) -> np.ndarray:
        """Return the values, those of bfloat16 as float32."""
        return values_of_bits(self.bits(), self.dtype)

    def __del__(self) -> None:
        if self._base.value and sys is not None and not sys.is_finalizing():
            driver().call("cuMemFree_v2", self._base)


def values_of_bits(bits: np.ndarray, dtype: str) -> np.ndarray:
    """Return the values that bit patterns stand for, those of bfloat16 as float32."""
    if dtype == "bfloat16":
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.view(dtype)


def bits_of_values(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return float values rounded to ``dtype`` as what NumPy can hold of it: bfloat16 as uint16."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
