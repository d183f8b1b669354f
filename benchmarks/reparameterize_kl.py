"""Time ``tfvae.ops.reparameterize_kl`` against its rivals: ``python -m benchmarks.reparameterize_kl``.

Passes: ``forward``; ``backward``, the gradient alone; ``both``, forward and backward as in training, in one graph.

Rivals, all given the same arrays and the same processors, and timed in interleaved rounds:

- ``native``: the compiled op, called as users do, in a ``tf.function``; backward: the gradient op by itself;
- ``reference``: the same in plain TensorFlow; ``xla``: that one compiled by XLA;
- ``stock``: the textbook code (``stateless_normal`` by Philox, ``tf.exp``); ``tfp``: TensorFlow Probability;
- ``torch``, ``torch_compile``, ``jax``: the textbook code there, where installed (``pip install ".[bench]"``);
- ``native_float32``: beside the half precisions, native on float32 of the same shape;
- ``stream``, ``stream_fresh``: a loop that moves the same bytes with as many threads, in warm memory and with targets
  allocated at every call, as an op's outputs are;
- ``empty``: an op that only allocates an output: what calling any op costs.

Backward of a TensorFlow rival is the part of the graph that autodiff adds. The tensors it reads from the forward graph
(stock: eps and both exponentials) are its inputs, as ``tf.function`` keeps them; PyTorch and JAX likewise start from
what their autodiff kept. Computing and storing them belongs to forward, so that only ``both`` shows the whole price;
native keeps nothing and draws the noise again.

Small shapes have two times: per ``call``, with the tens of microseconds that any call from Python costs, and per
``op``: so much longer does a call take for every further op chained behind the first in its graph, each reading what
the one before it wrote. Ratios compare like with like: rows of one run, pass, shape, dtype and ``per``.

``TFVAE_ISA=avx2 python -m benchmarks.reparameterize_kl`` measures another of the compiled instruction sets. The rivals'
stored tensors at 8192x4096 in float64 take some 16 GB; leave shapes or rivals out where that is too much.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import _bars, _machine, _report, _timing
from benchmarks._cases import DTYPES, PASSES, Case, Inputs, Unavailable, make_inputs, parse_shape

OP = "reparameterize_kl"
SHAPES = ((128, 10), (128, 32), (1024, 64), (256, 512), (4096, 1024), (8192, 4096))
QUICK_SHAPES = ((16, 8),)
RIVALS = (
    "native", "native_float32", "reference", "stock", "tfp", "xla", "torch", "torch_compile", "jax",
    "stream", "stream_fresh", "empty",
)  # fmt: skip
COLUMNS = (
    *_machine.COLUMNS, "op", "pass", "rival", "shape", "dtype", "per", "samples",
    "median_us", "lower_quartile_us", "upper_quartile_us", "ns_per_element", "ns_per_element_core",
    "bytes", "gb_per_second", "over_native", "over_stream", "over_stream_fresh",
)  # fmt: skip
WIDE = "native_float32"
HALF = ("bfloat16", "float16")
LARGEST_CHAINED = 2**18  # What a chain of these writes stays in a cache.

Builder = Callable[[Inputs, str, int], _timing.Call]

_HEADINGS = {
    "rival": "rival",
    "time": "median [quartiles] us",
    "ns_per_element": "ns/element",
    "ns_per_element_core": "x cores",
    "gb_per_second": "GB/s",
    "over_native": "/ native",
    "over_stream": "/ stream",
    "over_stream_fresh": "/ fresh stream",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark with command-line ``arguments``; return the exit code."""
    options = _parser().parse_args(arguments)
    output = options.output or (None if options.quick else _report.RESULTS / f"{OP}.csv")
    try:
        _machine.use_threads(options.threads)
        if output is not None:
            _report.check_header(output, COLUMNS)
    except ValueError as error:
        print(f"benchmarks.{OP}: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    effort = _timing.QUICK if options.quick else _timing.FULL
    shapes = options.shapes or (QUICK_SHAPES if options.quick else SHAPES)
    cases = [Case(rows, latent, dtype) for rows, latent in shapes for dtype in options.dtypes]
    rows = run(cases, options.passes, options.rivals, effort, output)
    bars = _bars.table(rows)
    print(f"Bars\n{bars}\n" if bars else "", end="")
    if output is not None:
        print(f"Wrote {len(rows)} rows to {output}")
    return 0


def run(
    cases: Sequence[Case], passes: Sequence[str], rivals: Sequence[str], effort: _timing.Effort, output: Path | None
) -> list[dict[str, Any]]:
    """Measure and print every case, append its rows to ``output`` as soon as they are there, and return all rows."""
    machine = _machine.describe()
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), end="\n\n", flush=True)
    builders, rows = _builders(rivals), []
    said: set[str] = set()
    for case in cases:
        for which in passes:
            chained = case.elements <= LARGEST_CHAINED and which != "both"
            lengths = (1, effort.chain) if chained else (1,)
            fitting = {name: build for name, build in builders.items() if name != WIDE or case.dtype in HALF}
            samples = _timing.measure(_build(fitting, make_inputs(case), which, lengths, said), effort)
            gc.collect()  # What the rivals kept for this pass hangs in cycles of graphs and functions.
            for per, timings in _per_call_and_op(samples).items():
                new = [{**machine, **row} for row in compare(case, which, per, timings, machine["threads"])]
                print(f"{which}  {case.shape}  {case.dtype}  per {per}")
                print(f"{_report.table([_shown(row) for row in new], _HEADINGS)}\n", flush=True)
                if output is not None:
                    _report.append_csv(output, COLUMNS, new)
                rows += new
    return rows


def compare(
    case: Case, which: str, per: str, timings: Mapping[str, _timing.Timing], threads: int
) -> list[dict[str, Any]]:
    """Return one row per rival: its time, what follows from it, and its ratio to others of the same measurement."""
    rows = []
    for name, timing in timings.items():
        size = (replace(case, dtype="float32") if name == WIDE else case).bytes_moved(which)
        row: dict[str, Any] = {"op": OP, "pass": which, "rival": name, "shape": case.shape, "dtype": case.dtype}
        row |= {"per": per, "samples": timing.samples, "median_us": 1e6 * timing.median}
        row |= {"lower_quartile_us": 1e6 * timing.lower, "upper_quartile_us": 1e6 * timing.upper}
        row["ns_per_element"] = 1e9 * timing.median / case.elements
        row["ns_per_element_core"] = threads * row["ns_per_element"]
        row |= {"bytes": size, "gb_per_second": 1e-9 * size / timing.median if name != "empty" else None}
        for other in ("native", "stream", "stream_fresh"):
            comparable = other in timings and (name != WIDE or other == "native")
            row[f"over_{other}"] = timing.median / timings[other].median if comparable else None
        rows.append(row)
    return rows


def _builders(names: Sequence[str]) -> dict[str, Builder]:
    """Return how each of the rivals ``names`` is made; imported here because TensorFlow takes seconds to import."""
    from benchmarks import _rivals_jax, _rivals_numpy, _rivals_tensorflow, _rivals_torch

    graph = _rivals_tensorflow.GraphRival
    known: dict[str, Builder] = {
        "native": graph(_rivals_tensorflow.native).build,
        WIDE: _rivals_tensorflow.build_native_float32,
        "reference": graph(_rivals_tensorflow.reference).build,
        "stock": graph(_rivals_tensorflow.stock).build,
        "tfp": graph(_rivals_tensorflow.probability).build,
        "xla": graph(_rivals_tensorflow.reference, xla=True).build,
        "torch": _rivals_torch.build_eager,
        "torch_compile": _rivals_torch.build_compiled,
        "jax": _rivals_jax.build,
        "stream": _rivals_numpy.build_stream,
        "stream_fresh": _rivals_numpy.build_stream_fresh,
        "empty": _rivals_tensorflow.build_empty,
    }
    return {name: known[name] for name in names}


def _build(
    builders: Mapping[str, Builder], inputs: Inputs, which: str, lengths: Sequence[int], said: set[str]
) -> dict[tuple[str, int], _timing.Call]:
    """Return calls of chains of every length for the rivals that have them; say once why another is not measured."""
    calls = {}
    for name, build in builders.items():
        for ops in lengths:
            try:
                calls[name, ops] = build(inputs, which, ops)
            except Unavailable as reason:
                if ops == 1 and name not in said:
                    print(f"{name} is not measured: {reason}\n")
                    said.add(name)
    return calls


def _per_call_and_op(samples: Mapping[tuple[str, int], list[float]]) -> dict[str, dict[str, _timing.Timing]]:
    """Return every rival's time per call, and per further op in a call where a chain was timed."""
    timings: dict[str, dict[str, _timing.Timing]] = {"call": {}}
    for (name, ops), seconds in samples.items():
        if ops == 1:
            timings["call"][name] = _timing.summarize(seconds)
        else:
            pairs = zip(seconds, samples[name, 1], strict=True)
            slopes = [(chained - single) / (ops - 1) for chained, single in pairs]
            timings.setdefault("op", {})[name] = _timing.summarize(slopes)
    return timings


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    spread = _report.with_spread(row["median_us"], row["lower_quartile_us"], row["upper_quartile_us"])
    return {**row, "time": spread}


def _parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{OP}",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="tiny shape, few samples, no file: only to see it work")
    parser.add_argument(
        "--shapes", nargs="+", type=parse_shape, metavar="ROWSxLATENT", help="default: 128x10 to 8192x4096"
    )
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, metavar="DTYPE", help=" ".join(DTYPES))
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES, metavar="PASS", help=" ".join(PASSES))
    parser.add_argument("--rivals", nargs="+", choices=RIVALS, default=RIVALS, metavar="RIVAL", help="default: all")
    parser.add_argument("--threads", type=int, help="processors to use (default: all this process may use)")
    parser.add_argument("--output", type=Path, help=f"CSV file to append to (default: benchmarks/results/{OP}.csv)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
