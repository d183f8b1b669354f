"""Measure one op against its rivals: the rounds, the rows, the tables and the command line that op benchmarks share."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import _bars, _command, _machine, _report, _timing
from benchmarks._cases import DTYPES, PASSES, Case, Inputs, Unavailable, make_inputs, parse_shape

COLUMNS = (
    *_machine.COLUMNS, "op", "pass", "rival", "shape", "dtype", "per", "samples",
    "median_us", "lower_quartile_us", "upper_quartile_us", "ns_per_element", "ns_per_element_core",
    "bytes", "gb_per_second", "over_native", "over_stream", "over_stream_fresh",
)  # fmt: skip
WIDE = "native_float32"
HALF = ("bfloat16", "float16")
LARGEST_CHAINED = 2**22  # A chain of larger ones takes minutes with the slower rivals.

Builder = Callable[[Inputs, str, int], _timing.Call]
Row = dict[str, Any]

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


@dataclass(frozen=True)
class OpBench:
    """What differs between the benchmarks of two ops.

    Args:
        op: name of the op, of its benchmark and of its results.
        doc: what ``--help`` shows.
        shapes: ``(rows, latent)`` by default; ``quick_shapes`` with ``--quick``.
        rivals: names, in the order of the tables.
        make_case: from rows, latent size and dtype.
        builders: returns how each rival is made; called late, because TensorFlow takes seconds to import.
        bars: the speeds this op is held to.
    """

    op: str
    doc: str
    shapes: Sequence[tuple[int, int]]
    quick_shapes: Sequence[tuple[int, int]]
    rivals: Sequence[str]
    make_case: Callable[[int, int, str], Case]
    builders: Callable[[], Mapping[str, Builder]]
    bars: Sequence[_bars.Bar]

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the benchmark with command-line ``arguments``; return the exit code."""
        parser = _command.parser(self.op, self.doc)
        parser.add_argument(
            "--shapes", nargs="+", type=parse_shape, metavar="ROWSxLATENT", help=f"default: {len(self.shapes)} of them"
        )
        _command.choice(parser, "dtypes", DTYPES)
        _command.choice(parser, "passes", PASSES)
        _command.choice(parser, "rivals", self.rivals)
        options = parser.parse_args(arguments)
        effort = _timing.QUICK if options.quick else _timing.FULL
        shapes = options.shapes or (self.quick_shapes if options.quick else self.shapes)
        cases = [self.make_case(rows, latent, dtype) for rows, latent in shapes for dtype in options.dtypes]

        def measure_all(write: _command.Write) -> None:
            rows = self.measure(cases, options.passes, options.rivals, effort, write)
            bars = _bars.table(rows, self.bars)
            print(f"Bars\n{bars}\n" if bars else "", end="")

        return _command.run(self.op, options, COLUMNS, measure_all)

    def measure(
        self,
        cases: Sequence[Case],
        passes: Sequence[str],
        rivals: Sequence[str],
        effort: _timing.Effort,
        write: _command.Write,
    ) -> list[Row]:
        """Measure and print every case, ``write`` its rows at once, and return all rows."""
        builders, rows, threads = self._chosen(rivals), [], _machine.threads()
        said: set[str] = set()
        for case in cases:
            for which in passes:
                chained = case.elements <= LARGEST_CHAINED and which != "both"
                lengths = (1, effort.chain) if chained else (1,)
                fitting = {name: build for name, build in builders.items() if name != WIDE or case.dtype in HALF}
                samples = _timing.measure(_build(fitting, make_inputs(case), which, lengths, said), effort)
                gc.collect()  # What the rivals kept for this pass hangs in cycles of graphs and functions.
                for per, timings in _per_call_and_op(samples).items():
                    new = write(compare(self.op, case, which, per, timings, threads))
                    print(f"{which}  {case.shape}  {case.dtype}  per {per}")
                    print(f"{_report.table([_shown(row) for row in new], _HEADINGS)}\n", flush=True)
                    rows += new
        return rows

    def _chosen(self, names: Sequence[str]) -> dict[str, Builder]:
        known = self.builders()
        return {name: known[name] for name in names}


def compare(
    op: str, case: Case, which: str, per: str, timings: Mapping[str, _timing.Timing], threads: int
) -> list[dict[str, Any]]:
    """Return one row per rival: its time, what follows from it, and its ratio to others of the same measurement."""
    rows = []
    for name, timing in timings.items():
        size = (replace(case, dtype="float32") if name == WIDE else case).bytes_moved(which)
        row: dict[str, Any] = {"op": op, "pass": which, "rival": name, "shape": case.shape, "dtype": case.dtype}
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
