"""Measure how much memory the passes of ``reparameterize_kl`` take beyond inputs: ``python -m benchmarks.peak_memory``.

The resident memory of the process at its highest during one call, less that before the call, beside the size of what
the call returns: a pass that needs nothing but its outputs has ratio 1. Passes and rivals are those of
``benchmarks.reparameterize_kl``; the gradient of a stock graph also keeps tensors of the forward pass, which ``both``
shows. Linux only, where ``/proc/self/clear_refs`` resets the highest.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import _machine, _report
from benchmarks._cases import PASSES, Case, Unavailable, make_inputs, parse_shape
from benchmarks._timing import Call

RIVALS = ("native", "reference", "stock", "tfp", "xla")
COLUMNS = (*_machine.COLUMNS, "pass", "rival", "shape", "dtype", "output_mb", "peak_extra_mb", "over_outputs")
_HEADINGS = {
    "rival": "rival",
    "output_mb": "outputs, MB",
    "peak_extra_mb": "peak extra, MB",
    "over_outputs": "ratio",
}
_MEGABYTE = 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark with command-line ``arguments``; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peak_memory", description=(__doc__ or "").split("\n")[0]
    )
    # Arrays of 64 MB: glibc maps and unmaps each by itself, so that what is freed leaves the process at once.
    parser.add_argument("--shape", type=parse_shape, default=(4096, 4096), help="default: 4096x4096")
    parser.add_argument("--rivals", nargs="+", choices=RIVALS, default=RIVALS, metavar="RIVAL", help="default: all")
    parser.add_argument(
        "--output", type=Path, default=_report.RESULTS / "peak_memory.csv", help="CSV file to append to"
    )
    options = parser.parse_args(arguments)
    try:
        _report.check_header(options.output, COLUMNS)
    except ValueError as error:
        print(f"benchmarks.peak_memory: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # See returns_memory.
    if not returns_memory():
        print("benchmarks.peak_memory: this process keeps freed memory: set TF_ENABLE_ONEDNN_OPTS=0.", file=sys.stderr)
        return 2
    machine, (size, latent) = _machine.describe(), options.shape
    case = Case(size, latent, "float32")
    for which in PASSES:
        rows = [{**machine, **row} for row in measure(case, which, options.rivals)]
        print(f"{which}  {case.shape}  {case.dtype}\n{_report.table(rows, _HEADINGS)}\n", flush=True)
        _report.append_csv(options.output, COLUMNS, rows)
    print(f"Wrote {options.output}")
    return 0


def measure(case: Case, which: str, rivals: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per rival."""
    from benchmarks.reparameterize_kl import BENCH

    builders, rows = BENCH.builders(), []
    for rival in rivals:
        try:
            call = builders[rival](make_inputs(case), which, 1)
        except Unavailable as reason:
            print(f"{rival} is not measured: {reason}\n")
            continue
        outputs, peak = peak_extra(call)
        row: dict[str, Any] = {"pass": which, "rival": rival, "shape": case.shape, "dtype": case.dtype}
        row |= {"output_mb": outputs / _MEGABYTE, "peak_extra_mb": peak / _MEGABYTE, "over_outputs": peak / outputs}
        rows.append(row)
        del call
        gc.collect()
    return rows


def peak_extra(call: Call) -> tuple[int, int]:
    """Return the bytes that ``call`` returns and those by which it raises the resident memory at its highest."""
    import tensorflow as tf

    call()  # Threads, traces and pools of the first call.
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    results = call()
    peak = _status("VmHWM") - before
    return sum(tensor.shape.num_elements() * tensor.dtype.size for tensor in tf.nest.flatten(results)), peak


def returns_memory() -> bool:
    """Return whether this process gives back what TensorFlow frees, or else its size tells nothing.

    With oneDNN, which TensorFlow takes on newer processors unless ``TF_ENABLE_ONEDNN_OPTS=0`` is set before it starts,
    an allocator of its own keeps the memory.
    """
    import tensorflow as tf

    tensor = tf.fill([2**24], 1.0)
    with_it = _status("VmRSS")
    del tensor
    return with_it - _status("VmRSS") > 2**25


def _status(name: str) -> int:
    """Return a memory figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    sys.exit(main())
