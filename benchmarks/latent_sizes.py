"""Look for sizes that are slower than their neighbours: ``python -m benchmarks.latent_sizes``.

Time per element of the kernels by themselves, on one thread, float32, for latent sizes from 1 to 5000 at about as many
elements each; beside it the ratio to the faster one of the neighbouring sizes. Rows that do not fill a vector, or fill
a unit of work badly, would show as a cliff.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _machine, _report, _timing

SIZES = (*range(1, 36), 47, 48, 49, 63, 64, 65, 99, 100, 101, 127, 128, 129, 255, 256, 257, 511, 512, 513,
         999, 1000, 1001, 1023, 1024, 1025, 1365, 1366, 2047, 2048, 2049, 4095, 4096, 4097, 5000)  # fmt: skip
ELEMENTS = 2**16  # A quarter of a megabyte per array: the second-level cache.
EFFORT = _timing.Effort(seconds=10.0, rounds=31)
BAR = 1.5
COLUMNS = (
    *_machine.COLUMNS, "pass", "latent", "rows", "dtype", "samples", "median_us", "ns_per_element", "over_neighbour"
)  # fmt: skip
_HEADINGS = {"latent": "latent", "rows": "rows", "ns_per_element": "ns/element", "over_neighbour": "/ neighbour"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark with command-line ``arguments``; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latent_sizes", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="LATENT", help="default: 1 to 5000")
    parser.add_argument(
        "--output", type=Path, default=_report.RESULTS / "latent_sizes.csv", help="CSV file to append to"
    )
    options = parser.parse_args(arguments)
    try:
        _report.check_header(options.output, COLUMNS)
    except ValueError as error:
        print(f"benchmarks.latent_sizes: {error}", file=sys.stderr)
        return 2
    if _machine.kernels() is None:
        print("benchmarks.latent_sizes needs the module of compiled kernels, which was not built.", file=sys.stderr)
        return 2
    machine = {**_machine.describe(), "threads": 1}
    for which in ("forward", "backward"):
        rows = measure(which, options.sizes)
        print(f"{which}\n{_report.table(rows, _HEADINGS)}")
        worst = max(rows, key=lambda row: row["over_neighbour"] or 0)
        print(f"  worst: {worst['latent']}, {worst['over_neighbour'] or 1:.2f} times its neighbour (bar: {BAR})\n")
        _report.append_csv(options.output, COLUMNS, [{**machine, **row} for row in rows])
    print(f"Wrote {options.output}")
    return 0


def measure(which: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return one row per latent size, all timed in interleaved rounds."""
    calls = {latent: _call(which, latent) for latent in sizes}
    timings = {latent: _timing.summarize(samples) for latent, samples in _timing.measure(calls, EFFORT).items()}
    per_element = {latent: 1e9 * timing.median / _elements(latent) for latent, timing in timings.items()}
    rows = []
    for latent, timing in timings.items():
        neighbours = [per_element[other] for other in (latent - 1, latent + 1) if other in per_element]
        row: dict[str, Any] = {"pass": which, "latent": latent, "rows": _elements(latent) // latent, "dtype": "float32"}
        row |= {"samples": timing.samples, "median_us": 1e6 * timing.median, "ns_per_element": per_element[latent]}
        row["over_neighbour"] = per_element[latent] / min(neighbours) if neighbours else None
        rows.append(row)
    return rows


def _elements(latent: int) -> int:
    return max(1, ELEMENTS // latent) * latent


def _call(which: str, latent: int) -> _timing.Call:
    module: Any = _machine.kernels()
    shape = (_elements(latent) // latent, latent)
    random = np.random.default_rng(2013)
    mean, log_var, dz = (random.standard_normal(shape, dtype=np.float32) for _ in range(3))
    dkl = np.ones(shape[0], np.float32)
    if which == "forward":
        return functools.partial(module.reparameterize_kl, mean, log_var, seed=(1, 2))
    return functools.partial(module.reparameterize_kl_grad, mean, log_var, seed=(1, 2), dz=dz, dkl=dkl)


if __name__ == "__main__":
    sys.exit(main())
