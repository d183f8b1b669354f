"""How the kernels scale with threads: ``python -m benchmarks.threads``.

Forward and backward by the compiled module alone, without TensorFlow, on 1, 2, 4 ... threads up to the processors that
this process may use; beside them ``stream`` and ``stream_around``, a loop that moves the same bytes with as many
threads, through the caches and by stores around them. ``speedup`` is the time of one thread over this one's;
``over_stream`` the time over that of the faster loop. Every call starts its threads, which costs some 20 us each, and
takes the memory that the call before it left, so that no call waits for new pages of memory.

The default shapes are a usual large one, and 10^8 elements as one row and as rows of one.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import _command, _machine, _report, _rivals_numpy, _timing
from benchmarks._cases import Case, Inputs, make_inputs, parse_shape

SHAPES = ((8192, 4096), (1, 10**8), (10**8, 1))
QUICK_SHAPES = ((32, 64),)
EFFORT = _timing.Effort(seconds=2.0, rounds=7)
PASSES = ("forward", "backward")
COLUMNS = (
    *_machine.COLUMNS, "pass", "rival", "shape", "dtype", "samples", "median_us", "lower_quartile_us",
    "upper_quartile_us", "ns_per_element_core", "gb_per_second", "speedup", "over_stream",
)  # fmt: skip
_HEADINGS = {
    "rival": "rival", "threads": "threads", "median_us": "median us", "ns_per_element_core": "ns/element x threads",
    "gb_per_second": "GB/s", "speedup": "speedup", "over_stream": "/ stream",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``; return the exit code."""
    parser = _command.parser("threads", __doc__)
    parser.add_argument("--shapes", nargs="+", type=parse_shape, metavar="ROWSxLATENT", help=f"default: {len(SHAPES)}")
    options = parser.parse_args(arguments)
    effort = _timing.QUICK if options.quick else EFFORT
    shapes = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    module = _machine.kernels()
    if module is None:
        print("benchmarks.threads needs the module of compiled kernels, which was not built.", file=sys.stderr)
        return 2
    keep_memory()

    def measure_all(write: _command.Write) -> None:
        for rows, latent in shapes:
            inputs = make_inputs(Case(rows, latent, "float32"))
            for which in PASSES:
                found = write(measure(module, inputs, which, effort))
                print(f"{which}  {inputs.case.shape}\n{_report.table(found, _HEADINGS)}\n", flush=True)

    return _command.run("threads", options, COLUMNS, measure_all)


def keep_memory() -> None:
    """Have the C library keep freed memory for later allocations instead of giving it back to the system."""
    libc, mmap_max, trim_threshold = ctypes.CDLL(None), -4, -1
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)


def counts_of_threads() -> list[int]:
    """Return 1, 2, 4 ... and the number of usable processors."""
    most = _machine.threads()
    return sorted({most, *(2**power for power in range(most.bit_length()))})


def measure(module: Any, inputs: Inputs, which: str, effort: _timing.Effort) -> list[dict[str, Any]]:
    """Return a row for every rival and number of threads, all timed in interleaved rounds."""
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for n in counts_of_threads():
        calls["native", n] = _native(module, inputs, which, n)
        for name, around_caches in (("stream", False), ("stream_around", True)):
            calls[name, n] = _rivals_numpy.build_stream(inputs, which, 1, around_caches, n)
    timings = {key: _timing.summarize(samples) for key, samples in _timing.measure(calls, effort).items()}
    size, elements, rows = inputs.case.bytes_moved(which), inputs.case.elements, []
    for (name, n), timing in timings.items():
        stream = min(timings["stream", n].median, timings["stream_around", n].median)
        row: dict[str, Any] = {"pass": which, "rival": name, "threads": n, "shape": inputs.case.shape}
        row |= {"dtype": inputs.case.dtype, "samples": timing.samples, "median_us": 1e6 * timing.median}
        row |= {"lower_quartile_us": 1e6 * timing.lower, "upper_quartile_us": 1e6 * timing.upper}
        row |= {"ns_per_element_core": 1e9 * timing.median * n / elements, "gb_per_second": 1e-9 * size / timing.median}
        row |= {"speedup": timings[name, 1].median / timing.median, "over_stream": timing.median / stream}
        rows.append(row)
    return sorted(rows, key=lambda row: row["rival"])


def _native(module: Any, inputs: Inputs, which: str, threads: int) -> Callable[[], object]:
    call = functools.partial(
        module.reparameterize_kl if which == "forward" else module.reparameterize_kl_grad,
        inputs.mean, inputs.log_var, seed=(1, 2), threads=threads,
    )  # fmt: skip
    if which == "forward":
        return call
    return functools.partial(call, dz=inputs.dz, dkl=inputs.dkl.astype(inputs.case.dtype))


if __name__ == "__main__":
    sys.exit(main())
