"""The measured ceiling: a loop that moves the bytes of a pass and does nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import _machine
from benchmarks._cases import Inputs, Unavailable, aligned, allocate, release, view
from benchmarks._timing import Call

_ARRAYS = {"forward": [(2, 1)], "backward": [(3, 2)], "both": [(2, 1), (3, 2)]}


def build_stream(inputs: Inputs, which: str, ops: int, around_caches: bool = False, threads: int | None = None) -> Call:
    """Return a call that reads and writes as many arrays as the pass does, with the same threads, in warm memory.

    Forward: two sources, one target; backward: three and two; ``kl`` and ``dkl``, one value per row, are left out. The
    loop starts its threads at every call, which costs some 20 us each: a ceiling for large shapes only.
    ``around_caches``: by stores that do not read a line of memory before they write it. ``threads``: by default as many
    as the other rivals have.
    """
    module, sources = _prepare(inputs, ops)
    targets = inputs.once("stream", lambda: [_zeros(inputs) for _ in range(2)])
    used = threads or _machine.threads()

    def run() -> None:
        for read, written in _ARRAYS[which]:
            module.stream(sources[:read], targets[:written], used, around_caches=around_caches)

    return run


def _zeros(inputs: Inputs) -> np.ndarray:
    array = aligned(inputs.mean.shape, inputs.case.dtype)
    array.fill(0)
    return array


def build_stream_fresh(inputs: Inputs, which: str, ops: int) -> Call:
    """Return the same with targets newly allocated at every call, as an op allocates its outputs, and freed after it.

    For large arrays the system hands out new zeroed pages every time; the difference to warm memory is their price.
    """
    module, sources = _prepare(inputs, ops)
    shape, dtype = inputs.mean.shape, inputs.case.dtype
    threads, size = _machine.threads(), inputs.mean.nbytes

    def run() -> None:
        for read, written in _ARRAYS[which]:
            addresses = [allocate(size) for _ in range(written)]
            module.stream(sources[:read], [view(address, shape, dtype) for address in addresses], threads)
            for address in addresses:
                release(address)

    return run


def _prepare(inputs: Inputs, ops: int) -> tuple[Any, Sequence[np.ndarray]]:
    module = _machine.kernels()
    if module is None:
        raise Unavailable("the module of compiled kernels was not built.")
    if ops > 1:
        raise Unavailable("the loop is measured by the call.")
    if inputs.mean.nbytes % 8:
        raise Unavailable("the loop moves whole 8-byte words.")
    return module, [inputs.mean, inputs.log_var, inputs.dz]
